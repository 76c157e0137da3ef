// Owns what the drain drill asks the database: its own database with one full queue, the state of
// single workers, the maintenance loop, and the final account.
#pragma once

#include "faultline/connection.hpp"

#include <cstdint>
#include <exception>
#include <string>
#include <thread>
#include <vector>

namespace faultline::lab {

inline constexpr const char *drain_queue = "drain";
inline constexpr const char *drain_database_name = "faultline_drill_drain";

struct Account {
    std::int64_t acknowledged; // ids that enqueue_many returned
    std::int64_t lost;         // of them: not succeeded, or with no accepted completion
    std::int64_t run_to_success_twice;
    std::int64_t unexpected; // completed, but never acknowledged
    std::int64_t leases_expired;
    std::vector<std::string> violations;
};

class DrainDatabase {
  public:
    // Creates the database anew, in the server that `conninfo` leads to.
    explicit DrainDatabase(const std::string &conninfo);

    [[nodiscard]] const std::string &conninfo() const { return conninfo_; }
    // Returns the acknowledged ids.
    std::vector<std::int64_t> enqueue(std::int64_t jobs);
    bool is_drained();
    std::int64_t leases_held_by(const std::string &worker);
    // No statement and no transaction of this worker is open.
    bool is_session_idle(const std::string &worker);
    bool is_session_gone(const std::string &worker);
    Account take_account(const std::vector<std::int64_t> &acknowledged);

  private:
    std::int64_t count(const std::string &sql, const client::Parameters &parameters = {});

    std::string conninfo_;
    client::Connection connection_;
};

// Calls maintain() once a second on a connection of its own, as a server's background worker would.
class MaintenanceLoop {
  public:
    explicit MaintenanceLoop(const std::string &conninfo);
    // Ends the loop and throws what made it fail.
    void stop();

  private:
    void run(const std::stop_token &stop, const std::string &conninfo);

    std::exception_ptr failure_;
    std::jthread thread_;
};

} // namespace faultline::lab
