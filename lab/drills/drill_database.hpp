// Owns what a drill makes in a database, a queue and the schema faultline_drill, and the account of
// what the clients were told against what the rows say.
#pragma once

#include "figures.hpp"
#include "record.hpp"

#include "faultline/api.hpp"

#include <string>

namespace faultline::lab {

inline constexpr std::chrono::milliseconds drill_lease{2'000};

inline constexpr const char *default_grace = "1 hour";

// A job that is hit by every fault still has an attempt left, and soon.
client::QueueSettings drill_queue_settings(client::Milliseconds lease);

// Until it succeeds: a deadlock with those at work is an answer as well.
void execute_at_last(client::Connection &connection, const std::string &statement);

class DrillDatabase {
  public:
    // Makes the queue and the schema anew.
    DrillDatabase(const std::string &conninfo, std::string queue,
                  client::Milliseconds lease = drill_lease);

    // What is there already: a copy of a database in which a drill runs.
    static DrillDatabase of_copy(const std::string &conninfo, std::string queue);

    client::Connection &connection() { return connection_; }
    [[nodiscard]] const std::string &queue() const { return queue_; }
    std::int64_t count(const std::string &sql, const client::Parameters &parameters = {});
    // Of the job that meets the condition: state, attempt, state of its transaction (APPLIED also
    // when RECONCILED), number of its entries.
    std::string situation(const std::string &condition, const client::Parameter &value);
    // After the server was away.
    void reconnect(const std::string &conninfo);

    // Jobs for single workers of a drill; like those of the load, but they call outside.
    std::vector<std::int64_t> enqueue_charges(int count, Recorded &recorded);
    // Every job of the queue has ended.
    void await_end() { await_end(queue_); }
    void await_end(const std::string &queue);
    // Fills in acknowledged, lost, unexpected, duplicates, violations and failures.
    // grace: see check_invariants().
    void take_account(const Recorded &recorded, Figures &figures,
                      const std::string &grace = default_grace);
    // What clients asked for and were told, into temporary tables: PREFIXattempted
    // (transaction_id), PREFIXtold (what, transaction_id, id).
    void upload(const std::string &prefix, const Recorded &recorded);
    // Rows of check_invariants().
    std::vector<std::string> violations(const std::string &grace = default_grace);
    // The queue and the schema; jobs that have ended and entries stay, as Faultline keeps them.
    void remove();

  private:
    DrillDatabase(std::string queue, client::Connection connection);

    const std::string queue_;
    client::Connection connection_;
    int charges_ = 0;
};

} // namespace faultline::lab
