// Queue policy as every verb sees it: cached per backend, read again when a queue row changes.
#pragma once

#include "pg.hpp"

#include "../core/backoff.hpp"
#include "../core/limits.hpp"

namespace faultline {

struct QueuePolicy {
    char name[core::queue_name_bytes_max + 4]; // hash key: first, zero-padded
    int32 queue_id;
    int32 max_attempts;
    int64 lease_microseconds;
    int64 max_runtime_microseconds;      // 0: no limit
    int64 max_backlog;                   // 0: no limit
    double retry_budget;                 // retries per first start; 0: no limit
    int64 expected_runtime_microseconds; // 0: claims take what they ask for
    int64 keep_finished_microseconds;
    int64 keep_keys_microseconds;
    core::BackoffPolicy backoff;
    bool paused;
};
static_assert(std::is_trivially_copyable_v<QueuePolicy>);

// The queue of this name; raises JQ005 with the nearest existing name, 22023 for an illegal name.
QueuePolicy require_queue(const text *name);
bool find_queue(const text *name, QueuePolicy *policy);

bool find_queue_by_id(int32 queue_id, QueuePolicy *policy);

// The queue a job row belongs to, dropped or not; raises XX001 when there is none.
QueuePolicy queue_of_job(int32 queue_id);

// The lock at which enqueue and redrive (RowExclusiveLock) meet drop_queue() (AccessExclusiveLock);
// held until the transaction ends.
void lock_queue(int32 queue_id, LOCKMODE mode);

// Locks the queue against drop_queue() for this transaction and gives its policy; for enqueue.
QueuePolicy require_queue_for_enqueue(const text *name);

enum class AccessLevel { producer, worker, operate, monitor };

// Raises 42501 unless the current user owns the extension or was granted the level on the queue.
void require_access(const QueuePolicy &policy, AccessLevel level);

// Called once per process, from _PG_init.
void register_policy_callbacks();

} // namespace faultline
