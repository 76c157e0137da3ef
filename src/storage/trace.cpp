// Owns the search for what became of a job; off the hot path, only for late and repeated calls.
#include "trace.hpp"

#include "../errors.hpp"
#include "../stats/counting.hpp"
#include "../transaction.hpp"
#include "columns.hpp"
#include "relations.hpp"
#include "scan.hpp"
#include "table.hpp"

namespace faultline {

namespace {

// Where a table of jobs has what a trace tells.
struct TraceColumns {
    AttrNumber attempt;
    AttrNumber queue_id;
    AttrNumber generation;
    AttrNumber declares_effect;
};

void note_job(JobTrace *trace, TupleTableSlot *row, core::JobState state,
              const TraceColumns &columns) {
    trace->known = true;
    trace->state = state;
    trace->attempt = read_int32(row, columns.attempt);
    trace->queue_id = read_int32(row, columns.queue_id);
    trace->generation = read_int32(row, columns.generation);
    trace->declares_effect = DatumGetBool(read_column(row, columns.declares_effect).value);
}

void look_in_table(Oid table_oid, Oid index, Snapshot snapshot, int64 job_id, JobTrace *trace,
                   core::JobState (*state_of)(TupleTableSlot *), const TraceColumns &columns) {
    Relation table = open_relation(table_oid, AccessShareLock);
    Finder finder = open_finder(table, index, snapshot, 1);
    ScanKeyData key;
    int64_key(&key, 1, job_id);
    start_search(finder, &key);
    if (next_row(finder))
        note_job(trace, finder.slot, state_of(finder.slot), columns);
    close_finder(finder);
    table_close(table, AccessShareLock);
}

} // namespace

JobTrace trace_job(int64 job_id, int64 lease_token) {
    JobTrace trace = {};
    Snapshot snapshot = register_newest_snapshot();
    visit_rows_of_job(relation_ids().ended_attempts, job_id, snapshot, [&](TupleTableSlot *row) {
        if (read_int64(row, attempt_column::lease_token) != lease_token)
            return true;
        trace.attempt_ended = true;
        trace.outcome = static_cast<core::AttemptOutcome>(read_char(row, attempt_column::outcome));
        trace.outcome_final = DatumGetBool(read_column(row, attempt_column::final).value);
        return false;
    });
    visit_rows_of_job(relation_ids().finished_jobs, job_id, snapshot, [&](TupleTableSlot *row) {
        Column token = read_column(row, finished_column::lease_token);
        note_job(&trace, row, static_cast<core::JobState>(read_char(row, finished_column::state)),
                 {finished_column::attempt, finished_column::queue_id, finished_column::generation,
                  finished_column::declares_effect});
        trace.succeeded_with_token = trace.state == core::JobState::succeeded && !token.is_null &&
                                     DatumGetInt64(token.value) == lease_token;
        return false;
    });
    if (!trace.known)
        look_in_table(relation_ids().failed_jobs, relation_ids().failed_jobs_pkey, snapshot, job_id,
                      &trace, [](TupleTableSlot *) { return core::JobState::failed; },
                      {failed_column::attempt, failed_column::queue_id, failed_column::generation,
                       failed_column::declares_effect});
    if (!trace.known)
        look_in_table(relation_ids().live_jobs, relation_ids().live_jobs_pkey, snapshot, job_id,
                      &trace,
                      [](TupleTableSlot *row) {
                          return static_cast<core::JobState>(read_char(row, live_column::state));
                      },
                      {live_column::attempt, live_column::queue_id, live_column::generation,
                       live_column::declares_effect});
    UnregisterSnapshot(snapshot);
    return trace;
}

void raise_unknown_job(int64 job_id) {
    ereport(ERROR, errcode_jq(core::sqlstate_unknown_job),
            errmsg("job " INT64_FORMAT " does not exist", job_id),
            errdetail("It was never enqueued, its transaction rolled back, or it ended and its "
                      "history has aged out."),
            errhint("Check the id; finished jobs are kept for keep_finished of their queue."));
}

void raise_lost_lease(int64 job_id, const JobTrace &trace) {
    if (!trace.known)
        raise_unknown_job(job_id);
    count_refused_call(trace.queue_id, core::JobEvent::stale_rejected);
    ereport(ERROR, errcode_jq(core::sqlstate_stale_lease),
            errmsg("lease of job " INT64_FORMAT " is not current", job_id),
            errdetail("The job is %s, after %d claim(s); the given token is not that of a lease "
                      "in force.",
                      core::state_name(trace.state).data(), trace.attempt),
            errhint("Roll back what this attempt did: the lease expired and was taken over, was "
                    "given back, or the job has ended."));
}

} // namespace faultline
