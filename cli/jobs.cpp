// Owns `faultline jobs`.
#include <fmt/core.h>

#include "commands.hpp"
#include "table.hpp"

namespace faultline::cli {

namespace {

// Newest first, because that is what people look for.
constexpr const char *jobs_sql =
    "SELECT job_id, queue, coalesce(kind, ''), state, attempt || '/' || max_attempts, "
    "coalesce(to_char(next_run_at, 'YYYY-MM-DD HH24:MI:SS'), ''), coalesce(lease_owner, ''), "
    "coalesce(last_error, '') FROM faultline.jobs "
    "WHERE ($1::text IS NULL OR queue = $1) AND ($2::text IS NULL OR state = $2) "
    "ORDER BY job_id DESC LIMIT $3::int";

} // namespace

ExitCode run_jobs(client::Connection &connection, const JobsOptions &options) {
    const client::Result result =
        connection.execute(jobs_sql, {options.queue, options.state, options.limit});
    fmt::print("{}", format_table({"job", "queue", "kind", "state", "attempt", "next run", "worker",
                                   "last error"},
                                  rows_of(result)));
    if (result.row_count() == options.limit) {
        fmt::print("(the newest {}; --limit shows more)\n", options.limit);
    }
    return exit_ok;
}

} // namespace faultline::cli
