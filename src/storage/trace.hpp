// What became of a job that is not, or no longer, running under a given lease.
#pragma once

#include "../pg.hpp"

#include "../../core/job_state.hpp"
#include "../../core/settle.hpp"

namespace faultline {

struct JobTrace {
    bool known;           // the job is somewhere
    core::JobState state; // where it is now, when known
    int32 attempt;        // its number of claims, when known
    int32 queue_id;       // when known
    int32 generation;     // when known
    bool declares_effect; // when known
    bool succeeded_with_token;
    bool attempt_ended; // the lease with the token ended in `outcome`
    core::AttemptOutcome outcome;
    bool outcome_final;
};

// Looks for the job in every table, as newly committed as the isolation level allows.
JobTrace trace_job(int64 job_id, int64 lease_token);

// JQ001 or JQ002: the call of a worker that no longer holds, or never held, the job.
[[noreturn]] void raise_lost_lease(int64 job_id, const JobTrace &trace);
[[noreturn]] void raise_unknown_job(int64 job_id);

} // namespace faultline
