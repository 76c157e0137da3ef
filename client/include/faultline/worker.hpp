// Owns the worker: claims jobs, runs a handler for each in a transaction of its own, keeps their
// leases alive, and stops cleanly.
//
// The handler must be safe to run again with the same job: what it writes through the given
// connection happens exactly once, together with the job's success; effects outside the database
// happen once only if the receiver dedupes on the job's id.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "faultline/connection.hpp"
#include "faultline/job.hpp"
#include "faultline/stop_signal.hpp"

namespace faultline::client {

// What became of a job, in the handler's opinion.
class Outcome {
  public:
    static Outcome success(std::optional<std::string> result_json = std::nullopt);
    // Success, together with the job's ledger effect: the declared one or, if the job declared
    // none, this one. The worker applies it in the handler's transaction.
    static Outcome apply(std::optional<std::string> result_json = std::nullopt);
    static Outcome apply(Effect effect, std::optional<std::string> result_json = std::nullopt);
    // The attempt failed; the queue's backoff (or retry_in) decides when the next one comes.
    static Outcome failure(std::string error, std::optional<Milliseconds> retry_in = std::nullopt);
    // No attempt can succeed: the job becomes a dead letter now.
    static Outcome discard(std::string error);

    bool succeeded() const noexcept { return succeeded_; }
    bool discarded() const noexcept { return discarded_; }
    bool applies() const noexcept { return applies_; }
    // Nothing = as declared.
    const std::optional<Effect> &effect() const noexcept { return effect_; }
    const std::optional<std::string> &result() const noexcept { return result_; }
    const std::string &error() const noexcept { return error_; }
    std::optional<Milliseconds> retry_in() const noexcept { return retry_in_; }

  private:
    bool succeeded_ = false;
    bool discarded_ = false;
    bool applies_ = false;
    std::optional<Effect> effect_;
    std::optional<std::string> result_;
    std::string error_;
    std::optional<Milliseconds> retry_in_;
};

// Runs inside an open transaction that the worker commits together with the job's success, or
// rolls back. It must not end that transaction. An exception counts as a failure.
using Handler = std::function<Outcome(const Job &, Connection &transaction)>;

// What the heartbeat learned about a held job.
enum class Interruption { none, cancel_requested, lease_lost };

struct WorkerOptions {
    std::string conninfo;
    std::string queue;
    std::string worker; // names the worker to people
    int batch = 10;     // jobs per claim
    std::optional<Milliseconds> lease;
    // After an empty claim the worker waits in the server, by wait_for_jobs(), at most this long; 0
    // polls instead. Behind a pooler a waiter takes up a connection of the pool.
    Milliseconds max_wait{20'000};
    // How long to wait before the next claim where the worker polls, plus or minus a quarter: when
    // max_wait is 0, or the server refuses wait_for_jobs().
    Milliseconds poll_interval{1000};
    // Leave as soon as a claim brings nothing.
    bool drain_and_exit = false;
    // A third of the lease unless it is given.
    std::optional<Milliseconds> heartbeat_interval;
    Milliseconds reconnect_delay_max{5000};
    // Whether an error of the server that ended an attempt would end every other one, too: the job
    // is discarded then. Without this function each failure is retried.
    std::function<bool(const Error &)> permanent;
    // Receives one line per thing worth knowing, from any thread, one at a time.
    std::function<void(std::string_view)> log;
};

// Throws std::invalid_argument naming the first bad option and its bounds.
void validate(const WorkerOptions &options);

struct WorkerReport {
    std::int64_t claimed = 0;
    std::int64_t succeeded = 0;
    std::int64_t failed_attempts = 0; // told to the server, whatever followed
    std::int64_t released = 0;
    std::int64_t leases_lost = 0; // another owner has the job, or it has ended
    std::int64_t reconnects = 0;
    std::int64_t commits_in_doubt = 0;
};

class Worker {
  public:
    // The stop signal must live longer than the worker.
    Worker(WorkerOptions options, const StopSignal &stop);
    ~Worker();
    Worker(const Worker &) = delete;
    Worker &operator=(const Worker &) = delete;

    // Returns after a stop was requested or the queue was drained. Throws when the first
    // connection fails, or when the server refuses to let this worker claim at all.
    WorkerReport run(const Handler &handler);

    // For long handlers, about the job at hand: cancel_requested = better stop and return
    // discard(); lease_lost = whatever is done now will be rolled back.
    Interruption interruption() const;

  private:
    struct State;
    std::unique_ptr<State> state_;
};

} // namespace faultline::client
