// The one rule for an attempt that ended without success.
#pragma once

#include "policy.hpp"
#include "storage/archive.hpp"
#include "storage/live_jobs.hpp"

#include "../core/verdict.hpp"

namespace faultline {

struct EndOfAttempt {
    core::AttemptOutcome outcome;
    const text *error; // may be null
    bool discard;
    bool has_retry_delay;
    int64 retry_delay_microseconds; // instead of the queue's back-off
};

// Ends the attempt of a locked running row.  A job that has its ledger entry succeeded, whatever
// became of the attempt.  Otherwise records the attempt, then requeues the job, cancels it, or
// makes it a dead letter; the transaction it declared becomes FAILED with it.  Returns succeeded,
// retrying, cancelled or failed.
core::Verdict settle(Table &live_jobs, Archive &archive, TupleTableSlot *row,
                     const EndOfAttempt &end);

// The job ends as succeeded or cancelled: writes its finished row, removes the live one (unless it
// is removed already) and starts the clock of its idempotency key.
void finish_job(Table &live_jobs, Archive &archive, TupleTableSlot *row,
                const FinishedRecord &record, bool row_is_removed);

} // namespace faultline
