// Implements the look: who is there according to the server, and how much the kernel says they
// have.
#include "memory_watch.hpp"

#include <fmt/format.h>
#include <fstream>

namespace faultline::lab {

namespace {

// Without what is shared; nothing of a process that has gone.
std::int64_t private_kilobytes(int process) {
    std::ifstream status(fmt::format("/proc/{}/status", process));
    std::string word;
    while (status >> word)
        if (word == "RssAnon:") {
            std::int64_t kilobytes = 0;
            status >> kilobytes;
            return kilobytes;
        }
    return 0;
}

} // namespace

void MemoryWatch::look(client::Connection &connection) {
    const client::Result seen = connection.execute(
        "SELECT pid, pid || ' ' || backend_start, coalesce(nullif(application_name, ''),"
        "       backend_type), extract(epoch FROM clock_timestamp() - backend_start)::float8"
        "  FROM pg_stat_activity WHERE application_name ~ '^(drill|turn)-'"
        "    OR backend_type IN ('faultline worker', 'faultline launcher')");
    for (int row = 0; row < seen.row_count(); ++row) {
        const double age_seconds = seen.number(row, 3);
        const std::int64_t kilobytes = private_kilobytes(seen.integer(row, 0));
        if (age_seconds < warm_seconds || kilobytes == 0)
            continue;
        ProcessMemory &process = processes_[std::string(seen.text(row, 1))];
        if (process.name.empty()) {
            process.name = seen.text(row, 2);
            process.warm_at_seconds = age_seconds;
            process.warm_kilobytes = kilobytes;
        }
        process.seen_at_seconds = age_seconds;
        process.kilobytes = kilobytes;
    }
}

std::vector<ProcessMemory> MemoryWatch::seen_for(double seconds) const {
    std::vector<ProcessMemory> chosen;
    for (const auto &[key, process] : processes_)
        if (process.seen_at_seconds - process.warm_at_seconds >= seconds)
            chosen.push_back(process);
    return chosen;
}

} // namespace faultline::lab
