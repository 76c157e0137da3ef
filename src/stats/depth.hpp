// How many jobs of a queue are in which state, counted up and down with each commit.
//
// After a start nobody knows where to begin: the depth is unknown until somebody has counted the
// rows.  Commits that happen while he counts are told apart by his snapshot: what it sees is in
// the count, what it does not see is added.
#pragma once

#include "memory.hpp"

namespace faultline {

struct DepthMark {
    uint64 state;
};
// Before a transaction becomes visible to others: remembers which count it precedes.
DepthMark mark_depth(QueueSlot *slot);
// After its commit.
void change_depth(int slot, const DepthMark &mark, const DepthChange &change);
// The transaction was prepared: what it does to the depth is known when it is decided.
void prepare_depth_change(int slot, const DepthChange &change);

struct Depths {
    int64 jobs[depth_count];

    int64 &operator[](Depth depth) { return jobs[static_cast<int>(depth)]; }
    int64 operator[](Depth depth) const { return jobs[static_cast<int>(depth)]; }
};
// False while the depth is unknown.
bool read_depths(QueueSlot *slot, Depths *depths);
// The depth is not to be trusted any more.
void forget_depths(QueueSlot *slot);

// Takes prepared transactions that were decided into the depths.
void settle_prepared_changes();

// Counts the rows of a queue: begin_count(), look at the rows with its snapshot, and end_count().
struct DepthCount {
    int slot;
    uint64 generation;
    Snapshot snapshot; // registered; the caller gives it back
    bool undecided;    // transactions prepared before the server started are still open
};
DepthCount begin_count(int slot);
// `found`: the rows that the snapshot sees; `own_change`: what this transaction itself has done.
// Not complete: the depth stays unknown.
void end_count(const DepthCount &count, const Depths &found, const DepthChange &own_change,
               bool complete);

} // namespace faultline
