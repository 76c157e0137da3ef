// A look for ready jobs that takes no lock on a row: whether claiming is worth while.
#pragma once

#include "../policy.hpp"

namespace faultline {

struct ReadyLook {
    int32 queue_id;  // the first of the queues that has one, or a lease that has ended; 0: none
    int ready_count; // there, at most as many as were asked for
    // Until the next delayed job of any of the queues becomes due, when none is ready; as long as
    // the clock of the extension runs like the real one.
    int64 microseconds_to_due;
};

// Needs a transaction; leaves no snapshot behind.
ReadyLook look_for_jobs(const QueuePolicy *queues, int queue_count, int count_max);

} // namespace faultline
