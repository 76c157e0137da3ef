// Owns the text of every SQL call. Parameters go by name, so the server's defaults stay its own.
#include "faultline/api.hpp"

#include <utility>

namespace faultline::client {

namespace {

// Named arguments of one call; NULL ones are left out.
class Call {
  public:
    void add(const char *name, Parameter value) {
        if (value.text() == nullptr) {
            return;
        }
        parameters_.push_back(std::move(value));
        arguments_ += arguments_.empty() ? "" : ", ";
        arguments_ += std::string(name) + " => $" + std::to_string(parameters_.size());
    }
    const std::string &arguments() const { return arguments_; }
    const Parameters &parameters() const { return parameters_; }

  private:
    std::string arguments_;
    Parameters parameters_;
};

void add_options(Call &call, const EnqueueOptions &options) {
    call.add("kind", options.kind);
    call.add("delay", options.delay);
    call.add("priority", options.priority);
    call.add("max_attempts", options.max_attempts);
    call.add("headers", options.headers);
}

void add_application(Call &call, Lease lease, const std::optional<Effect> &effect) {
    call.add("job_id", lease.job_id);
    call.add("lease_token", lease.lease_token);
    if (effect) {
        call.add("transaction_id", effect->transaction_id);
        call.add("debit", effect->debit);
        call.add("credit", effect->credit);
        call.add("amount", effect->amount);
        call.add("asset", effect->asset);
        call.add("metadata", effect->metadata);
    }
}

Applied applied_from(const Result &result) {
    return {verdict_from(result.text(0, result.column_index("verdict"))),
            result.bigint(0, result.column_index("entry_id")),
            std::string(result.text(0, result.column_index("applied_at")))};
}

std::optional<std::int64_t> optional_bigint(const Result &result, int row, const char *column) {
    const int index = result.column_index(column);
    return result.is_null(row, index) ? std::nullopt : std::optional(result.bigint(row, index));
}

void add_leases(Call &call, const std::vector<Lease> &leases) {
    std::vector<std::int64_t> job_ids;
    std::vector<std::int64_t> lease_tokens;
    for (const Lease &lease : leases) {
        job_ids.push_back(lease.job_id);
        lease_tokens.push_back(lease.lease_token);
    }
    call.add("job_ids", bigint_array(job_ids));
    call.add("lease_tokens", bigint_array(lease_tokens));
}

std::vector<VerdictRow> verdict_rows(const Result &result, int row_count) {
    const int job_id = result.column_index("job_id");
    const int verdict = result.column_index("verdict");
    std::vector<VerdictRow> rows;
    for (int row = 0; row < row_count; ++row) {
        rows.push_back({result.bigint(row, job_id), verdict_from(result.text(row, verdict))});
    }
    return rows;
}

std::vector<VerdictRow> verdict_rows(const Result &result) {
    return verdict_rows(result, result.row_count());
}

std::string text_or_empty(const Result &result, int row, const char *column) {
    return result.optional_text(row, result.column_index(column)).value_or("");
}

} // namespace

Verdict verdict_from(std::string_view text) {
    const std::string_view no_verdict = core::verdict_name(static_cast<Verdict>(-1));
    for (int number = 0; core::verdict_name(static_cast<Verdict>(number)) != no_verdict; ++number) {
        if (core::verdict_name(static_cast<Verdict>(number)) == text) {
            return static_cast<Verdict>(number);
        }
    }
    throw protocol_error("the server answered with a verdict this library does not know: \"" +
                         std::string(text) + "\"");
}

core::TransactionState ledger_state_from(std::string_view text) {
    for (const core::TransactionState state : core::transaction_states) {
        if (core::transaction_state_name(state) == text) {
            return state;
        }
    }
    throw protocol_error("the server answered with a state this library does not know: \"" +
                         std::string(text) + "\"");
}

void Api::create_queue(const std::string &queue, const QueueSettings &settings) {
    Call call;
    call.add("name", queue);
    call.add("max_attempts", settings.max_attempts);
    call.add("lease", settings.lease);
    call.add("backoff_base", settings.backoff_base);
    call.add("backoff_max", settings.backoff_max);
    call.add("description", settings.description);
    connection_.execute("SELECT faultline.create_queue(" + call.arguments() + ")",
                        call.parameters());
}

std::int64_t Api::enqueue(const std::string &queue, const std::string &payload,
                          const std::optional<std::string> &idempotency_key,
                          const EnqueueOptions &options, const std::optional<std::string> &ledger) {
    Call call;
    call.add("queue", queue);
    call.add("payload", payload);
    call.add("idempotency_key", idempotency_key);
    add_options(call, options);
    call.add("ledger", ledger);
    const Result result = connection_.execute("SELECT faultline.enqueue(" + call.arguments() + ")",
                                              call.parameters());
    return result.bigint(0, 0);
}

std::vector<std::int64_t>
Api::enqueue_many(const std::string &queue, const std::vector<std::optional<std::string>> &payloads,
                  const std::vector<std::optional<std::string>> &idempotency_keys,
                  const EnqueueOptions &options,
                  const std::vector<std::optional<std::string>> &ledgers) {
    Call call;
    call.add("queue", queue);
    call.add("payloads", text_array(payloads));
    if (!idempotency_keys.empty()) {
        call.add("idempotency_keys", text_array(idempotency_keys));
    }
    if (!ledgers.empty()) {
        call.add("ledger", text_array(ledgers));
    }
    add_options(call, options);
    const Result result = connection_.execute(
        "SELECT * FROM faultline.enqueue_many(" + call.arguments() + ")", call.parameters());
    std::vector<std::int64_t> job_ids;
    for (int row = 0; row < result.row_count(); ++row) {
        job_ids.push_back(result.bigint(row, 0));
    }
    if (job_ids.size() != payloads.size()) {
        throw protocol_error("enqueue_many answered with " + std::to_string(job_ids.size()) +
                             " ids for " + std::to_string(payloads.size()) + " payloads");
    }
    return job_ids;
}

std::vector<Job> Api::claim(const std::string &queue, const std::string &worker, int max_jobs,
                            std::optional<Milliseconds> lease) {
    Call call;
    call.add("queue", queue);
    call.add("worker", worker);
    call.add("max_jobs", max_jobs);
    call.add("lease", lease);
    return jobs_from(connection_.execute("SELECT " + std::string(job_columns) +
                                             " FROM faultline.claim(" + call.arguments() + ")",
                                         call.parameters()));
}

void Api::wait_for_jobs(const std::vector<std::string> &queues, Milliseconds max_wait,
                        const StopSignal &stop) {
    const std::vector<std::optional<std::string>> names(queues.begin(), queues.end());
    Call call;
    call.add("queues", text_array(names));
    call.add("max_wait", max_wait);
    connection_.execute_until_stopped("CALL faultline.wait_for_jobs(" + call.arguments() + ")",
                                      call.parameters(), stop);
}

Verdict Api::complete(Lease lease, const std::optional<std::string> &result) {
    Call call;
    call.add("job_id", lease.job_id);
    call.add("lease_token", lease.lease_token);
    call.add("result", result);
    const Result answer = connection_.execute("SELECT faultline.complete(" + call.arguments() + ")",
                                              call.parameters());
    return verdict_from(answer.text(0, 0));
}

Applied Api::apply_ledger(Lease lease, const std::optional<Effect> &effect) {
    Call call;
    add_application(call, lease, effect);
    return applied_from(connection_.execute(
        "SELECT * FROM faultline.apply_ledger(" + call.arguments() + ")", call.parameters()));
}

Applied Api::apply_and_complete(Lease lease, const std::optional<Effect> &effect,
                                const std::optional<std::string> &result) {
    Call call;
    add_application(call, lease, effect);
    call.add("result", result);
    return applied_from(connection_.execute(
        "SELECT * FROM faultline.apply_and_complete(" + call.arguments() + ")", call.parameters()));
}

std::vector<VerdictRow>
Api::apply_and_complete_many(const std::vector<Lease> &leases,
                             const std::vector<std::optional<std::string>> &results) {
    Call call;
    add_leases(call, leases);
    if (!results.empty()) {
        call.add("results", text_array(results));
    }
    return verdict_rows(connection_.execute(
        "SELECT job_id, verdict FROM faultline.apply_and_complete_many(" + call.arguments() + ")",
        call.parameters()));
}

std::optional<TransactionStatus> Api::transaction_status(const std::string &transaction_id) {
    const Result result = connection_.execute(
        "SELECT * FROM faultline.transaction_status(transaction_id => $1)", {transaction_id});
    if (result.row_count() == 0) {
        return std::nullopt;
    }
    TransactionStatus status;
    status.state = ledger_state_from(result.text(0, result.column_index("state")));
    status.entry_id = optional_bigint(result, 0, "entry_id");
    status.job_id = optional_bigint(result, 0, "job_id");
    status.failure_reason = result.optional_text(0, result.column_index("failure_reason"));
    return status;
}

std::vector<VerdictRow> Api::complete_many(const std::vector<Lease> &leases) {
    Call call;
    add_leases(call, leases);
    return verdict_rows(connection_.execute("SELECT job_id, verdict FROM faultline.complete_many(" +
                                                call.arguments() + ")",
                                            call.parameters()));
}

Turn Api::turn(const std::string &queue, const std::string &worker,
               const std::vector<Lease> &leases, int max_jobs,
               const std::vector<std::optional<std::string>> &results,
               std::optional<Milliseconds> lease) {
    Call call;
    call.add("queue", queue);
    call.add("worker", worker);
    add_leases(call, leases);
    if (!results.empty()) {
        call.add("results", text_array(results));
    }
    call.add("max_jobs", max_jobs);
    call.add("lease", lease);
    const Result result = connection_.execute("SELECT verdict, " + std::string(job_columns) +
                                                  " FROM faultline.turn(" + call.arguments() + ")",
                                              call.parameters());
    const int completed = static_cast<int>(leases.size());
    if (result.row_count() < completed) {
        throw protocol_error("turn answered with " + std::to_string(result.row_count()) +
                             " rows for " + std::to_string(completed) + " completions");
    }
    return {verdict_rows(result, completed), jobs_from(result, completed)};
}

Verdict Api::fail(Lease lease, const std::string &error, std::optional<Milliseconds> retry_in,
                  bool discard) {
    Call call;
    call.add("job_id", lease.job_id);
    call.add("lease_token", lease.lease_token);
    call.add("error", error);
    call.add("retry_in", retry_in);
    call.add("discard", discard);
    const Result answer =
        connection_.execute("SELECT faultline.fail(" + call.arguments() + ")", call.parameters());
    return verdict_from(answer.text(0, 0));
}

void Api::release(Lease lease, std::optional<Milliseconds> delay) {
    Call call;
    call.add("job_id", lease.job_id);
    call.add("lease_token", lease.lease_token);
    call.add("delay", delay);
    connection_.execute("SELECT faultline.release(" + call.arguments() + ")", call.parameters());
}

std::vector<VerdictRow> Api::extend_many(const std::vector<Lease> &leases,
                                         std::optional<Milliseconds> lease) {
    Call call;
    add_leases(call, leases);
    call.add("lease", lease);
    return verdict_rows(connection_.execute("SELECT job_id, verdict FROM faultline.extend_many(" +
                                                call.arguments() + ")",
                                            call.parameters()));
}

std::vector<VerdictRow> Api::cancel(const std::vector<std::int64_t> &job_ids,
                                    const std::optional<std::string> &reason) {
    Call call;
    call.add("job_ids", bigint_array(job_ids));
    call.add("reason", reason);
    return verdict_rows(connection_.execute("SELECT job_id, verdict FROM faultline.cancel(" +
                                                call.arguments() + ")",
                                            call.parameters()));
}

std::vector<VerdictRow> Api::redrive(const std::vector<std::int64_t> &job_ids,
                                     const std::optional<std::string> &queue, int max_jobs) {
    Call call;
    if (!job_ids.empty()) {
        call.add("job_ids", bigint_array(job_ids));
    }
    call.add("queue", queue);
    call.add("max_jobs", max_jobs);
    return verdict_rows(connection_.execute("SELECT job_id, verdict FROM faultline.redrive(" +
                                                call.arguments() + ")",
                                            call.parameters()));
}

std::vector<StatusItem> Api::status() {
    const Result result =
        connection_.execute("SELECT item, state, detail, hint FROM faultline.status()");
    std::vector<StatusItem> items;
    for (int row = 0; row < result.row_count(); ++row) {
        items.push_back({text_or_empty(result, row, "item"), text_or_empty(result, row, "state"),
                         text_or_empty(result, row, "detail"), text_or_empty(result, row, "hint")});
    }
    return items;
}

std::vector<InvariantViolation> Api::check_invariants() {
    const Result result =
        connection_.execute("SELECT invariant, subject, detail FROM faultline.check_invariants()");
    std::vector<InvariantViolation> violations;
    for (int row = 0; row < result.row_count(); ++row) {
        violations.push_back({text_or_empty(result, row, "invariant"),
                              text_or_empty(result, row, "subject"),
                              text_or_empty(result, row, "detail")});
    }
    return violations;
}

} // namespace faultline::client
