// Owns what happens to a job when an attempt ends: the decision is core::next_step(), this file
// writes its rows.
#include "settle.hpp"

#include "arguments.hpp"
#include "storage/columns.hpp"
#include "storage/keys.hpp"

namespace faultline {

namespace {

void start_key_expiry(TupleTableSlot *row, const QueuePolicy &policy, TimestampTz now) {
    Column key = read_column(row, live_column::idempotency_key);
    if (!key.is_null)
        set_key_expiry(policy.queue_id, DatumGetTextPP(key.value),
                       read_int64(row, live_column::job_id),
                       add_microseconds(now, policy.keep_keys_microseconds));
}

FinishedRecord cancelled_record(TupleTableSlot *row) {
    Column reason = read_column(row, live_column::cancel_reason);
    return {.state = core::JobState::cancelled,
            .result = 0,
            .result_is_null = true,
            .note = reason.is_null ? nullptr : DatumGetTextPP(reason.value)};
}

TimestampTz retry_time(const QueuePolicy &policy, const EndOfAttempt &end, int64 attempts,
                       TimestampTz now) {
    int64 delay = end.has_retry_delay
                      ? end.retry_delay_microseconds
                      : core::backoff_microseconds(policy.backoff, attempts,
                                                   pg_prng_double(&pg_global_prng_state));
    return add_microseconds(now, delay);
}

} // namespace

core::Verdict settle(Table &live_jobs, Archive &archive, TupleTableSlot *row,
                     const EndOfAttempt &end) {
    QueuePolicy policy = queue_of_job(read_int32(row, live_column::queue_id));
    core::AttemptEnd attempt_end = {
        .cancel_requested = !read_column(row, live_column::cancel_requested_at).is_null,
        .discard = end.discard,
        .attempts_counted = attempts_counted(row),
        .attempts_max = read_int32(row, live_column::max_attempts),
    };
    core::NextStep step = core::next_step(attempt_end);
    AttemptRecord record = {
        .outcome = step == core::NextStep::cancel ? core::AttemptOutcome::cancelled : end.outcome,
        .final = step != core::NextStep::retry,
        .error = end.error,
    };
    archive_attempt(archive, row, record);
    switch (step) {
    case core::NextStep::retry:
        requeue(live_jobs, row,
                {.next_run_at = retry_time(policy, end, attempt_end.attempts_counted, archive.now),
                 .last_error = end.error,
                 .uncounted = false});
        return core::Verdict::retrying;
    case core::NextStep::cancel:
        finish_job(live_jobs, archive, row, cancelled_record(row), false);
        return core::Verdict::cancelled;
    case core::NextStep::dead_letter:
        // The key of a dead letter does not expire: the job may still be redriven.
        archive_dead_letter(archive, row, core::failure_reason(attempt_end), record);
        remove_live_job(live_jobs, row);
        return core::Verdict::failed;
    }
    return core::Verdict::failed;
}

void finish_job(Table &live_jobs, Archive &archive, TupleTableSlot *row,
                const FinishedRecord &record, bool row_is_removed) {
    if (!row_is_removed)
        remove_live_job(live_jobs, row);
    archive_finished(archive, row, record);
    if (!read_column(row, live_column::idempotency_key).is_null)
        start_key_expiry(row, queue_of_job(read_int32(row, live_column::queue_id)), archive.now);
}

} // namespace faultline
