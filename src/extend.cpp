// extend() and extend_many(): a worker that is alive keeps its leases.
#include "clock.hpp"
#include "debug_point.hpp"
#include "errors.hpp"
#include "held_job.hpp"
#include "result.hpp"
#include "storage/columns.hpp"
#include "transaction.hpp"

#include "../core/lease.hpp"

namespace faultline {

namespace {

struct Extension {
    bool lease_given;
    int64 lease_microseconds;
    const Jsonb *progress; // may be null
    TimestampTz now;
};

core::Verdict extend_job(LiveJobs &live, int64 job_id, int64 lease_token,
                         const Extension &extension, TimestampTz *expires_at) {
    if (!lock_held_job(live, job_id, lease_token))
        return trace_job(job_id, lease_token).known ? core::Verdict::stale_lease
                                                    : core::Verdict::unknown_job;
    TupleTableSlot *row = live.by_id.slot;
    if (!read_column(row, live_column::cancel_requested_at).is_null)
        return core::Verdict::cancel_requested;
    QueuePolicy policy = queue_of_job(read_int32(row, live_column::queue_id));
    int64 length = extension.lease_given ? extension.lease_microseconds : policy.lease_microseconds;
    // Beyond the limit the end lies in the past: the job then ends as by any expiry, not here, so
    // that what the worker has done until somebody takes over still counts.
    *expires_at = core::granted_lease_end({.claimed_at = read_int64(row, live_column::claimed_at),
                                           .expires_at = add_microseconds(extension.now, length),
                                           .max_runtime = policy.max_runtime_microseconds});
    set_lease_end(live.table, row, *expires_at, extension.progress);
    remember_lease_end(*expires_at);
    debug_point(DebugPoint::extend_after_update);
    return core::Verdict::extended;
}

Extension read_extension(FunctionCallInfo fcinfo) {
    return {.lease_given = !PG_ARGISNULL(2),
            .lease_microseconds = bounded_interval(
                fcinfo, 2, "lease", 0, core::lease_microseconds_min, core::lease_microseconds_max),
            .progress = nullptr,
            .now = 0};
}

} // namespace

} // namespace faultline

FAULTLINE_FUNCTION(faultline_extend) {
    using namespace faultline;
    int64 job_id = required_int64(fcinfo, 0, "job_id");
    int64 lease_token = required_int64(fcinfo, 1, "lease_token");
    Extension extension = read_extension(fcinfo);
    if (!PG_ARGISNULL(3))
        extension.progress = PG_GETARG_JSONB_P(3);
    begin_verb("faultline.extend()");
    forbid_prepare();
    extension.now = clock_now();
    LiveJobs live = open_live_jobs();
    TimestampTz expires_at = 0;
    core::Verdict verdict = extend_job(live, job_id, lease_token, extension, &expires_at);
    if (verdict == core::Verdict::cancel_requested)
        ereport(ERROR, errcode_jq(core::sqlstate_cancel_requested),
                errmsg("job " INT64_FORMAT " was asked to stop", job_id),
                errdetail("cancel() was called while it runs; its lease is not extended."),
                errhint("Stop the work and call fail(discard => true), or complete() if the work "
                        "is done."));
    if (verdict != core::Verdict::extended)
        raise_lost_lease(job_id, trace_job(job_id, lease_token));
    close_live_jobs(live);
    end_verb();
    PG_RETURN_TIMESTAMPTZ(expires_at);
}

FAULTLINE_FUNCTION(faultline_extend_many) {
    using namespace faultline;
    ManyJobs jobs = read_many_jobs(fcinfo, 0, 1);
    Extension extension = read_extension(fcinfo);
    begin_verb("faultline.extend_many()");
    forbid_prepare();
    extension.now = clock_now();
    LiveJobs live = open_live_jobs();
    act_on_each(
        jobs,
        [&](const ManyJobs::Item &item) {
            TimestampTz expires_at;
            return extend_job(live, item.job_id, item.lease_token, extension, &expires_at);
        },
        same_verdict);
    close_live_jobs(live);
    end_verb();
    return_verdicts(fcinfo, jobs);
    return static_cast<Datum>(0);
}
