// The order in which the jobs of a queue run, by the index live_jobs_order: priority, next_run_at,
// job.  Whoever walks it jumps over what is not due yet to the next priority.
#pragma once

#include "live_jobs.hpp"

namespace faultline {

// `snapshot` must be registered or active for as long as the finder is open.
Finder open_order(Relation live_jobs, Snapshot snapshot);

// The next row is the first one of the queue with this priority or one that runs later.
void seek_priority(Finder &order, int32 queue_id, int16 priority);
// The same without the priority itself.
void seek_next_priority(Finder &order, int32 queue_id, int16 priority);

} // namespace faultline
