// Finding waiting jobs that a ready window does not know, by the index of order.
#pragma once

#include "window.hpp"

namespace faultline {

// Reads jobs of the queue from where its window ends and adds them.  False when another session
// does so at the moment.  Needs the table open, and a transaction that can take a new snapshot.
bool refill_window(WindowSlot *slot, const QueueRows &rows, Relation live_jobs, TimestampTz now);

// Looks at every due or running job that the window should know, calls met_running(row, context)
// for those that run, and adds what the window does not know: returns how many jobs that was.
int64 look_at_window(WindowSlot *slot, const QueueRows &rows, Relation live_jobs, TimestampTz now,
                     void (*met_running)(TupleTableSlot *row, void *context), void *context);

} // namespace faultline
