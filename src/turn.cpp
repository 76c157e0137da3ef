// turn(): ends the jobs that a worker has done and hands it the next ones, in one call and one
// commit.
//
// Rows are locked in the order of all verbs: first those of the jobs to complete, ascending by id
// and waiting; then the claimed ones, without waiting, so that it holds up nobody in a circle.
#include "arguments.hpp"
#include "claim.hpp"
#include "clock.hpp"
#include "complete.hpp"

FAULTLINE_FUNCTION(faultline_turn) {
    using namespace faultline;
    PreventCommandIfReadOnly("faultline.turn()");
    Claim claim = {};
    claim.with_verdict = true;
    const text *queue = required_text(fcinfo, 0, "queue");
    ManyJobs jobs = read_many_jobs(fcinfo, 2, 3);
    Elements results = read_results(fcinfo, 4, jobs);
    read_claim_arguments(fcinfo, 5, claim);
    // A mistyped name fails before anything waits for a lock.
    require_worker(queue);
    if (jobs.count > 0) {
        complete_jobs(jobs, results);
        add_verdict_rows(claim.result, jobs);
        // It may have waited, and the new leases are to be of full length.
        claim.now = clock_now();
    }
    claim_from_queue(claim, queue);
    return static_cast<Datum>(0);
}
