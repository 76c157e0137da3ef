// Owns what the clients of a drill asked for and what they were told, by many threads at once. It
// is what the rows are held against afterwards.
#pragma once

#include "../poll_until.hpp"

#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <vector>

namespace faultline::lab {

struct Acknowledgement {
    std::string transaction_id;
    std::int64_t id; // of the job; or of the entry
};

struct Recorded {
    std::vector<std::string> attempted; // transactions that a job was asked for
    std::vector<Acknowledgement> enqueued;
    std::vector<Acknowledgement> applied;
    std::vector<Acknowledgement> completed;
    std::int64_t recovered = 0; // answers that were lost, of calls that had taken effect
    std::int64_t stale_rejected = 0;
    std::int64_t in_doubt = 0;
    std::vector<std::string> errors; // that no fault explains
};

class Record {
  public:
    void attempt(const std::string &transaction_id);
    void enqueue(const std::string &transaction_id, std::int64_t job_id);
    void apply(const std::string &transaction_id, std::int64_t entry_id);
    // claim_begun: when its worker asked for the job.
    void complete(const std::string &transaction_id, std::int64_t job_id,
                  Clock::time_point claim_begun);
    void recover(std::int64_t count);
    void reject_stale();
    void doubt();
    void fail(const std::string &error);
    // What others asked for, and were told.
    void add(const Recorded &others);
    // A call, under its name, and how long it took.
    void time(const char *call, double seconds);

    Recorded all() const;
    // Of what fail() was told.
    void throw_if_failed() const;
    // Since they were taken last.
    std::map<std::string, std::vector<double>> take_times();
    std::int64_t unfinished() const;
    std::int64_t completed() const;
    // Whether work goes on: a job was claimed and completed that nobody had asked for before.
    bool is_working_since(Clock::time_point moment) const;

  private:
    mutable std::mutex mutex_;
    Recorded all_;
    std::map<std::string, std::vector<double>> seconds_of_calls_;
    Clock::time_point last_claim_completed_ = Clock::time_point::min();
};

} // namespace faultline::lab
