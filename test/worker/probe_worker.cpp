// Owns the worker of the TAP tests: each job says itself what its handler does. The payload is
// {"attempts": [[step, ...], ...]}, one list per attempt; the last list serves all further ones.
#include <chrono>
#include <cstdio>
#include <exception>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

#include <poll.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include "faultline/api.hpp"
#include "faultline/worker.hpp"

namespace {

using namespace faultline::client;

enum ExitCode : int { exit_ok = 0, exit_failed = 1, exit_usage = 2, exit_by_job = 7 };

constexpr std::chrono::seconds interruption_seconds_max{120};
constexpr Milliseconds look_interval{5};

struct Options {
    WorkerOptions worker;
    int heartbeat_ms = 0; // 0 = the worker's own choice
    int wait_ms = 20'000;
    int poll_ms = 20;
};

// One run of the handler, as the steps see it.
struct Run {
    const Job &job;
    Connection &transaction;
    const Worker &worker;
    const std::string &worker_name;
    Outcome outcome = Outcome::success();
};

// A row of the application, which must be there once for each job that succeeded.
void mark(Run &run) {
    run.transaction.execute("INSERT INTO marks (job_id, worker, attempt) VALUES ($1, $2, $3)",
                            {run.job.job_id, run.worker_name, run.job.attempt});
}

// Waits until the test, which holds this lock, lets the job go on.
void gate(Run &run) { run.transaction.execute("SELECT pg_advisory_xact_lock_shared(1)"); }

void await_interruption(Run &run) {
    const auto deadline = std::chrono::steady_clock::now() + interruption_seconds_max;
    while (run.worker.interruption() == Interruption::none) {
        if (std::chrono::steady_clock::now() >= deadline) {
            throw std::runtime_error("nothing interrupted the handler");
        }
        ::poll(nullptr, 0, static_cast<int>(look_interval.count()));
    }
    const bool cancelled = run.worker.interruption() == Interruption::cancel_requested;
    fmt::print(stderr, "{}: job {}: interrupted: {}\n", run.worker_name, run.job.job_id,
               cancelled ? "cancel requested" : "lease lost");
}

// Such a conflict is no fault of the job: its transaction runs again within the same attempt.
void conflict_once(Run &run) {
    static bool happened = false;
    if (!happened) {
        happened = true;
        run.transaction.execute("DO $$ BEGIN RAISE EXCEPTION 'a conflict' "
                                "USING ERRCODE = 'serialization_failure'; END $$");
    }
}

void swallow(Run &run) {
    try {
        run.transaction.execute("SELECT 1 / 0");
    } catch (const Error &error) {
        fmt::print(stderr, "{}: swallowed: {}\n", run.worker_name, error.what());
    }
}

Effect effect_of(const Run &run, std::int64_t amount) {
    return {fmt::format("probe {}", run.job.job_id), "payer", "payee", amount, "EUR", std::nullopt};
}

// The effect by hand, and what the ledger says of it before and after.
void apply_by_hand(Run &run) {
    Api api(run.transaction);
    const std::string transaction_id = run.job.effect.value().transaction_id;
    const auto print_state = [&] {
        const TransactionStatus status = api.transaction_status(transaction_id).value();
        fmt::print(stderr, "{}: job {}: {} {} entry\n", run.worker_name, status.job_id.value(),
                   faultline::core::transaction_state_name(status.state),
                   status.entry_id ? "with" : "without");
    };
    print_state();
    const Lease lease{run.job.job_id, run.job.lease_token};
    for (const Verdict expected : {Verdict::applied, Verdict::exists}) {
        if (api.apply_ledger(lease, run.job.effect).verdict != expected) {
            throw std::runtime_error("apply_ledger() did not answer as it should");
        }
    }
    print_state();
    if (api.transaction_status(transaction_id + " of nobody")) {
        throw std::runtime_error("transaction_status() knows a transaction that is none");
    }
}

void set_outcome(Run &run, const Outcome &outcome) { run.outcome = outcome; }

using Step = void (*)(Run &);

const std::map<std::string, Step> steps = {
    {"mark", mark},
    {"gate", gate},
    {"await interruption", await_interruption},
    {"conflict once", conflict_once},
    {"swallow an error", swallow},
    {"fail", [](Run &run) { set_outcome(run, Outcome::failure("failed on purpose")); }},
    {"fail without a reason", [](Run &run) { set_outcome(run, Outcome::failure("")); }},
    {"fail with bytes", [](Run &run) { set_outcome(run, Outcome::failure("bytes \xff\x01 end")); }},
    {"discard", [](Run &run) { set_outcome(run, Outcome::discard("discarded on purpose")); }},
    {"throw", [](Run &) { throw std::runtime_error("thrown on purpose"); }},
    {"throw a number", [](Run &) { throw 42; }},
    {"break SQL", [](Run &run) { run.transaction.execute("SELECT 1 / 0"); }},
    {"succeed", [](Run &run) { set_outcome(run, Outcome::success()); }},
    {"apply", [](Run &run) { set_outcome(run, Outcome::apply("{}")); }},
    {"apply 5", [](Run &run) { set_outcome(run, Outcome::apply(effect_of(run, 5))); }},
    {"apply by hand", apply_by_hand},
    {"commit", [](Run &run) { run.transaction.commit(); }},
    {"await standby",
     [](Run &run) { run.transaction.execute("SET LOCAL synchronous_commit = on"); }},
    {"lose the connection",
     [](Run &run) { run.transaction.execute("SELECT pg_terminate_backend(pg_backend_pid())"); }},
    {"exit", [](Run &) { ::_exit(exit_by_job); }},
};

Outcome handle(const Job &job, Connection &transaction, const Worker &worker,
               const std::string &worker_name) {
    const nlohmann::json attempts = nlohmann::json::parse(job.payload).at("attempts");
    const auto last = attempts.size() - 1;
    const auto index = std::min(static_cast<std::size_t>(job.attempt) - 1, last);
    Run run{job, transaction, worker, worker_name};
    for (const nlohmann::json &step : attempts.at(index)) {
        steps.at(step.get<std::string>())(run);
    }
    return run.outcome;
}

void add_options(CLI::App &app, Options &options) {
    app.add_option("--conninfo", options.worker.conninfo)->required();
    app.add_option("--queue", options.worker.queue)->required();
    app.add_option("--name", options.worker.worker)->required();
    app.add_option("--batch", options.worker.batch);
    app.add_option("--heartbeat-ms", options.heartbeat_ms);
    app.add_option("--wait-ms", options.wait_ms);
    app.add_option("--poll-ms", options.poll_ms);
    app.add_flag("--drain", options.worker.drain_and_exit);
}

int run(Options &options) {
    StopSignal stop;
    stop.catch_termination();
    const std::string name = options.worker.worker;
    if (options.heartbeat_ms != 0) {
        options.worker.heartbeat_interval = Milliseconds(options.heartbeat_ms);
    }
    options.worker.max_wait = Milliseconds(options.wait_ms);
    options.worker.poll_interval = Milliseconds(options.poll_ms);
    options.worker.log = [name](std::string_view line) {
        fmt::print(stderr, "{}: {}\n", name, line);
    };
    Worker worker(options.worker, stop);
    const WorkerReport report = worker.run([&](const Job &job, Connection &transaction) {
        return handle(job, transaction, worker, name);
    });
    fmt::print("{}: claimed {}, succeeded {}, failed attempts {}, released {}, leases lost {}, "
               "reconnects {}, commits in doubt {}\n",
               name, report.claimed, report.succeeded, report.failed_attempts, report.released,
               report.leases_lost, report.reconnects, report.commits_in_doubt);
    return exit_ok;
}

} // namespace

int main(int argc, char **argv) {
    try {
        Options options;
        CLI::App app("Does what its jobs say, for the tests.", "probe_worker");
        add_options(app, options);
        try {
            app.parse(argc, argv);
        } catch (const CLI::ParseError &error) {
            return app.exit(error) == 0 ? exit_ok : exit_usage;
        }
        return run(options);
    } catch (const std::exception &error) {
        fmt::print(stderr, "probe_worker: {}\n", error.what());
        return exit_failed;
    }
}
