// cancel(): queued jobs end now, running ones are asked to stop.
#include "clock.hpp"
#include "debug_point.hpp"
#include "held_job.hpp"
#include "result.hpp"
#include "storage/columns.hpp"
#include "transaction.hpp"

namespace faultline {

namespace {

core::Verdict cancel_job(LiveJobs &live, Archive &archive, int64 job_id, const text *reason) {
    if (!find_live_job(live, job_id) ||
        lock_live_job(live.table, live.by_id.slot, LockWaitBlock) != RowLock::locked)
        return trace_job(job_id, 0).known ? core::Verdict::already_finished
                                          : core::Verdict::unknown_job;
    TupleTableSlot *row = live.by_id.slot;
    require_access(queue_of_job(read_int32(row, live_column::queue_id)), AccessLevel::operate);
    if (live_state(row) == core::JobState::running) {
        if (read_column(row, live_column::cancel_requested_at).is_null) {
            set_cancel_requested(live.table, row, archive.now, reason);
            debug_point(DebugPoint::cancel_after_update);
        }
        return core::Verdict::cancel_requested;
    }
    // Written by hand: its next attempt will find that it is done.
    if (job_has_entry(job_id))
        return core::Verdict::effect_applied;
    finish_job(
        live.table, archive, row,
        {.state = core::JobState::cancelled, .result = 0, .result_is_null = true, .note = reason},
        false);
    debug_point(DebugPoint::cancel_after_update);
    return core::Verdict::cancelled;
}

} // namespace

} // namespace faultline

FAULTLINE_FUNCTION(faultline_cancel) {
    using namespace faultline;
    Elements ids = required_array(fcinfo, 0, "job_ids", INT8OID, false);
    const text *reason = optional_text(fcinfo, 1, "reason", core::reason_bytes_max);
    int64 *sorted = sorted_ids(ids);
    begin_verb("faultline.cancel()");
    Archive archive = open_archive(clock_now());
    LiveJobs live = open_live_jobs();
    ReturnSetInfo *result = start_result(fcinfo);
    MemoryContext row_memory = create_row_memory();
    for (int i = 0; i < ids.count; i++) {
        CHECK_FOR_INTERRUPTS();
        if (i > 0 && sorted[i] == sorted[i - 1])
            continue;
        core::Verdict verdict =
            in_row_memory(row_memory, [&] { return cancel_job(live, archive, sorted[i], reason); });
        add_verdict_row(result, sorted[i], verdict);
    }
    MemoryContextDelete(row_memory);
    close_live_jobs(live);
    close_archive(archive);
    end_verb();
    return static_cast<Datum>(0);
}
