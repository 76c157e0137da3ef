// Owns the worker's loop: claim a batch, run it job by job, wait, stop.
#include "faultline/worker.hpp"

#include <stdexcept>
#include <utility>

#include <fmt/core.h>

#include "core/limits.hpp"
#include "core/queue_name.hpp"
#include "heartbeat.hpp"
#include "job_runner.hpp"
#include "lease_book.hpp"
#include "link.hpp"
#include "log.hpp"

namespace faultline::client {

namespace {

constexpr Milliseconds poll_interval_min{1};
constexpr Milliseconds poll_interval_max{3'600'000};
constexpr Milliseconds max_wait_max{core::wait_microseconds_max / 1000};
// A wait that ended sooner was for a job that somebody else got, or cannot be had.
constexpr Milliseconds wait_short{50};
constexpr Milliseconds lease_min{core::lease_microseconds_min / 1000};
constexpr Milliseconds lease_max{core::lease_microseconds_max / 1000};

void check_duration(const char *name, Milliseconds value, Milliseconds least, Milliseconds most) {
    if (value < least || value > most) {
        throw std::invalid_argument(fmt::format("{} must be {} to {} ms, not {} ms", name,
                                                least.count(), most.count(), value.count()));
    }
}

} // namespace

Outcome Outcome::success(std::optional<std::string> result_json) {
    Outcome outcome;
    outcome.succeeded_ = true;
    outcome.result_ = std::move(result_json);
    return outcome;
}

Outcome Outcome::apply(std::optional<std::string> result_json) {
    Outcome outcome = success(std::move(result_json));
    outcome.applies_ = true;
    return outcome;
}

Outcome Outcome::apply(Effect effect, std::optional<std::string> result_json) {
    Outcome outcome = apply(std::move(result_json));
    outcome.effect_ = std::move(effect);
    return outcome;
}

Outcome Outcome::failure(std::string error, std::optional<Milliseconds> retry_in) {
    Outcome outcome;
    outcome.error_ = std::move(error);
    outcome.retry_in_ = retry_in;
    return outcome;
}

Outcome Outcome::discard(std::string error) {
    Outcome outcome = failure(std::move(error));
    outcome.discarded_ = true;
    return outcome;
}

void validate(const WorkerOptions &options) {
    if (!core::queue_name_valid(options.queue)) {
        throw std::invalid_argument(
            fmt::format("the queue name \"{}\" is not 1 to {} characters of A-Z a-z 0-9 _ . : -",
                        options.queue, core::queue_name_bytes_max));
    }
    const auto worker_bytes = options.worker.size();
    if (worker_bytes < 1 || worker_bytes > static_cast<std::size_t>(core::worker_bytes_max)) {
        throw std::invalid_argument(
            fmt::format("the worker name must have 1 to {} bytes", core::worker_bytes_max));
    }
    if (options.batch < 1 || options.batch > core::claim_jobs_max) {
        throw std::invalid_argument(
            fmt::format("batch must be 1 to {}, not {}", core::claim_jobs_max, options.batch));
    }
    if (options.lease) {
        check_duration("lease", *options.lease, lease_min, lease_max);
    }
    check_duration("longest wait", options.max_wait, Milliseconds{0}, max_wait_max);
    check_duration("poll interval", options.poll_interval, poll_interval_min, poll_interval_max);
    check_duration("largest reconnect delay", options.reconnect_delay_max, retry_delay_first,
                   poll_interval_max);
    if (options.heartbeat_interval) {
        // A heartbeat that comes after the lease's end keeps nothing alive.
        check_duration("heartbeat interval", *options.heartbeat_interval, Milliseconds{1},
                       options.lease.value_or(lease_max) / 2);
    }
}

struct Worker::State {
    State(WorkerOptions options_given, const StopSignal &stop_given)
        : options(std::move(options_given)), stop(stop_given), log(options.log),
          book(options.heartbeat_interval), link(options, stop, log),
          runner(options, link, book, log, report), pace(options.poll_interval) {}

    bool claim_batch(std::vector<Job> &jobs);
    void wait_for_work();
    bool wait_in_server();
    void run_batch(const std::vector<Job> &jobs, const Handler &handler);

    const WorkerOptions options;
    const StopSignal &stop;
    Log log;
    LeaseBook book;
    Link link;
    WorkerReport report;
    JobRunner runner;
    RetryDelay pace;
    bool waits_in_server = options.max_wait > Milliseconds{0};
    int short_waits = 0; // in a row, without a job
};

// False = the server could not be asked; worth trying again.
bool Worker::State::claim_batch(std::vector<Job> &jobs) {
    Connection *connection = link.connected();
    if (connection == nullptr) {
        return false;
    }
    try {
        const SteadyTime asked_at = std::chrono::steady_clock::now();
        jobs = Api(*connection).claim(options.queue, options.worker, options.batch, options.lease);
        link.worked();
        for (const Job &job : jobs) {
            book.hold(job, asked_at);
        }
        report.claimed += static_cast<std::int64_t>(jobs.size());
        return true;
    } catch (const Error &error) {
        if (!error.retryable()) {
            throw;
        }
        log.line("could not claim: " + std::string(error.what()));
        if (error.sqlstate() == "25006") {
            link.disconnect(); // a standby; the primary may be elsewhere by now
        }
        link.pause();
        return false;
    }
}

// False when the server does not let this worker wait.
bool Worker::State::wait_in_server() {
    Connection *connection = link.connected();
    if (connection == nullptr) {
        return true;
    }
    try {
        Api(*connection).wait_for_jobs({options.queue}, options.max_wait, stop);
        return true;
    } catch (const Error &error) {
        if (connection->is_open() && !error.retryable()) {
            log.line("polls, because it cannot wait: " + std::string(error.what()));
            return false;
        }
        log.line("could not wait: " + std::string(error.what()));
        link.pause();
        return true;
    }
}

void Worker::State::wait_for_work() {
    const SteadyTime began_at = std::chrono::steady_clock::now();
    if (waits_in_server) {
        waits_in_server = wait_in_server();
    }
    const bool was_short = std::chrono::steady_clock::now() - began_at < wait_short;
    short_waits = was_short ? short_waits + 1 : 0;
    // A job that cannot be claimed must not make this a busy loop.
    if (!waits_in_server || short_waits > 1) {
        stop.wait_for(pace.around(options.poll_interval));
    }
}

void Worker::State::run_batch(const std::vector<Job> &jobs, const Handler &handler) {
    for (const Job &job : jobs) {
        if (stop.requested()) {
            runner.release(job);
        } else {
            runner.run(job, handler);
        }
    }
}

Worker::Worker(WorkerOptions options, const StopSignal &stop) {
    validate(options);
    state_ = std::make_unique<State>(std::move(options), stop);
}

Worker::~Worker() = default;

WorkerReport Worker::run(const Handler &handler) {
    State &state = *state_;
    state.link.open();
    const Heartbeat heartbeat(state.options, state.book, state.log);
    while (!state.stop.requested()) {
        std::vector<Job> jobs;
        if (!state.claim_batch(jobs)) {
            continue;
        }
        if (jobs.empty()) {
            if (state.options.drain_and_exit) {
                break;
            }
            state.wait_for_work();
            continue;
        }
        state.short_waits = 0;
        state.run_batch(jobs, handler);
    }
    state.report.reconnects = state.link.reconnects();
    return state.report;
}

Interruption Worker::interruption() const { return state_->runner.interruption(); }

} // namespace faultline::client
