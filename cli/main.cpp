// Owns the command line of the `faultline` program.
#include <cstdio>
#include <exception>
#include <functional>

#include <CLI/CLI.hpp>
#include <fmt/core.h>

#include "commands.hpp"
#include "core/limits.hpp"

namespace {

using namespace faultline;
using cli::ExitCode;

constexpr int list_limit_max = 100'000;
constexpr int batch_max = 10'000;

// What the parsed command line asks for; runs once the database is connected.
using Command = std::function<ExitCode(client::Connection &)>;

struct Options {
    std::string conninfo;
    cli::EnqueueFileOptions enqueue_file;
    cli::JobsOptions jobs;
    cli::DeadLettersOptions dead_letters;
    cli::RedriveOptions redrive;
};

void add_enqueue_file(CLI::App &app, Options &options, Command &command) {
    CLI::App *sub =
        app.add_subcommand("enqueue-file", "Enqueue each line of an NDJSON file as one job");
    cli::EnqueueFileOptions &file = options.enqueue_file;
    sub->add_option("FILE", file.file, "One JSON document per line; - reads standard input")
        ->required();
    sub->add_option("--queue,-q", file.queue, "The queue")->required();
    sub->add_option("--kind,-k", file.job.kind, "The kind given to each job");
    sub->add_option("--key-field", file.fields.key,
                    "Use this field of each line as its idempotency key: loading the file again, "
                    "or a line that stands there twice, makes no second job");
    sub->add_option("--ledger-field", file.fields.ledger,
                    "Declare the object at this field of each line as the effect of its job: "
                    "{\"transaction_id\", \"debit\", \"credit\", \"amount\", \"asset\"}, and "
                    "\"metadata\" if wanted; null for none. The payload keeps the field");
    sub->add_option("--priority", file.job.priority, "A lower number runs first")
        ->check(CLI::Range(core::priority_min, core::priority_max))
        ->capture_default_str();
    sub->add_option("--max-attempts", file.job.max_attempts, "Instead of the queue's own")
        ->check(CLI::Range(core::max_attempts_min, core::max_attempts_max));
    sub->add_option("--batch", file.batch, "Lines per transaction")
        ->check(CLI::Range(1, batch_max))
        ->capture_default_str();
    sub->add_flag("--json", file.json, "Print the figures as one line of JSON");
    sub->callback([&] {
        command = [&](client::Connection &connection) {
            return cli::run_enqueue_file(connection, options.enqueue_file);
        };
    });
}

void add_jobs(CLI::App &app, Options &options, Command &command) {
    CLI::App *sub = app.add_subcommand("jobs", "List jobs, the newest first");
    sub->add_option("--queue,-q", options.jobs.queue, "Only this queue");
    sub->add_option("--state,-s", options.jobs.state, "Only this state")
        ->check(CLI::IsMember({"queued", "running", "succeeded", "failed", "cancelled"}));
    sub->add_option("--limit,-n", options.jobs.limit, "At most this many")
        ->check(CLI::Range(1, list_limit_max))
        ->capture_default_str();
    sub->callback([&] {
        command = [&](client::Connection &connection) {
            return cli::run_jobs(connection, options.jobs);
        };
    });
}

void add_redrive(CLI::App &dead_letters, Options &options, Command &command) {
    CLI::App *sub =
        dead_letters.add_subcommand("redrive", "Put dead letters back into their queues");
    sub->add_option("--job,-j", options.redrive.job_ids, "These jobs");
    sub->add_option("--queue,-q", options.redrive.queue, "Those of this queue");
    sub->add_option("--limit,-n", options.redrive.limit, "At most this many")
        ->check(CLI::Range(1, core::maintenance_jobs_max))
        ->capture_default_str();
    sub->callback([&] {
        const cli::RedriveOptions &redrive = options.redrive;
        if (redrive.job_ids.empty() == !redrive.queue.has_value()) {
            throw CLI::ValidationError("redrive", "give either --job or --queue");
        }
        command = [&](client::Connection &connection) {
            return cli::run_redrive(connection, options.redrive);
        };
    });
}

void add_dead_letters(CLI::App &app, Options &options, Command &command) {
    CLI::App *sub = app.add_subcommand("dead-letters", "List jobs that failed for good");
    sub->require_subcommand(0, 1);
    sub->add_option("--queue,-q", options.dead_letters.queue, "Only this queue");
    sub->add_option("--limit,-n", options.dead_letters.limit, "At most this many")
        ->check(CLI::Range(1, list_limit_max))
        ->capture_default_str();
    add_redrive(*sub, options, command);
    sub->callback([&, sub] {
        if (sub->get_subcommands().empty()) {
            command = [&](client::Connection &connection) {
                return cli::run_dead_letters(connection, options.dead_letters);
            };
        }
    });
}

void add_status_and_check(CLI::App &app, Command &command) {
    app.add_subcommand("status", "Show whether Faultline works and what it needs")->callback([&] {
        command = cli::run_status;
    });
    app.add_subcommand("check", "Check the invariants; exit 1 when one is broken")->callback([&] {
        command = cli::run_check;
    });
}

ExitCode run(int argc, char **argv) {
    Options options;
    Command command;
    CLI::App app("Faultline from the command line: load, look, repair.", "faultline");
    app.set_version_flag("--version", FAULTLINE_VERSION);
    app.footer(cli::exit_codes_text);
    app.require_subcommand(1);
    app.add_option("-d,--conninfo", options.conninfo,
                   "libpq connection string or URI; what it leaves open comes from the PG* "
                   "environment variables, as with psql");
    app.fallthrough();
    add_enqueue_file(app, options, command);
    add_status_and_check(app, command);
    add_jobs(app, options, command);
    add_dead_letters(app, options, command);
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError &error) {
        return app.exit(error) == 0 ? cli::exit_ok : cli::exit_usage;
    }
    client::Connection connection(options.conninfo, "faultline");
    return command(connection);
}

} // namespace

int main(int argc, char **argv) {
    try {
        return run(argc, argv);
    } catch (const client::Error &error) {
        fmt::print(stderr, "faultline: {}\n", error.what());
        return cli::exit_database;
    } catch (const std::exception &error) {
        fmt::print(stderr, "faultline: {}\n", error.what());
        return cli::exit_usage;
    }
}
