// Owns the example worker: each order that can be fulfilled leaves one row in table receipts and
// is paid by the effect it was enqueued with, in the same transaction that completes its job. See
// scripts/demo for the table.
#include <chrono>
#include <cstdio>
#include <exception>
#include <string>
#include <string_view>

#include <poll.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <fmt/core.h>

#include "faultline/worker.hpp"
#include "order.hpp"

namespace {

using namespace faultline::client;

enum ExitCode : int { exit_ok = 0, exit_failed = 1, exit_usage = 2 };

constexpr int order_ms_max = 600'000;
constexpr const char *receipt_sql =
    "INSERT INTO receipts (order_id, job_id, amount_cents, worker, attempt) "
    "VALUES ($1, $2, $3, $4, $5)";

struct Options {
    WorkerOptions worker;
    int lease_ms = 0; // 0 = the queue's own
    int wait_ms = 20'000;
    int poll_ms = 1000;
    int order_ms = 5;
    bool quiet = false;
};

// Stands for the real work of an order. A signal does not cut it short: the job at hand is
// finished. Losing the lease does.
void work_for(Milliseconds duration, const Worker &worker) {
    const Milliseconds slice_max{50};
    const auto end = std::chrono::steady_clock::now() + duration;
    while (worker.interruption() != Interruption::lease_lost) {
        const auto left = std::chrono::ceil<Milliseconds>(end - std::chrono::steady_clock::now());
        if (left <= Milliseconds{0}) {
            return;
        }
        ::poll(nullptr, 0, static_cast<int>(std::min(left, slice_max).count()));
    }
}

Outcome handle_order(const Job &job, Connection &transaction, const Worker &worker,
                     const Options &options) {
    const orders::Order order = orders::parse_order(job.payload);
    work_for(Milliseconds(options.order_ms), worker);
    if (const auto objection = orders::objection_to(order, job.attempt)) {
        return objection->permanent ? Outcome::discard(objection->reason)
                                    : Outcome::failure(objection->reason);
    }
    transaction.execute(receipt_sql, {order.order_id, job.job_id, order.total_cents,
                                      options.worker.worker, job.attempt});
    return Outcome::apply(fmt::format("{{\"amount_cents\": {}}}", order.total_cents));
}

// Who cannot pay now shall not get the goods later, when nobody expects it any more.
bool payment_refused(const Error &error) {
    return error.code() == ErrorCode::insufficient_funds ||
           error.code() == ErrorCode::account_closed;
}

void add_options(CLI::App &app, Options &options) {
    app.add_option("-d,--conninfo", options.worker.conninfo,
                   "libpq connection string; what it leaves open comes from the environment");
    app.add_option("--queue,-q", options.worker.queue, "The queue to work on")->required();
    app.add_option("--name", options.worker.worker, "How this worker is called in the views")
        ->default_val(fmt::format("order_worker-{}", ::getpid()));
    app.add_option("--batch", options.worker.batch, "Jobs per claim")->capture_default_str();
    app.add_option("--lease-ms", options.lease_ms, "Lease per job; 0 = the queue's own")
        ->capture_default_str();
    app.add_option("--wait-ms", options.wait_ms,
                   "Longest wait in the server after an empty claim; 0 = poll")
        ->capture_default_str();
    app.add_option("--poll-ms", options.poll_ms, "Wait after an empty claim where it polls")
        ->capture_default_str();
    app.add_option("--milliseconds-per-order", options.order_ms, "How long each order takes")
        ->check(CLI::Range(0, order_ms_max))
        ->capture_default_str();
    app.add_flag("--drain", options.worker.drain_and_exit, "Leave as soon as no order is ready");
    app.add_flag("--quiet", options.quiet, "Print the final figures only");
}

int run(Options &options) {
    StopSignal stop;
    stop.catch_termination();
    if (options.lease_ms != 0) {
        options.worker.lease = Milliseconds(options.lease_ms);
    }
    options.worker.max_wait = Milliseconds(options.wait_ms);
    options.worker.poll_interval = Milliseconds(options.poll_ms);
    options.worker.permanent = payment_refused;
    const std::string name = options.worker.worker;
    if (!options.quiet) {
        options.worker.log = [name](std::string_view line) {
            fmt::print(stderr, "{}: {}\n", name, line);
        };
    }
    Worker worker(options.worker, stop);
    const WorkerReport report = worker.run([&](const Job &job, Connection &transaction) {
        return handle_order(job, transaction, worker, options);
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
        CLI::App app("Fulfils orders from a Faultline queue: the example worker.", "order_worker");
        app.footer(
            "SIGTERM or SIGINT: finishes the order at hand, releases the others, exits 0.\n"
            "Exit codes: 0 stopped or drained; 1 database or server refused; 2 wrong usage.");
        add_options(app, options);
        try {
            app.parse(argc, argv);
        } catch (const CLI::ParseError &error) {
            return app.exit(error) == 0 ? exit_ok : exit_usage;
        }
        return run(options);
    } catch (const std::invalid_argument &error) {
        fmt::print(stderr, "order_worker: {}\n", error.what());
        return exit_usage;
    } catch (const std::exception &error) {
        fmt::print(stderr, "order_worker: {}\n", error.what());
        return exit_failed;
    }
}
