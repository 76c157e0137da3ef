// The sessions that wait for jobs: who sleeps on which queues, and whom to wake.  Hints only: a
// waiter that is woken looks at the rows, and one that nobody wakes looks now and then.
#pragma once

#include "../shared_memory.hpp"

#include "../../core/limits.hpp"

namespace faultline {

extern const SharedSegment waiters_segment;

// False when the library is not preloaded: then waiters look at the rows again and again.
bool waiters_share_memory();

// For whoever has just committed, or rolled back: these may not raise and allocate nothing.
//
// `ready_count` jobs of the queue became ready: as many of those who wait for it leave the line and
// look, the longest waiting first.
void wake_waiters(int32 queue_id, int ready_count);
// A job of the queue becomes ready at `due` (real time): makes sure that somebody looks then.
void expect_job(int32 queue_id, TimestampTz due);
// Policy has changed: everybody in this database looks.
void look_again_all();

// For the one who waits.  Each session is in the line once, for any of its queues.
//
// Enters the line, or stays in it, before looking at the rows, so that whatever commits after the
// look sees the waiter.  True when a job arrived for it, whereupon it had left the line.
bool enter_line(const int32 *queue_ids, int count);
// The look found nothing: the waiter will look again at this time, unless somebody else looks at
// each of its queues no later.
void plan_look(TimestampTz look_at);
// When it is to look again, as things stand: a job that arrives for it makes that now, and who
// leaves the line while keeping time may make it earlier.  The latch is set when it changes.
TimestampTz planned_look();
int waiters_in_line();
// The wait is over.  With a job found in `found_queue`, or 0; this session is then expected to
// claim from it, and hands the wake-up on otherwise.
void leave_line(int32 found_queue);

// The session claims from the queue: what it was woken for is taken.  False when it was not.
bool use_wakeup(int32 queue_id);
// It does not: wakes somebody else.
void hand_on_wakeup();
// Its transaction has failed.
void abandon_wait();

} // namespace faultline
