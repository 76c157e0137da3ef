// The limit of jobs that may wait in a queue.
#pragma once

#include "policy.hpp"

namespace faultline {

void require_room_within_limit(const QueuePolicy &policy, int64 jobs_new);

// Raises JQ010 when the queue has no room for so many new jobs.  A soft limit: transactions that
// enqueue at the same time do not see each other's jobs, and each of them may fill the room.
inline void require_room(const QueuePolicy &policy, int64 jobs_new) {
    if (policy.max_backlog > 0 && jobs_new > 0)
        require_room_within_limit(policy, jobs_new);
}

} // namespace faultline
