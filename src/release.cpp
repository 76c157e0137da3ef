// release(): a worker gives a job back without having tried it.
#include "clock.hpp"
#include "debug_point.hpp"
#include "held_job.hpp"
#include "transaction.hpp"

namespace faultline {

namespace {

// The answer to a call that took effect before is the same again.
bool took_effect_before(const JobTrace &trace, int64 job_id) {
    if (trace.attempt_ended)
        return trace.outcome == core::AttemptOutcome::released ||
               trace.outcome == core::AttemptOutcome::cancelled;
    return trace.succeeded_with_token && job_has_entry(job_id);
}

} // namespace

} // namespace faultline

FAULTLINE_FUNCTION(faultline_release) {
    using namespace faultline;
    int64 job_id = required_int64(fcinfo, 0, "job_id");
    int64 lease_token = required_int64(fcinfo, 1, "lease_token");
    bool has_delay = !PG_ARGISNULL(2);
    int64 delay = bounded_interval(fcinfo, 2, "delay", 0, 0, core::delay_microseconds_max);
    begin_verb("faultline.release()");
    Archive archive = open_archive(clock_now());
    LiveJobs live = open_live_jobs();
    if (lock_held_job(live, job_id, lease_token)) {
        settle(live.table, archive, live.by_id.slot,
               {.outcome = core::AttemptOutcome::released,
                .error = nullptr,
                .discard = false,
                .has_retry_delay = has_delay,
                .retry_delay_microseconds = delay});
        debug_point(DebugPoint::release_after_update);
    } else {
        JobTrace trace = trace_job(job_id, lease_token);
        if (!took_effect_before(trace, job_id))
            raise_lost_lease(job_id, trace);
    }
    close_live_jobs(live);
    close_archive(archive);
    end_verb();
    PG_RETURN_VOID();
}
