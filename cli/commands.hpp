// Owns the list of commands: each takes its options and returns the program's exit code.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "exit_code.hpp"
#include "faultline/api.hpp"
#include "ndjson.hpp"

namespace faultline::cli {

struct EnqueueFileOptions {
    std::string file; // "-" = standard input
    std::string queue;
    NdjsonFields fields;
    client::EnqueueOptions job;
    int batch = 500;
    bool json = false;
};

struct JobsOptions {
    std::optional<std::string> queue;
    std::optional<std::string> state;
    int limit = 50;
};

struct DeadLettersOptions {
    std::optional<std::string> queue;
    int limit = 50;
};

struct RedriveOptions {
    std::vector<std::int64_t> job_ids;
    std::optional<std::string> queue;
    int limit = 1000;
};

ExitCode run_enqueue_file(client::Connection &connection, const EnqueueFileOptions &options);
ExitCode run_status(client::Connection &connection);
ExitCode run_jobs(client::Connection &connection, const JobsOptions &options);
ExitCode run_dead_letters(client::Connection &connection, const DeadLettersOptions &options);
ExitCode run_redrive(client::Connection &connection, const RedriveOptions &options);
ExitCode run_check(client::Connection &connection);

} // namespace faultline::cli
