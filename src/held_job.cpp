// Owns the common part of the verbs that act under a lease.
#include "held_job.hpp"

#include "clock.hpp"
#include "debug_point.hpp"
#include "errors.hpp"
#include "leases/lease_end.hpp"
#include "result.hpp"
#include "settings.hpp"
#include "stats/counting.hpp"
#include "storage/columns.hpp"
#include "transaction.hpp"

namespace faultline {

namespace {

bool lease_goes_on(TupleTableSlot *row) {
    TimestampTz now = clock_now();
    return lease_end(row, now) > now;
}

} // namespace

bool lease_in_force(TupleTableSlot *row, int64 lease_token) {
    if (debug_point_skips(DebugPoint::layer_fence))
        return live_state(row) == core::JobState::running;
    return holds_lease(row, lease_token) && (!settings::strict_lease || lease_goes_on(row));
}

bool lock_held_job(LiveJobs &live, int64 job_id, int64 lease_token) {
    if (!find_live_job(live, job_id))
        return false;
    TupleTableSlot *row = live.by_id.slot;
    require_access(queue_of_job(read_int32(row, live_column::queue_id)), AccessLevel::worker);
    // A stale caller neither waits for the job's holder nor holds it up.
    if (!IsolationUsesXactSnapshot() && !lease_in_force(row, lease_token))
        return false;
    return lock_live_job(live.table, row, LockWaitBlock) == RowLock::locked &&
           lease_in_force(row, lease_token);
}

bool claim_is_hidden(int64 lease_token) {
    return !settings::allow_same_transaction && claimed_in_this_transaction(lease_token);
}

void raise_same_transaction(int64 job_id) {
    ereport(ERROR, errcode_jq(core::sqlstate_same_transaction),
            errmsg("job " INT64_FORMAT " was claimed in this very transaction", job_id),
            errdetail("Its lease is visible to nobody, and a crash would not count as an attempt."),
            errhint("Commit the claim first, or set faultline.allow_same_transaction for a "
                    "transactional dequeue."));
}

const text *bounded_error(const text *error) {
    auto bytes = static_cast<int>(VARSIZE_ANY_EXHDR(error));
    if (bytes <= core::error_bytes_max)
        return error;
    int kept = pg_mbcliplen(VARDATA_ANY(error), bytes, core::error_bytes_max);
    return cstring_to_text_with_len(VARDATA_ANY(error), kept);
}

ManyJobs read_many_jobs(FunctionCallInfo fcinfo, int ids_index, int tokens_index) {
    Elements ids = required_array(fcinfo, ids_index, "job_ids", INT8OID, false);
    Elements tokens = required_array(fcinfo, tokens_index, "lease_tokens", INT8OID, false);
    check_same_length(ids, "job_ids", tokens, "lease_tokens");
    ManyJobs jobs;
    jobs.count = ids.count;
    jobs.items = static_cast<ManyJobs::Item *>(palloc(sizeof(ManyJobs::Item) * (ids.count + 1)));
    jobs.verdicts = static_cast<core::Verdict *>(palloc0(sizeof(core::Verdict) * (ids.count + 1)));
    for (int i = 0; i < ids.count; i++)
        jobs.items[i] = {DatumGetInt64(ids.values[i]), DatumGetInt64(tokens.values[i]), i};
    qsort(jobs.items, jobs.count, sizeof(ManyJobs::Item), [](const void *a, const void *b) {
        const auto *left = static_cast<const ManyJobs::Item *>(a);
        const auto *right = static_cast<const ManyJobs::Item *>(b);
        if (left->job_id != right->job_id)
            return left->job_id < right->job_id ? -1 : 1;
        if (left->lease_token != right->lease_token)
            return left->lease_token < right->lease_token ? -1 : 1;
        return left->input_index - right->input_index;
    });
    return jobs;
}

Elements read_results(FunctionCallInfo fcinfo, int results_index, const ManyJobs &jobs) {
    if (PG_ARGISNULL(results_index))
        return {};
    Elements results = required_array(fcinfo, results_index, "results", JSONBOID, true);
    check_same_length({nullptr, nullptr, jobs.count}, "job_ids", results, "results");
    return results;
}

bool repeats_previous(const ManyJobs &jobs, int position) {
    return position > 0 && jobs.items[position].job_id == jobs.items[position - 1].job_id &&
           jobs.items[position].lease_token == jobs.items[position - 1].lease_token;
}

void add_verdict_rows(ReturnSetInfo *result, const ManyJobs &jobs) {
    auto *ids_in_order = static_cast<int64 *>(palloc(sizeof(int64) * (jobs.count + 1)));
    for (int i = 0; i < jobs.count; i++) {
        const ManyJobs::Item &item = jobs.items[i];
        ids_in_order[item.input_index] = item.job_id;
        if (jobs.verdicts[item.input_index] == core::Verdict::stale_lease)
            count_refused_call(trace_job(item.job_id, item.lease_token).queue_id,
                               core::JobEvent::stale_rejected);
    }
    for (int i = 0; i < jobs.count; i++)
        add_verdict_row(result, ids_in_order[i], jobs.verdicts[i]);
}

void return_verdicts(FunctionCallInfo fcinfo, const ManyJobs &jobs) {
    add_verdict_rows(start_result(fcinfo), jobs);
}

} // namespace faultline
