// What the rows of a queue say: how many jobs wait and run, and since when the oldest one waits.
// Everything here looks at a bounded number of index entries and says whether that was enough.
#pragma once

#include "../storage/scan.hpp"

namespace faultline {

struct Census {
    int64 ready;
    int64 scheduled;
    int64 running;
    int64 dead;
    TimestampTz oldest_ready; // the earliest next_run_at of a ready job; no_time without one
    bool ready_complete;      // ready jobs, and running ones among them, were all seen
    bool scheduled_complete;
    bool dead_complete;

    bool complete() const { return ready_complete && scheduled_complete && dead_complete; }
};

struct CensusBounds {
    int64 entries;     // looked at in each walk
    bool queued_known; // how many are queued: either ready or scheduled ones tell the others
    bool dead_known;
};

// Hands over the running jobs of a queue, until it has found `jobs_max` or looked at enough.
using VisitRow = void (*)(TupleTableSlot *live_row, void *argument);
void visit_running(int32 queue_id, Snapshot snapshot, TimestampTz now, int64 jobs_max,
                   VisitRow visit, void *argument);

// How many jobs of a queue are queued, ready or scheduled: stops at `enough`, and when it has
// looked at as many index entries as are left.
int64 count_queued(int32 queue_id, Snapshot snapshot, int64 enough, int64 *entries_left);

Census take_census(int32 queue_id, Snapshot snapshot, TimestampTz now, const CensusBounds &bounds);

} // namespace faultline
