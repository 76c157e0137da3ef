// The shared memory of the statistics: a slot of counters per queue.  Hints: a crash sets them to
// zero, and what decides by them are limits that are soft.
#pragma once

#include "../shared_memory.hpp"

#include "../../core/statistics.hpp"

namespace faultline {

// Jobs in a state that is counted up and down.
enum class Depth : uint8 { queued, running, dead };
inline constexpr int depth_count = 3;
using DepthChange = std::array<int32, depth_count>;

struct HistogramSlot {
    pg_atomic_uint64 buckets[core::latency_bucket_count];
    pg_atomic_uint64 sum_microseconds;
};

// Whose slot it is.  The table's OID tells an extension that was dropped from the one made after
// it, which numbers its queues anew.
struct SlotOwner {
    Oid database_id; // InvalidOid: the slot is free
    Oid live_jobs;
    int32 queue_id;

    bool operator==(const SlotOwner &) const = default;
};

// The owner changes under the lock, exclusively, and only when no transaction can have counted for
// it; everything else is read and written atomically without a lock.
struct QueueSlot {
    SlotOwner owner;
    pg_atomic_uint64 reset_at;
    pg_atomic_uint64 asked_at; // when a worker last asked for jobs; 0: not since the start
    pg_atomic_uint64 totals[core::job_event_count];
    // In one minute: its number in the upper half, how many in the lower one.
    pg_atomic_uint64 recent[core::job_event_count][core::recent_minutes_kept];
    HistogramSlot latencies[core::latency_count];
    pg_atomic_uint64 retry_tokens; // retry_budget.cpp
    // depth.cpp owns these.
    pg_atomic_uint64 depth_state;
    pg_atomic_uint64 depths[depth_count];
};

// What a prepared transaction will do to the depths of a queue if it commits.
struct PreparedChange {
    TransactionId transaction_id;
    int slot;
    DepthChange change;
};

// The snapshot of the depth count that began last: for commits that happen while it looks.
struct CountSnapshot {
    int slot; // -1: none yet
    uint64 generation;
    TransactionId xmin;
    TransactionId xmax;
    int running_count;
};

// Followed by the arrays.
struct Statistics {
    LWLock lock; // owners of slots, prepared changes, the snapshot; taken alone
    int slot_count;
    pg_atomic_uint32 overflowed; // a queue found no slot since the start
    // Older transactions that are not over were prepared before the server started.
    TransactionId first_transaction_id;
    int prepared_count;
    int prepared_max;
    int running_max;
    CountSnapshot count;
};

extern const SharedSegment statistics_segment;

// Empties the memory while nobody else uses it.
void init_statistics();

// Null when the library is not preloaded.
Statistics *shared_statistics();
QueueSlot *statistics_slot(int slot);
PreparedChange *prepared_changes();
TransactionId *count_running();

// What queues count into that found no slot free, of all databases; without depths.
inline constexpr int overflow_slot = 0;

inline SlotOwner own_queue(Oid live_jobs, int32 queue_id) {
    return {MyDatabaseId, live_jobs, queue_id};
}

// The slot of a queue of this database, -1 for none.
int find_slot(const SlotOwner &owner);
// The same, taking a free one at first use; overflow_slot when there is none.
int claim_slot(const SlotOwner &owner);
// Gives back the slot of a queue that was dropped.
void free_slot(int slot);
// Gives back the slots of databases and extensions that are gone.
void free_lost_slots();

void reset_slot(QueueSlot *slot, TimestampTz at);

} // namespace faultline
