// release(): a worker gives a job back without having tried it.
#include "clock.hpp"
#include "held_job.hpp"
#include "storage/columns.hpp"
#include "transaction.hpp"

namespace faultline {

namespace {

// A job asked to stop does not go back to the queue: it ends as cancelled.
void release_job(LiveJobs &live, Archive &archive, bool has_delay, int64 delay) {
    TupleTableSlot *row = live.by_id.slot;
    if (!read_column(row, live_column::cancel_requested_at).is_null) {
        settle(live.table, archive, row,
               {.outcome = core::AttemptOutcome::released,
                .error = nullptr,
                .discard = false,
                .has_retry_delay = false,
                .retry_delay_microseconds = 0});
        return;
    }
    archive_attempt(archive, row,
                    {.outcome = core::AttemptOutcome::released, .final = false, .error = nullptr});
    // Without a delay it keeps its place in the order.
    requeue(live.table, row,
            {.next_run_at = has_delay ? add_microseconds(archive.now, delay)
                                      : read_int64(row, live_column::next_run_at),
             .last_error = nullptr,
             .uncounted = true});
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
        release_job(live, archive, has_delay, delay);
    } else {
        // A repeated call that took effect before is a success.
        JobTrace trace = trace_job(job_id, lease_token);
        if (!trace.attempt_ended || (trace.outcome != core::AttemptOutcome::released &&
                                     trace.outcome != core::AttemptOutcome::cancelled))
            raise_lost_lease(job_id, trace);
    }
    close_live_jobs(live);
    close_archive(archive);
    end_verb();
    PG_RETURN_VOID();
}
