// fail() and fail_many(): an attempt ends without success; the job is retried or fails for good.
#include "clock.hpp"
#include "debug_point.hpp"
#include "errors.hpp"
#include "held_job.hpp"
#include "result.hpp"
#include "storage/columns.hpp"
#include "transaction.hpp"

namespace faultline {

namespace {

// The answer to a call that took effect before: the same again.
core::Verdict verdict_of_trace(const JobTrace &trace, int64 job_id) {
    if (trace.attempt_ended && trace.outcome == core::AttemptOutcome::failed)
        return trace.outcome_final ? core::Verdict::failed : core::Verdict::retrying;
    if (trace.attempt_ended && trace.outcome == core::AttemptOutcome::cancelled)
        return core::Verdict::cancelled;
    if (trace.succeeded_with_token && job_has_entry(job_id))
        return core::Verdict::succeeded;
    return trace.known ? core::Verdict::stale_lease : core::Verdict::unknown_job;
}

core::Verdict fail_job(LiveJobs &live, Archive &archive, int64 job_id, int64 lease_token,
                       const EndOfAttempt &end) {
    if (!lock_held_job(live, job_id, lease_token))
        return verdict_of_trace(trace_job(job_id, lease_token), job_id);
    debug_point(DebugPoint::fail_before_settle);
    return settle(live.table, archive, live.by_id.slot, end);
}

EndOfAttempt read_end(FunctionCallInfo fcinfo) {
    bool discard = !PG_ARGISNULL(4) && PG_GETARG_BOOL(4);
    if (discard && !PG_ARGISNULL(3))
        ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                errmsg("retry_in and discard cannot be given together"),
                errdetail("A discarded job is not retried."), errhint("Leave one of them out."));
    return {.outcome = core::AttemptOutcome::failed,
            .error = bounded_error(required_text(fcinfo, 2, "error")),
            .discard = discard,
            .has_retry_delay = !PG_ARGISNULL(3),
            .retry_delay_microseconds =
                bounded_interval(fcinfo, 3, "retry_in", 0, 0, core::delay_microseconds_max)};
}

} // namespace

} // namespace faultline

FAULTLINE_FUNCTION(faultline_fail) {
    using namespace faultline;
    int64 job_id = required_int64(fcinfo, 0, "job_id");
    int64 lease_token = required_int64(fcinfo, 1, "lease_token");
    EndOfAttempt end = read_end(fcinfo);
    begin_verb("faultline.fail()");
    Archive archive = open_archive(clock_now());
    LiveJobs live = open_live_jobs();
    core::Verdict verdict = fail_job(live, archive, job_id, lease_token, end);
    if (verdict == core::Verdict::stale_lease || verdict == core::Verdict::unknown_job)
        raise_lost_lease(job_id, trace_job(job_id, lease_token));
    close_live_jobs(live);
    close_archive(archive);
    end_verb();
    PG_RETURN_DATUM(verdict_datum(verdict));
}

FAULTLINE_FUNCTION(faultline_fail_many) {
    using namespace faultline;
    ManyJobs jobs = read_many_jobs(fcinfo, 0, 1);
    Elements errors = required_array(fcinfo, 2, "errors", TEXTOID, false);
    check_same_length({nullptr, nullptr, jobs.count}, "job_ids", errors, "errors");
    begin_verb("faultline.fail_many()");
    Archive archive = open_archive(clock_now());
    LiveJobs live = open_live_jobs();
    act_on_each(
        jobs,
        [&](const ManyJobs::Item &item) {
            const text *error = DatumGetTextPP(errors.values[item.input_index]);
            return fail_job(live, archive, item.job_id, item.lease_token,
                            {.outcome = core::AttemptOutcome::failed,
                             .error = bounded_error(error),
                             .discard = false,
                             .has_retry_delay = false,
                             .retry_delay_microseconds = 0});
        },
        same_verdict);
    close_live_jobs(live);
    close_archive(archive);
    end_verb();
    return_verdicts(fcinfo, jobs);
    return static_cast<Datum>(0);
}
