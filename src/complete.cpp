// complete() and complete_many(): a job ends as succeeded, if the caller's lease is in force.
#include "complete.hpp"

#include "clock.hpp"
#include "debug_point.hpp"
#include "errors.hpp"
#include "result.hpp"
#include "storage/columns.hpp"
#include "transaction.hpp"

namespace faultline {

namespace {

struct Completion {
    int64 job_id;
    int64 lease_token;
    Datum result;
    bool result_is_null;
};

core::Verdict verdict_of_trace(const JobTrace &trace) {
    if (trace.succeeded_with_token)
        return core::Verdict::already_succeeded;
    return trace.known ? core::Verdict::stale_lease : core::Verdict::unknown_job;
}

// Removes the row of a job that runs under the token, without a lock record of its own when the
// version the snapshot sees is still the newest.  False: the lease was lost meanwhile.
bool remove_held_row(LiveJobs &live, int64 lease_token) {
    TupleTableSlot *row = live.by_id.slot;
    ItemPointerData tid = row->tts_tid;
    switch (delete_row(live.table, &tid)) {
    case TM_Ok:
        return true;
    case TM_Updated:
        // Extended, or asked to stop, since the snapshot: decide on the newest version.
        if (lock_live_job(live.table, row, LockWaitBlock) != RowLock::locked ||
            !lease_in_force(row, lease_token))
            return false;
        remove_live_job(live.table, row);
        return true;
    case TM_Deleted:
        if (IsolationUsesXactSnapshot())
            raise_serialization_failure();
        return false;
    default:
        return false;
    }
}

core::Verdict complete_job(LiveJobs &live, Archive &archive, const Completion &completion) {
    if (claim_is_hidden(completion.lease_token))
        return core::Verdict::same_transaction;
    if (!find_live_job(live, completion.job_id))
        return verdict_of_trace(trace_job(completion.job_id, completion.lease_token));
    TupleTableSlot *row = live.by_id.slot;
    require_access(queue_of_job(read_int32(row, live_column::queue_id)), AccessLevel::worker);
    // The snapshot may be older than the claim; locking raises 40001 then.
    if (IsolationUsesXactSnapshot() && !lease_in_force(row, completion.lease_token))
        lock_live_job(live.table, row, LockWaitBlock);
    if (!lease_in_force(row, completion.lease_token))
        return verdict_of_trace(trace_job(completion.job_id, completion.lease_token));
    if (declares_effect(row) && !job_has_entry(completion.job_id)) {
        // It may be on its way: whoever writes it has the job locked.
        if (lock_live_job(live.table, row, LockWaitBlock) != RowLock::locked ||
            !lease_in_force(row, completion.lease_token))
            return verdict_of_trace(trace_job(completion.job_id, completion.lease_token));
        if (!job_has_entry(completion.job_id))
            return core::Verdict::ledger_entry_missing;
    }
    if (!remove_held_row(live, completion.lease_token))
        return verdict_of_trace(trace_job(completion.job_id, completion.lease_token));
    debug_point(DebugPoint::complete_after_delete);
    verify_live_row(row);
    finish_job(live.table, archive, row,
               {.state = core::JobState::succeeded,
                .result = completion.result,
                .result_is_null = completion.result_is_null,
                .note = nullptr},
               true);
    debug_point(DebugPoint::complete_after_archive);
    return core::Verdict::succeeded;
}

[[noreturn]] void raise_entry_missing(int64 job_id) {
    ereport(ERROR, errcode_jq(core::sqlstate_ledger_entry_missing),
            errmsg("job " INT64_FORMAT " has no ledger entry", job_id),
            errdetail("It was enqueued with a ledger intent, so it cannot succeed without one."),
            errhint("Call apply_and_complete(), or apply_ledger() before complete(); or fail()."));
}

} // namespace

void complete_jobs(ManyJobs &jobs, const Elements &results) {
    begin_verb("faultline.complete_many()");
    Archive archive = open_archive(clock_now());
    LiveJobs live = open_live_jobs();
    act_on_each(
        jobs,
        [&](const ManyJobs::Item &item) {
            bool no_result = results.values == nullptr || results.nulls[item.input_index];
            return complete_job(live, archive,
                                {.job_id = item.job_id,
                                 .lease_token = item.lease_token,
                                 .result = no_result ? 0 : results.values[item.input_index],
                                 .result_is_null = no_result});
        },
        [](core::Verdict first) {
            return first == core::Verdict::succeeded ? core::Verdict::already_succeeded : first;
        });
    close_live_jobs(live);
    close_archive(archive);
    end_verb();
}

} // namespace faultline

FAULTLINE_FUNCTION(faultline_complete) {
    using namespace faultline;
    Completion completion = {
        .job_id = required_int64(fcinfo, 0, "job_id"),
        .lease_token = required_int64(fcinfo, 1, "lease_token"),
        .result = PG_ARGISNULL(2) ? 0 : PG_GETARG_DATUM(2),
        .result_is_null = PG_ARGISNULL(2),
    };
    begin_verb("faultline.complete()");
    Archive archive = open_archive(clock_now());
    LiveJobs live = open_live_jobs();
    core::Verdict verdict = complete_job(live, archive, completion);
    if (verdict == core::Verdict::same_transaction)
        raise_same_transaction(completion.job_id);
    if (verdict == core::Verdict::ledger_entry_missing)
        raise_entry_missing(completion.job_id);
    if (verdict == core::Verdict::stale_lease || verdict == core::Verdict::unknown_job)
        raise_lost_lease(completion.job_id, trace_job(completion.job_id, completion.lease_token));
    close_live_jobs(live);
    close_archive(archive);
    end_verb();
    PG_RETURN_DATUM(verdict_datum(verdict));
}

FAULTLINE_FUNCTION(faultline_complete_many) {
    using namespace faultline;
    ManyJobs jobs = read_many_jobs(fcinfo, 0, 1);
    Elements results = read_results(fcinfo, 2, jobs);
    complete_jobs(jobs, results);
    return_verdicts(fcinfo, jobs);
    return static_cast<Datum>(0);
}
