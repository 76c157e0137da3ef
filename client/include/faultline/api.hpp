// Owns the SQL functions as C++ methods: one method per verb, functions only, never tables.
// Every call may throw Error.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/ledger.hpp"
#include "core/verdict.hpp"
#include "faultline/connection.hpp"
#include "faultline/job.hpp"

namespace faultline::client {

using core::Verdict;

// The server's words; an unknown one is an Error.
Verdict verdict_from(std::string_view text);
core::TransactionState ledger_state_from(std::string_view text);

// A job and the proof that this worker holds it.
struct Lease {
    std::int64_t job_id = 0;
    std::int64_t lease_token = 0;
};

struct VerdictRow {
    std::int64_t job_id = 0;
    Verdict verdict = Verdict::unknown_job;
};

// The entry of an effect: written by this call, or there already.
struct Applied {
    Verdict verdict = Verdict::applied; // or exists
    std::int64_t entry_id = 0;
    std::string applied_at; // the server's text, for people
};

struct TransactionStatus {
    core::TransactionState state = core::TransactionState::init;
    std::optional<std::int64_t> entry_id;
    std::optional<std::int64_t> job_id; // nothing for a reversal
    std::optional<std::string> failure_reason;
};

struct EnqueueOptions {
    std::optional<std::string> kind;
    std::optional<Milliseconds> delay;
    int priority = 0; // a lower number runs first
    std::optional<int> max_attempts;
    std::optional<std::string> headers; // JSON text
};

// Absent fields take the server's defaults.
struct QueueSettings {
    std::optional<int> max_attempts;
    std::optional<Milliseconds> lease;
    std::optional<Milliseconds> backoff_base;
    std::optional<Milliseconds> backoff_max;
    std::optional<std::string> description;
};

struct InvariantViolation {
    std::string invariant;
    std::string subject;
    std::string detail;
};

struct StatusItem {
    std::string item;
    std::string state;
    std::string detail;
    std::string hint;
};

struct Turn {
    std::vector<VerdictRow> completed; // in the order of the leases
    std::vector<Job> claimed;
};

class Api {
  public:
    explicit Api(Connection &connection) : connection_(connection) {}

    void create_queue(const std::string &queue, const QueueSettings &settings = {});

    // ledger: the effect that the job must have, as the JSON text that faultline.enqueue() takes.
    std::int64_t enqueue(const std::string &queue, const std::string &payload,
                         const std::optional<std::string> &idempotency_key = std::nullopt,
                         const EnqueueOptions &options = {},
                         const std::optional<std::string> &ledger = std::nullopt);
    // Ids in the order of the payloads; idempotency_keys and ledgers are empty or as long as
    // payloads.
    std::vector<std::int64_t>
    enqueue_many(const std::string &queue, const std::vector<std::optional<std::string>> &payloads,
                 const std::vector<std::optional<std::string>> &idempotency_keys = {},
                 const EnqueueOptions &options = {},
                 const std::vector<std::optional<std::string>> &ledgers = {});

    std::vector<Job> claim(const std::string &queue, const std::string &worker, int max_jobs,
                           std::optional<Milliseconds> lease = std::nullopt);
    // Returns when one of the queues probably has a ready job, after max_wait, or when a stop is
    // requested. Outside of a transaction.
    void wait_for_jobs(const std::vector<std::string> &queues, Milliseconds max_wait,
                       const StopSignal &stop);
    // succeeded | already_succeeded
    Verdict complete(Lease lease, const std::optional<std::string> &result = std::nullopt);
    // Without an effect: the one declared at enqueue. The job still runs; apply_and_complete() ends
    // it in the same call.
    Applied apply_ledger(Lease lease, const std::optional<Effect> &effect = std::nullopt);
    Applied apply_and_complete(Lease lease, const std::optional<Effect> &effect = std::nullopt,
                               const std::optional<std::string> &result = std::nullopt);
    // Each with its declared effect: applied | exists | succeeded | already_succeeded, or why the
    // job was left as it is. results is empty or as long as leases.
    std::vector<VerdictRow>
    apply_and_complete_many(const std::vector<Lease> &leases,
                            const std::vector<std::optional<std::string>> &results = {});
    // Nothing when there is no such transaction.
    std::optional<TransactionStatus> transaction_status(const std::string &transaction_id);
    std::vector<VerdictRow> complete_many(const std::vector<Lease> &leases);
    // complete_many() and claim() in one round trip and one commit. results is empty or as long as
    // leases.
    Turn turn(const std::string &queue, const std::string &worker, const std::vector<Lease> &leases,
              int max_jobs, const std::vector<std::optional<std::string>> &results = {},
              std::optional<Milliseconds> lease = std::nullopt);
    // retrying | failed | cancelled
    Verdict fail(Lease lease, const std::string &error,
                 std::optional<Milliseconds> retry_in = std::nullopt, bool discard = false);
    void release(Lease lease, std::optional<Milliseconds> delay = std::nullopt);
    // extended | cancel_requested | stale_lease | unknown_job
    std::vector<VerdictRow> extend_many(const std::vector<Lease> &leases,
                                        std::optional<Milliseconds> lease = std::nullopt);

    std::vector<VerdictRow> cancel(const std::vector<std::int64_t> &job_ids,
                                   const std::optional<std::string> &reason = std::nullopt);
    // Either these jobs or, without ids, the oldest dead letters of the queue.
    std::vector<VerdictRow> redrive(const std::vector<std::int64_t> &job_ids,
                                    const std::optional<std::string> &queue, int max_jobs);
    std::vector<StatusItem> status();
    std::vector<InvariantViolation> check_invariants();

  private:
    Connection &connection_;
};

} // namespace faultline::client
