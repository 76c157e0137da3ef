// Owns what happens to a job when an attempt ends: the decision is core::next_step(), this file
// writes its rows.
#include "settle.hpp"

#include "arguments.hpp"
#include "debug_point.hpp"
#include "retry_budget.hpp"
#include "stats/counting.hpp"
#include "storage/columns.hpp"
#include "storage/events.hpp"
#include "storage/keys.hpp"
#include "window/pending.hpp"

#include "../core/retry_budget.hpp"

namespace faultline {

namespace {

// Without a row nobody could tell reconciliation how a job with a declared effect ended.
bool keeps_finished(TupleTableSlot *row, const QueuePolicy &policy) {
    return policy.keep_finished_microseconds > 0 || declares_effect(row);
}

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

double unit_random() { return pg_prng_double(&pg_global_prng_state); }

// A released job keeps its place in the order, unless a delay was asked for, and is no retry.
TimestampTz retry_time(const QueuePolicy &policy, const EndOfAttempt &end, TupleTableSlot *row,
                       TimestampTz now) {
    bool released = end.outcome == core::AttemptOutcome::released;
    if (released && !end.has_retry_delay)
        return read_int64(row, live_column::next_run_at);
    int64 delay =
        end.has_retry_delay
            ? end.retry_delay_microseconds
            : core::backoff_microseconds(policy.backoff, attempts_counted(row), unit_random());
    if (!released && retry_is_over_budget(policy)) {
        delay = core::deferred_microseconds(policy.backoff, delay, unit_random());
        count_events(policy.queue_id, core::JobEvent::retries_deferred, 1);
    }
    return add_microseconds(now, delay);
}

// Nobody will apply what the job declared: its transaction ends with it, in the same commit.
void fail_intent(Ledger &ledger, TupleTableSlot *row, const text *reason) {
    if (!declares_effect(row) ||
        !find_transaction_of_job(ledger, read_int64(row, live_column::job_id),
                                 read_int32(row, live_column::generation)))
        return;
    lock_transaction(ledger);
    if (found_state(ledger) == core::TransactionState::init)
        move_transaction(ledger, core::TransactionState::failed,
                         {.failure_reason = reason, .metadata = nullptr});
}

} // namespace

core::Verdict settle(Table &live_jobs, Archive &archive, TupleTableSlot *row,
                     const EndOfAttempt &end) {
    QueuePolicy policy = queue_of_job(read_int32(row, live_column::queue_id));
    bool released = end.outcome == core::AttemptOutcome::released;
    core::AttemptEnd attempt_end = {
        .effect_exists = job_has_entry(read_int64(row, live_column::job_id)),
        .cancel_requested = !read_column(row, live_column::cancel_requested_at).is_null,
        .released = released,
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
    count_end_of_attempt(row, end.outcome, step, archive.now);
    if (step != core::NextStep::succeed)
        archive_attempt(archive, row, record);
    debug_point(DebugPoint::settle_before_update);
    switch (step) {
    case core::NextStep::retry:
        requeue(live_jobs, row,
                {.next_run_at = retry_time(policy, end, row, archive.now),
                 .last_error = end.error,
                 .uncounted = released});
        note_waiting_job(live_jobs.relation, live_jobs.write_slot, archive.now);
        return core::Verdict::retrying;
    case core::NextStep::cancel:
        finish_job(live_jobs, archive, row, cancelled_record(row), false);
        return core::Verdict::cancelled;
    case core::NextStep::dead_letter:
        // The key of a dead letter does not expire: the job may still be redriven.
        archive_dead_letter(archive, row, core::failure_reason(attempt_end), record);
        fail_intent(archive.ledger, row, end.error);
        remove_live_job(live_jobs, row);
        return core::Verdict::failed;
    case core::NextStep::succeed:
        finish_job(live_jobs, archive, row,
                   {.state = core::JobState::succeeded,
                    .result = 0,
                    .result_is_null = true,
                    .note = end.error},
                   false);
        break;
    }
    return core::Verdict::succeeded;
}

void finish_job(Table &live_jobs, Archive &archive, TupleTableSlot *row,
                const FinishedRecord &record, bool row_is_removed) {
    if (record.state == core::JobState::cancelled)
        fail_intent(archive.ledger, row,
                    record.note != nullptr ? record.note : cstring_to_text("cancelled"));
    if (!row_is_removed)
        remove_live_job(live_jobs, row);
    QueuePolicy policy = queue_of_job(read_int32(row, live_column::queue_id));
    if (keeps_finished(row, policy))
        archive_finished(archive, row, record);
    if (record.state == core::JobState::succeeded)
        count_success(row, archive.now);
    log_step(row, live_state(row), record.state);
    start_key_expiry(row, policy, archive.now);
}

} // namespace faultline
