// What is known of the workers of a queue, by the names they give to claim(): how many attempts
// they began and how those ended, and when they were seen last.
#pragma once

#include "memory.hpp"

#include "../../core/limits.hpp"

namespace faultline {

// When there are more, the one that was not seen for longest is forgotten.
inline constexpr int worker_slots_max = 256;

enum class WorkerEvent : uint8 { claimed, completed, failed, lease_expired };
inline constexpr int worker_event_count = 4;

// The name and the owner change under the lock of Statistics, all else is atomic.
struct WorkerSlot {
    SlotOwner owner; // a queue; without a database the slot is free
    uint32 generation;
    char name[core::worker_bytes_max + 1];
    pg_atomic_uint64 seen_at;
    pg_atomic_uint64 totals[worker_event_count];
};

extern const SharedSegment workers_segment;

WorkerSlot *worker_slot(int position);
// The slot of a worker, taken at its first use.
int claim_worker_slot(const SlotOwner &owner, const text *name);
// Forgets the workers of a queue that is gone.  Needs the lock of Statistics.
void free_worker_slots(const SlotOwner &owner);

} // namespace faultline
