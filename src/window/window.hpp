// The ready windows of all queues, in shared memory: hints for claims, never decisions.
//
// A window belongs to a queue of a database and to one file of its live_jobs: row positions mean
// nothing in another one, so after VACUUM FULL, TRUNCATE or DROP EXTENSION it starts over.  Queues
// beyond the number of windows use the plain path.
#pragma once

#include "../shared_memory.hpp"

#include "../../core/ready_window.hpp"

namespace faultline {

// The jobs of one queue in one file of live_jobs, in the current database.
struct QueueRows {
    int32 queue_id;
    FileNumber file;
};

struct WindowSlot;

extern const SharedSegment window_segment;

// Whether this server keeps windows, that is, whether the library is preloaded.
bool windows_exist();

// The window of a queue that is claimed from; takes a free one, or one that nobody has used for a
// while, and gives null when there is none.
WindowSlot *window_for_claims(const QueueRows &rows);

struct TakenHints {
    uint32 count;
    bool refill_wanted; // few hints are left, and there may be more jobs in the index
    bool complete;      // no other job was due
};
// Takes up to `wanted` hints.  The caller has made sure that they are given back if it fails.
// False when the window has passed to another queue.
bool take_hints(WindowSlot *slot, const QueueRows &rows, TimestampTz now, core::ReadyHint *hints,
                uint32 wanted, TakenHints *taken);

// Jobs that wait, told when they are committed, and hints that are given back.  Sorts them.  May
// not raise: it runs when transactions end.  Returns how many the window did not know.
uint32 add_hints(const QueueRows &rows, core::ReadyHint *hints, uint32 count, bool due);

// The queue was dropped: its window is free for another one.  May not raise either.
void release_window(int32 queue_id);
// The window of the queue, or those of this database, know nothing any more.  May not raise either.
void forget_window(int32 queue_id);
void forget_windows_of_database();

// Where a refill begins.
struct RefillStart {
    WindowSlot *slot;
    QueueRows rows;
    uint32 epoch;
    core::HintPlace ready_from;
    core::HintPlace scheduled_from;
    TimestampTz due_until; // at least now
    uint32 ready_max;
    uint32 scheduled_max;
};
// False when another session refills.  Until end_refill(), or abandon_refill() when the transaction
// fails, nobody else does.
bool begin_refill(WindowSlot *slot, const QueueRows &rows, TimestampTz now, RefillStart *start);
void end_refill(const RefillStart &start, core::Refill *found);
void abandon_refill(const RefillStart &start);

// A look at the rows of a queue that the window should know: for jobs that nobody told of, and for
// leases that have ended.
struct LookResult {
    TimestampTz began_at; // by the real clock, as the end
    TimestampTz ended_at;
    TimestampTz next_lease_end; // of the running jobs met; or no_time
    bool met_ended;             // a lease that has ended, and may still wait to be settled
};
// Whether core::look_is_due(); false, too, when the window has passed to another queue.
bool look_is_due(WindowSlot *slot, const QueueRows &rows, TimestampTz now, int64 rest_microseconds);
// The place up to which the window knows; false when it has passed to another queue.
bool begin_look(WindowSlot *slot, const QueueRows &rows, TimestampTz now,
                core::HintPlace *ready_before);
void end_look(WindowSlot *slot, const QueueRows &rows, const LookResult &look);
// A lease that was granted.
void note_lease_end(WindowSlot *slot, const QueueRows &rows, TimestampTz lease_end);
// What a transaction saw that has failed does not count.  May not raise.
void demand_look(const QueueRows &rows);

// One window, for stat_memory and tests.
struct WindowReport {
    Oid database_id;
    int32 queue_id;
    uint32 ready;
    uint32 ready_slots;
    uint32 scheduled;
    uint32 scheduled_slots;
    bool ready_complete;
    bool schedule_complete;
    uint32 epoch;
};
int window_count();
bool report_window(int number, WindowReport *report); // false: nobody uses it
// For tests: forgets hints, but not that it was told of them.
void drop_hints(const QueueRows &rows);
// The window with this number; null unless it is one of the current database.
WindowSlot *window_of_database(int number, QueueRows *rows);

} // namespace faultline
