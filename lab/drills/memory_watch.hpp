// Owns what was seen of the private memory of the server's processes: of each, when it had warmed
// up and last.
#pragma once

#include "faultline/api.hpp"

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace faultline::lab {

// Caches are filled by then.
inline constexpr double warm_seconds = 30;

struct ProcessMemory {
    std::string name; // of the application, or the kind of process
    double warm_at_seconds = 0;
    double seen_at_seconds = 0; // both: its age
    std::int64_t warm_kilobytes = 0;
    std::int64_t kilobytes = 0;
};

class MemoryWatch {
  public:
    // Clients of drills, and the extension's own processes. On the machine of the server only.
    void look(client::Connection &connection);
    // Those that were seen for so long after they had warmed up.
    [[nodiscard]] std::vector<ProcessMemory> seen_for(double seconds) const;

  private:
    std::map<std::string, ProcessMemory> processes_; // by pid and moment of birth
};

} // namespace faultline::lab
