// What the verbs report to the statistics.  It is kept in the session's own memory and added to the
// shared counters when the transaction has committed; what rolls back, also to a savepoint, does
// not count.  A transaction that is prepared counts then.  Without preload nothing is counted.
#pragma once

#include "../../core/job_state.hpp"
#include "../../core/settle.hpp"
#include "depth.hpp"

#include <optional>

namespace faultline {

// A job came into a state; `live_row` has the columns of live_jobs.  A new job comes from no state.
void count_step(TupleTableSlot *live_row, std::optional<core::JobState> from, core::JobState to);
// A running job succeeded.
void count_success(TupleTableSlot *live_row, TimestampTz now);
// An attempt ended without success; `live_row` is the running one.
void count_end_of_attempt(TupleTableSlot *live_row, core::AttemptOutcome outcome,
                          core::NextStep step, TimestampTz now);
// A worker extended its lease.
void count_extension(TupleTableSlot *running_row);
// A call asked the queue for jobs, and how many it got.
void count_claim_call(int32 queue_id, const text *worker, int jobs_claimed, TimestampTz began);
void count_events(int32 queue_id, core::JobEvent event, int64 number);
// Dead letters that were removed by other means than redrive.
void count_purged(int32 queue_id, int64 number);
// The queue is gone once the transaction commits.
void count_dropped_queue(int32 queue_id);

// At once, because the caller's transaction will roll back.
void count_refused_call(int32 queue_id, core::JobEvent refusal);

// What the transaction has done to a queue's depths so far.
DepthChange own_depth_change(int slot);

// Called once per process, from _PG_init.
void register_statistics_callbacks();

} // namespace faultline
