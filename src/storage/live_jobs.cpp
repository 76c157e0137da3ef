// Owns the rows of live_jobs and every change that leaves a job there.  Lock order: job row, then
// its idempotency key; several job rows in the order of their ids.
#include "live_jobs.hpp"

#include "../errors.hpp"
#include "columns.hpp"
#include "events.hpp"
#include "relations.hpp"

#include "../../core/fence.hpp"
#include "../../core/lease.hpp"

namespace faultline {

namespace {

void check_transition(TupleTableSlot *row, core::JobState to) {
    core::JobState from = live_state(row);
    if (core::transition_allowed(from, to))
        return;
    ereport(ERROR, errcode_jq(core::sqlstate_illegal_transition),
            errmsg("a %s job cannot become %s", core::state_name(from).data(),
                   core::state_name(to).data()),
            errdetail("This is job " INT64_FORMAT ".", read_int64(row, live_column::job_id)),
            errhint("Nobody but the functions of the extension may write its tables."));
}

void store_change(Table &live_jobs, TupleTableSlot *row, TupleTableSlot *changed) {
    ItemPointerData tid = row->tts_tid;
    verify_live_row(changed);
    TM_Result outcome = update_row(live_jobs, &tid, changed, true);
    if (outcome != TM_Ok)
        elog(ERROR, "could not change locked job " INT64_FORMAT ": %d",
             read_int64(row, live_column::job_id), outcome);
}

void set_lease_columns(RowWriter &writer, TimestampTz expires_at, int64 microseconds) {
    writer.set(live_column::lease_expires_at, TimestampTzGetDatum(expires_at));
    writer.set(live_column::lease_milliseconds,
               Int32GetDatum(core::lease_length_milliseconds(microseconds)));
}

void clear_lease(RowWriter &writer) {
    writer.set_null(live_column::lease_token);
    writer.set_null(live_column::lease_expires_at);
    writer.set_null(live_column::lease_milliseconds);
    writer.set_null(live_column::claimed_at);
    writer.set_null(live_column::lease_owner);
    writer.set_null(live_column::cancel_requested_at);
    writer.set_null(live_column::cancel_reason);
}

} // namespace

LiveJobs open_live_jobs() {
    Table table = open_table(relation_ids().live_jobs);
    Finder by_id =
        open_finder(table.relation, relation_ids().live_jobs_pkey, GetActiveSnapshot(), 1);
    return LiveJobs{table, by_id};
}

void close_live_jobs(LiveJobs &live) {
    close_finder(live.by_id);
    close_table(live.table);
}

bool find_live_job(LiveJobs &live, int64 job_id) {
    ScanKeyData key;
    int64_key(&key, 1, job_id);
    start_search(live.by_id, &key);
    if (next_row(live.by_id))
        return true;
    // Enqueued or redriven since the snapshot?
    if (IsolationUsesXactSnapshot() &&
        load_newest(live.table.relation, relation_ids().live_jobs_pkey, &key, 1, live.by_id.slot))
        raise_serialization_failure();
    return false;
}

RowLock lock_live_job(Table &live_jobs, TupleTableSlot *slot, LockWaitPolicy wait_policy) {
    int64 job_id = read_int64(slot, live_column::job_id);
    ItemPointerData tid = slot->tts_tid;
    switch (lock_newest_row(live_jobs, &tid, slot, wait_policy)) {
    case TM_Ok:
        // A chain of versions is followed by position: make sure that it is still this job.
        if (read_int64(slot, live_column::job_id) != job_id)
            return RowLock::gone;
        verify_live_row(slot);
        return RowLock::locked;
    case TM_WouldBlock:
        return RowLock::skipped;
    default:
        return RowLock::gone;
    }
}

core::JobState live_state(TupleTableSlot *row) {
    return static_cast<core::JobState>(read_char(row, live_column::state));
}

int16 priority_of(TupleTableSlot *row) {
    return DatumGetInt16(read_column(row, live_column::priority).value);
}

bool holds_lease(TupleTableSlot *row, int64 lease_token) {
    Column token = read_column(row, live_column::lease_token);
    return core::lease_is_current(live_state(row), !token.is_null, DatumGetInt64(token.value),
                                  lease_token);
}

bool declares_effect(TupleTableSlot *row) {
    return DatumGetBool(read_column(row, live_column::declares_effect).value);
}

int64 attempts_counted(TupleTableSlot *row) {
    return static_cast<int64>(read_int32(row, live_column::attempt)) -
           read_int32(row, live_column::attempts_uncounted);
}

void verify_live_row(TupleTableSlot *row) {
    int64 job_id = read_int64(row, live_column::job_id);
    core::JobState state = live_state(row);
    if (state != core::JobState::queued && state != core::JobState::running)
        raise_corrupt_row(job_id, "A live job is neither queued nor running.");
    bool running = state == core::JobState::running;
    for (AttrNumber column :
         {live_column::lease_token, live_column::lease_expires_at, live_column::lease_milliseconds,
          live_column::claimed_at, live_column::lease_owner})
        if (read_column(row, column).is_null == running)
            raise_corrupt_row(job_id, "A job has a lease exactly while it runs (INV_009).");
    int64 counted = attempts_counted(row);
    if (counted < 0 || counted > read_int32(row, live_column::max_attempts))
        raise_corrupt_row(job_id, "Attempts lie within 0 and max_attempts (INV_010).");
}

TM_Result start_running(Table &live_jobs, TupleTableSlot *row, const Lease &lease,
                        bool row_is_locked) {
    check_transition(row, core::JobState::running);
    ItemPointerData tid = row->tts_tid;
    RowWriter writer(live_jobs.write_slot, row);
    writer.set(live_column::state, CharGetDatum(static_cast<char>(core::JobState::running)));
    writer.set(live_column::attempt, Int32GetDatum(read_int32(row, live_column::attempt) + 1));
    writer.set(live_column::lease_token, Int64GetDatum(lease.token));
    writer.set(live_column::claimed_at, TimestampTzGetDatum(lease.claimed_at));
    set_lease_columns(writer, lease.expires_at, lease.microseconds);
    writer.set(live_column::lease_owner, PointerGetDatum(lease.owner));
    TupleTableSlot *changed = writer.finish();
    verify_live_row(changed);
    TM_Result outcome = update_row(live_jobs, &tid, changed, row_is_locked);
    if (outcome == TM_Ok)
        log_step(changed, core::JobState::queued, core::JobState::running);
    return outcome;
}

void requeue(Table &live_jobs, TupleTableSlot *row, const Requeue &requeue) {
    check_transition(row, core::JobState::queued);
    RowWriter writer(live_jobs.write_slot, row);
    writer.set(live_column::state, CharGetDatum(static_cast<char>(core::JobState::queued)));
    writer.set(live_column::next_run_at, TimestampTzGetDatum(requeue.next_run_at));
    if (requeue.last_error != nullptr)
        writer.set(live_column::last_error, PointerGetDatum(requeue.last_error));
    if (requeue.uncounted)
        writer.set(live_column::attempts_uncounted,
                   Int32GetDatum(read_int32(row, live_column::attempts_uncounted) + 1));
    clear_lease(writer);
    store_change(live_jobs, row, writer.finish());
    log_step(row, core::JobState::running, core::JobState::queued);
}

void set_lease_end(Table &live_jobs, TupleTableSlot *row, TimestampTz expires_at,
                   int64 microseconds, const Jsonb *progress) {
    RowWriter writer(live_jobs.write_slot, row);
    set_lease_columns(writer, expires_at, microseconds);
    if (progress != nullptr)
        writer.set(live_column::progress, JsonbPGetDatum(progress));
    TupleTableSlot *changed = writer.finish();
    store_change(live_jobs, row, changed);
    note_lease_granted(changed);
}

void set_cancel_requested(Table &live_jobs, TupleTableSlot *row, TimestampTz at,
                          const text *reason) {
    RowWriter writer(live_jobs.write_slot, row);
    writer.set(live_column::cancel_requested_at, TimestampTzGetDatum(at));
    if (reason != nullptr)
        writer.set(live_column::cancel_reason, PointerGetDatum(reason));
    store_change(live_jobs, row, writer.finish());
}

void remove_live_job(Table &live_jobs, TupleTableSlot *row) {
    ItemPointerData tid = row->tts_tid;
    TM_Result outcome = delete_row(live_jobs, &tid);
    if (outcome != TM_Ok)
        elog(ERROR, "could not remove locked job " INT64_FORMAT ": %d",
             read_int64(row, live_column::job_id), outcome);
}

} // namespace faultline
