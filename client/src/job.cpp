// Owns the match between the columns of claimed_job and the fields of Job.
#include "faultline/job.hpp"

#include <algorithm>

namespace faultline::client {

const char *const job_columns =
    "job_id, queue, kind, payload, headers, attempt, max_attempts, lease_token, lease_expires_at, "
    "extract(epoch FROM lease_expires_at - faultline.clock_now()) AS lease_remaining_seconds, "
    "enqueued_at, last_error, progress, ledger ->> 'transaction_id' AS transaction_id, "
    "ledger ->> 'debit' AS debit, ledger ->> 'credit' AS credit, "
    "ledger ->> 'amount' AS amount, ledger ->> 'asset' AS asset";

namespace {

// Where each column stands, looked up once for an answer.
struct JobColumns {
    explicit JobColumns(const Result &result)
        : job_id(result.column_index("job_id")), queue(result.column_index("queue")),
          kind(result.column_index("kind")), payload(result.column_index("payload")),
          headers(result.column_index("headers")), attempt(result.column_index("attempt")),
          max_attempts(result.column_index("max_attempts")),
          lease_token(result.column_index("lease_token")),
          lease_expires_at(result.column_index("lease_expires_at")),
          lease_remaining_seconds(result.column_index("lease_remaining_seconds")),
          enqueued_at(result.column_index("enqueued_at")),
          last_error(result.column_index("last_error")), progress(result.column_index("progress")),
          transaction_id(result.column_index("transaction_id")),
          debit(result.column_index("debit")), credit(result.column_index("credit")),
          amount(result.column_index("amount")), asset(result.column_index("asset")) {}

    int job_id, queue, kind, payload, headers, attempt, max_attempts, lease_token, lease_expires_at,
        lease_remaining_seconds, enqueued_at, last_error, progress, transaction_id, debit, credit,
        amount, asset;
};

Milliseconds milliseconds_from_seconds(double seconds) {
    // Rounded down: believing in less lease than there is costs nothing.
    return Milliseconds(static_cast<std::int64_t>(std::max(seconds, 0.0) * 1000.0));
}

std::optional<Effect> effect_from(const Result &result, int row, const JobColumns &columns) {
    if (result.is_null(row, columns.transaction_id)) {
        return std::nullopt;
    }
    Effect effect;
    effect.transaction_id = result.text(row, columns.transaction_id);
    effect.debit = result.text(row, columns.debit);
    effect.credit = result.text(row, columns.credit);
    effect.amount = result.bigint(row, columns.amount);
    effect.asset = result.text(row, columns.asset);
    return effect;
}

Job job_from(const Result &result, int row, const JobColumns &columns) {
    Job job;
    job.job_id = result.bigint(row, columns.job_id);
    job.queue = result.text(row, columns.queue);
    job.kind = result.optional_text(row, columns.kind);
    job.payload = result.text(row, columns.payload);
    job.headers = result.optional_text(row, columns.headers);
    job.attempt = result.integer(row, columns.attempt);
    job.max_attempts = result.integer(row, columns.max_attempts);
    job.lease_token = result.bigint(row, columns.lease_token);
    job.lease_expires_at = result.text(row, columns.lease_expires_at);
    job.lease_remaining =
        milliseconds_from_seconds(result.number(row, columns.lease_remaining_seconds));
    job.enqueued_at = result.text(row, columns.enqueued_at);
    job.last_error = result.optional_text(row, columns.last_error);
    job.progress = result.optional_text(row, columns.progress);
    job.effect = effect_from(result, row, columns);
    return job;
}

} // namespace

std::vector<Job> jobs_from(const Result &result, int first_row) {
    const JobColumns columns(result);
    std::vector<Job> jobs;
    jobs.reserve(static_cast<std::size_t>(result.row_count() - first_row));
    for (int row = first_row; row < result.row_count(); ++row) {
        jobs.push_back(job_from(result, row, columns));
    }
    return jobs;
}

} // namespace faultline::client
