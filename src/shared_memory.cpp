// Owns the hooks by which PostgreSQL gives the library its shared memory.
#include "shared_memory.hpp"

#include "leases/lease_table.hpp"
#include "stats/memory.hpp"
#include "stats/workers.hpp"
#include "waiters/registry.hpp"
#include "window/window.hpp"
#include "worker_state.hpp"

namespace faultline {

namespace {

const SharedSegment *const segments[] = {&worker_state_segment, &window_segment,
                                         &waiters_segment,      &lease_table_segment,
                                         &statistics_segment,   &workers_segment};

shmem_request_hook_type next_request_hook = nullptr;
shmem_startup_hook_type next_startup_hook = nullptr;

int *lock_tranche = nullptr; // in shared memory: the same number in every process

void request_memory() {
    if (next_request_hook != nullptr)
        next_request_hook();
    RequestAddinShmemSpace(sizeof(*lock_tranche));
    for (const SharedSegment *segment : segments)
        RequestAddinShmemSpace(segment->bytes());
}

void attach_memory() {
    if (next_startup_hook != nullptr)
        next_startup_hook();
    bool found;
    LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
    lock_tranche =
        static_cast<int *>(ShmemInitStruct("faultline locks", sizeof(*lock_tranche), &found));
    if (!found)
        *lock_tranche = LWLockNewTrancheId();
    LWLockRegisterTranche(*lock_tranche, "faultline");
    for (const SharedSegment *segment : segments) {
        void *memory = ShmemInitStruct(segment->name, segment->bytes(), &found);
        segment->attach(memory, !found);
    }
    LWLockRelease(AddinShmemInitLock);
}

} // namespace

void init_shared_lock(LWLock *lock) { LWLockInitialize(lock, *lock_tranche); }

void request_shared_memory() {
    next_request_hook = shmem_request_hook;
    shmem_request_hook = request_memory;
    next_startup_hook = shmem_startup_hook;
    shmem_startup_hook = attach_memory;
}

} // namespace faultline
