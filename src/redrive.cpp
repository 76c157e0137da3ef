// redrive(): dead letters back to the queue.  A row moves within one transaction or stays where it
// is; it can collide with nothing, so it is never lost.
#include "clock.hpp"
#include "debug_point.hpp"
#include "errors.hpp"
#include "held_job.hpp"
#include "result.hpp"
#include "storage/columns.hpp"
#include "storage/events.hpp"
#include "storage/relations.hpp"
#include "transaction.hpp"
#include "window/pending.hpp"

namespace faultline {

namespace {

constexpr ColumnPair live_from_failed[] = {
    {live_column::job_id, failed_column::job_id},
    {live_column::enqueued_at, failed_column::enqueued_at},
    {live_column::queue_id, failed_column::queue_id},
    {live_column::attempt, failed_column::attempt},
    {live_column::max_attempts, failed_column::max_attempts},
    {live_column::priority, failed_column::priority},
    {live_column::declares_effect, failed_column::declares_effect},
    {live_column::kind, failed_column::kind},
    {live_column::idempotency_key, failed_column::idempotency_key},
    {live_column::payload, failed_column::payload},
    {live_column::headers, failed_column::headers},
    {live_column::progress, failed_column::progress},
    {live_column::last_error, failed_column::last_error},
    {live_column::history, failed_column::history},
};

struct Redrive {
    Table live_jobs;
    Table failed_jobs;
    Finder by_id;
    Ledger ledger;
    TimestampTz next_run_at;
    ReturnSetInfo *result;
};

// The job starts a new generation: a full budget of attempts, while `attempt` goes on growing.
void make_live(Redrive &redrive, TupleTableSlot *failed) {
    RowWriter writer(redrive.live_jobs.write_slot);
    copy_columns(writer, failed, live_from_failed);
    writer.set(live_column::next_run_at, TimestampTzGetDatum(redrive.next_run_at));
    writer.set(live_column::attempts_uncounted,
               Int32GetDatum(read_int32(failed, failed_column::attempt)));
    writer.set(live_column::generation,
               Int32GetDatum(read_int32(failed, failed_column::generation) + 1));
    writer.set(live_column::state, CharGetDatum(static_cast<char>(core::JobState::queued)));
    TupleTableSlot *row = writer.finish();
    verify_live_row(row);
    insert_row(redrive.live_jobs, row);
    note_waiting_job(redrive.live_jobs.relation, row, redrive.ledger.now);
    log_step(row, core::JobState::failed, core::JobState::queued);
}

// The transaction of a dead letter has failed for ever, so the job gets a new one with the same
// content: the first one's id with ~ and the new generation behind it.  False when that id is
// taken.
bool renew_intent(Redrive &redrive, TupleTableSlot *failed) {
    int64 job_id = read_int64(failed, failed_column::job_id);
    constexpr int32 first_generation = 1;
    require_transaction_of_job(redrive.ledger, job_id, first_generation);
    Intent next = copy_found_intent(redrive.ledger);
    Column metadata = read_column(redrive.ledger.found, transaction_column::metadata);
    if (!metadata.is_null)
        next.metadata = DatumGetJsonbPCopy(metadata.value);
    next.generation = read_int32(failed, failed_column::generation) + 1;
    next.transaction_id =
        cstring_to_text(psprintf("%s~%d", text_to_cstring(next.transaction_id), next.generation));
    return insert_intent(redrive.ledger, next, core::TransactionState::init);
}

core::Verdict redrive_job(Redrive &redrive, int64 job_id) {
    ScanKeyData key;
    int64_key(&key, 1, job_id);
    start_search(redrive.by_id, &key);
    if (!next_row(redrive.by_id))
        return trace_job(job_id, 0).known ? core::Verdict::not_failed : core::Verdict::unknown_job;
    TupleTableSlot *row = redrive.by_id.slot;
    QueuePolicy policy = queue_of_job(read_int32(row, failed_column::queue_id));
    require_access(policy, AccessLevel::operate);
    // Keeps drop_queue() away; it removes the dead letters of its queue.
    lock_queue(policy.queue_id, RowExclusiveLock);
    ItemPointerData tid = row->tts_tid;
    switch (lock_newest_row(redrive.failed_jobs, &tid, row, LockWaitSkip)) {
    case TM_Ok:
        break;
    case TM_WouldBlock:
        return core::Verdict::locked;
    default:
        return trace_job(job_id, 0).known ? core::Verdict::not_failed : core::Verdict::unknown_job;
    }
    if (job_has_entry(job_id))
        return core::Verdict::effect_applied;
    if (DatumGetBool(read_column(row, failed_column::declares_effect).value) &&
        !renew_intent(redrive, row))
        return core::Verdict::ledger_conflict;
    tid = row->tts_tid;
    make_live(redrive, row);
    debug_point(DebugPoint::redrive_after_insert);
    if (delete_row(redrive.failed_jobs, &tid) != TM_Ok)
        elog(ERROR, "could not remove locked dead letter " INT64_FORMAT, job_id);
    return core::Verdict::queued;
}

// The oldest dead letters of a queue.
int64 *dead_letters_of(const QueuePolicy &policy, int jobs_max, int *count) {
    auto *ids = static_cast<int64 *>(palloc(sizeof(int64) * jobs_max));
    *count = 0;
    Relation table = open_relation(relation_ids().failed_jobs, AccessShareLock);
    Finder by_queue = open_finder(table, relation_ids().failed_jobs_queue, GetActiveSnapshot(), 1);
    ScanKeyData key;
    int32_key(&key, 1, policy.queue_id);
    start_search(by_queue, &key);
    while (*count < jobs_max && next_row(by_queue)) {
        CHECK_FOR_INTERRUPTS();
        ids[(*count)++] = read_int64(by_queue.slot, failed_column::job_id);
    }
    close_finder(by_queue);
    table_close(table, NoLock);
    return ids;
}

int64 *jobs_to_redrive(FunctionCallInfo fcinfo, int *count) {
    int jobs_max = bounded_int32(fcinfo, 2, "max_jobs", core::maintenance_jobs_default, 1,
                                 core::maintenance_jobs_max);
    bool has_ids = !PG_ARGISNULL(0);
    bool has_queue = !PG_ARGISNULL(1);
    if (has_ids == has_queue)
        ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                errmsg("redrive needs either job_ids or a queue"),
                errdetail(has_ids ? "Both were given." : "Neither was given."),
                errhint("Call redrive(job_ids => '{...}') or redrive(queue => '...')."));
    if (has_queue) {
        QueuePolicy policy = require_queue(PG_GETARG_TEXT_PP(1));
        require_access(policy, AccessLevel::operate);
        return dead_letters_of(policy, jobs_max, count);
    }
    Elements ids = required_array(fcinfo, 0, "job_ids", INT8OID, false);
    *count = ids.count; // bounded by the array; max_jobs is for whole queues
    return sorted_ids(ids);
}

} // namespace

} // namespace faultline

FAULTLINE_FUNCTION(faultline_redrive) {
    using namespace faultline;
    int64 delay = bounded_interval(fcinfo, 3, "delay", 0, 0, core::delay_microseconds_max);
    begin_verb("faultline.redrive()");
    int count;
    int64 *ids = jobs_to_redrive(fcinfo, &count);
    Redrive redrive = {};
    TimestampTz now = clock_now();
    redrive.next_run_at = add_microseconds(now, delay);
    redrive.ledger = open_ledger(now);
    redrive.live_jobs = open_table(relation_ids().live_jobs);
    redrive.failed_jobs = open_table(relation_ids().failed_jobs);
    redrive.by_id = open_finder(redrive.failed_jobs.relation, relation_ids().failed_jobs_pkey,
                                GetActiveSnapshot(), 1);
    redrive.result = start_result(fcinfo);
    MemoryContext row_memory = create_row_memory();
    for (int i = 0; i < count; i++) {
        CHECK_FOR_INTERRUPTS();
        if (i > 0 && ids[i] == ids[i - 1])
            continue;
        core::Verdict verdict =
            in_row_memory(row_memory, [&] { return redrive_job(redrive, ids[i]); });
        add_verdict_row(redrive.result, ids[i], verdict);
    }
    MemoryContextDelete(row_memory);
    close_ledger(redrive.ledger);
    close_finder(redrive.by_id);
    close_table(redrive.failed_jobs);
    close_table(redrive.live_jobs);
    end_verb();
    return static_cast<Datum>(0);
}
