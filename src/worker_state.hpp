// What sessions, the launcher and the workers of the databases let each other know: hints, never
// decisions.  Losing them all costs a look at the rows.
#pragma once

#include "shared_memory.hpp"

namespace faultline {

// Databases beyond are not served by the background worker.
inline constexpr int worker_databases_max = 1000;

// How a worker left its database.
enum class PassEnd : uint32 {
    none,         // it runs, or died
    left,         // nothing to do before DatabaseSlot::next_look
    no_extension, // not installed there
    not_adopted,  // its jobs come from another instance
    sql_too_old,  // the functions that the worker calls are not there
    occupied,     // another worker serves the database
};

// Later than any time.
inline constexpr TimestampTz no_time = PG_INT64_MAX;

// All words are read and written atomically, without any lock; each names who writes it.  Times
// are TimestampTz.
struct DatabaseSlot {
    pg_atomic_uint32 database_id; // the launcher; InvalidOid: free
    pg_atomic_uint32 pass_end;  // the launcher when it starts a worker, the worker as its last act
    pg_atomic_uint64 lease_end; // sessions lower it at commit, the worker raises it by looking
    pg_atomic_uint64 next_look; // the worker while there is one, otherwise the launcher
    pg_atomic_uint64 latch;     // address of the latch of the one who looks; the same writers
    // The last full look for ended leases, and what it took: the worker, for the one after it.
    pg_atomic_uint64 full_look_at;
    pg_atomic_uint64 full_look_microseconds;
};

struct WorkerState {
    pg_atomic_uint32 launcher_pid;  // the launcher; 0: there is none
    pg_atomic_uint32 others_wait;   // the launcher: databases wait for a worker to leave
    pg_atomic_uint64 refused_since; // the launcher: since when the server has no room for a worker
    bool told_by_sessions;          // sessions see this memory, so that no lease goes unnoticed
    int slot_count;
    DatabaseSlot slots[FLEXIBLE_ARRAY_MEMBER];
};
static_assert(std::is_standard_layout_v<WorkerState>);

Size worker_state_bytes(int slot_count);
void init_worker_state(WorkerState *state, int slot_count, bool told_by_sessions);

// The memory that all processes share; null when the library is not preloaded.
WorkerState *shared_worker_state();

extern const SharedSegment worker_state_segment;

TimestampTz read_time(pg_atomic_uint64 *word);
void write_time(pg_atomic_uint64 *word, TimestampTz time);
void lower_time(pg_atomic_uint64 *word, TimestampTz time);
TimestampTz exchange_time(pg_atomic_uint64 *word, TimestampTz time);

// The launcher as the server is to start it, for one database or, with InvalidOid, for all.
void describe_launcher(BackgroundWorker *launcher, Oid database);

// Called when a transaction that granted a lease has committed: may not raise.
void publish_lease_end(TimestampTz lease_end);

} // namespace faultline
