// Owns `faultline status`: what the system says of itself, and one line per queue.
#include <fmt/core.h>

#include "commands.hpp"
#include "table.hpp"

namespace faultline::cli {

namespace {

constexpr const char *queues_sql = "SELECT queue, queued, scheduled, running, dead_letters, "
                                   "coalesce(date_trunc('second', oldest_ready_age)::text, ''), "
                                   "CASE WHEN paused_at IS NULL THEN '' ELSE 'paused' END "
                                   "FROM faultline.stat_queues ORDER BY queue";

void print_queues(client::Connection &connection) {
    const client::Result result = connection.execute(queues_sql);
    if (result.row_count() > 0) {
        fmt::print("\n{}", format_table({"queue", "queued", "scheduled", "running", "dead letters",
                                         "oldest ready", "paused"},
                                        rows_of(result)));
    }
}

} // namespace

ExitCode run_status(client::Connection &connection) {
    for (const client::StatusItem &item : client::Api(connection).status()) {
        fmt::print("{:<8} {:<12} {}\n", item.state, item.item, item.detail);
        if (!item.hint.empty()) {
            // A line of its own and never cut: it is there to be copied.
            fmt::print("{:<21} {}\n", "", item.hint);
        }
    }
    print_queues(connection);
    return exit_ok;
}

} // namespace faultline::cli
