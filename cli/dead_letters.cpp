// Owns `faultline dead-letters` and `faultline dead-letters redrive`.
#include <map>

#include <fmt/core.h>

#include "commands.hpp"
#include "table.hpp"

namespace faultline::cli {

namespace {

constexpr const char *dead_letters_sql =
    "SELECT job_id, queue, coalesce(kind, ''), reason, attempt, "
    "to_char(failed_at, 'YYYY-MM-DD HH24:MI:SS'), coalesce(last_error, '') "
    "FROM faultline.dead_letters WHERE $1::text IS NULL OR queue = $1 "
    "ORDER BY failed_at DESC, job_id DESC LIMIT $2::int";

} // namespace

ExitCode run_dead_letters(client::Connection &connection, const DeadLettersOptions &options) {
    const client::Result result =
        connection.execute(dead_letters_sql, {options.queue, options.limit});
    if (result.row_count() == 0) {
        fmt::print("no dead letters\n");
        return exit_ok;
    }
    fmt::print("{}", format_table(
                         {"job", "queue", "kind", "reason", "attempts", "failed at", "last error"},
                         rows_of(result)));
    return exit_ok;
}

ExitCode run_redrive(client::Connection &connection, const RedriveOptions &options) {
    const auto verdicts =
        client::Api(connection).redrive(options.job_ids, options.queue, options.limit);
    std::map<std::string, int> counts;
    std::vector<std::vector<std::string>> stuck;
    for (const client::VerdictRow &row : verdicts) {
        const std::string verdict(core::verdict_name(row.verdict));
        ++counts[verdict];
        if (row.verdict != client::Verdict::queued) {
            stuck.push_back({std::to_string(row.job_id), verdict});
        }
    }
    if (!stuck.empty()) {
        fmt::print("{}", format_table({"job", "not redriven because"}, stuck));
    }
    fmt::print("redriven: {}, not redriven: {}\n", counts["queued"], stuck.size());
    return stuck.empty() ? exit_ok : exit_findings;
}

} // namespace faultline::cli
