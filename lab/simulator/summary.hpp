// Owns the figures of many runs, for people and as JSON.
#pragma once

#include "run.hpp"

#include <chrono>
#include <map>
#include <string>

namespace faultline::simulator {

class Summary {
  public:
    void add(const RunReport &report);
    void add_difference() { ++differences_; } // two runs of one seed wrote different histories
    void print() const;
    void write_json(const std::string &path) const;
    std::vector<std::string> missing_marks() const;

  private:
    std::array<int, fault_count> faults_{};
    std::map<std::string, int> marks_; // to the number of seeds that hit it
    Account account_;
    int seeds_ = 0, failed_ = 0, differences_ = 0, calls_ = 0;
    int rounds_max_ = 0; // of the second phase
    std::chrono::steady_clock::time_point begun_ = std::chrono::steady_clock::now();
};

} // namespace faultline::simulator
