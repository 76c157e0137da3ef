// extend() and extend_many(): a worker that is alive keeps its leases.
//
// A lease that is known in memory is extended there, without a lock on its row and without a write.
// The row is read first: it says whether the lease is the caller's and how long it may become.
#include "clock.hpp"
#include "debug_point.hpp"
#include "errors.hpp"
#include "held_job.hpp"
#include "leases/lease_end.hpp"
#include "leases/lease_table.hpp"
#include "leases/pending.hpp"
#include "result.hpp"
#include "settings.hpp"
#include "stats/counting.hpp"
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
    bool in_memory; // where that is possible
};

struct Length {
    int64 microseconds;
    int64 max_runtime;
};

Length length_of(const Extension &extension, TupleTableSlot *row) {
    QueuePolicy policy = queue_of_job(read_int32(row, live_column::queue_id));
    return {.microseconds =
                extension.lease_given ? extension.lease_microseconds : policy.lease_microseconds,
            .max_runtime = policy.max_runtime_microseconds};
}

// Beyond the limit the end lies in the past: the job then ends as by any expiry, not here, so that
// what the worker has done until somebody takes over still counts.
TimestampTz end_granted(const Length &length, TupleTableSlot *row, TimestampTz now) {
    return core::granted_lease_end({.claimed_at = read_int64(row, live_column::claimed_at),
                                    .expires_at = add_microseconds(now, length.microseconds),
                                    .max_runtime = length.max_runtime});
}

// False when the row has to be locked, to find out or to write.  After a restart a lease has the
// length that its row tells, so a longer one is told there.
bool extend_without_writing(LiveJobs &live, int64 job_id, int64 lease_token,
                            const Extension &extension, TimestampTz *expires_at) {
    if (!extension.in_memory || extension.progress != nullptr || !find_live_job(live, job_id))
        return false;
    TupleTableSlot *row = live.by_id.slot;
    if (!holds_lease(row, lease_token) ||
        !read_column(row, live_column::cancel_requested_at).is_null)
        return false;
    require_access(queue_of_job(read_int32(row, live_column::queue_id)), AccessLevel::worker);
    Length length = length_of(extension, row);
    if (core::lease_length_milliseconds(length.microseconds) >
        read_int32(row, live_column::lease_milliseconds))
        return false;
    debug_point(DebugPoint::extend_before_memory);
    // A time after the row was read: a lease that somebody may have found ended is over by it.
    TimestampTz now = clock_now();
    *expires_at = end_granted(length, row, now);
    if (!extend_in_memory({.job_id = job_id,
                           .token = lease_token,
                           .end_without_memory = lease_end_without_memory(row, now),
                           .ends_at = *expires_at,
                           .now = now}))
        return false;
    count_extension(row);
    debug_point(DebugPoint::extend_after_memory);
    return true;
}

core::Verdict extend_job(LiveJobs &live, int64 job_id, int64 lease_token,
                         const Extension &extension, TimestampTz *expires_at) {
    if (extend_without_writing(live, job_id, lease_token, extension, expires_at))
        return core::Verdict::extended;
    if (!lock_held_job(live, job_id, lease_token))
        return trace_job(job_id, lease_token).known ? core::Verdict::stale_lease
                                                    : core::Verdict::unknown_job;
    TupleTableSlot *row = live.by_id.slot;
    if (!read_column(row, live_column::cancel_requested_at).is_null)
        return core::Verdict::cancel_requested;
    // It is written as a whole: a call that comes meanwhile waits for the row.
    hold_lease_until_end(job_id);
    Length length = length_of(extension, row);
    *expires_at = end_granted(length, row, extension.now);
    set_lease_end(live.table, row, *expires_at, length.microseconds, extension.progress);
    remember_lease_end(*expires_at);
    count_extension(row);
    debug_point(DebugPoint::extend_after_update);
    return core::Verdict::extended;
}

Extension read_extension(FunctionCallInfo fcinfo) {
    return {.lease_given = !PG_ARGISNULL(2),
            .lease_microseconds = bounded_interval(
                fcinfo, 2, "lease", 0, core::lease_microseconds_min, core::lease_microseconds_max),
            .progress = nullptr,
            .now = 0,
            .in_memory = false};
}

// A row that the transaction's snapshot sees may be long gone at the higher levels of isolation.
void begin_extension(const char *signature, Extension &extension) {
    begin_verb(signature);
    forbid_prepare();
    extension.now = clock_now();
    extension.in_memory =
        attach_leases(extension.now) && settings::fast_path && !IsolationUsesXactSnapshot();
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
    begin_extension("faultline.extend()", extension);
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
    begin_extension("faultline.extend_many()", extension);
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
