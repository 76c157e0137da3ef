// The shared memory of the library: a segment per room, all requested by one pair of hooks.
#pragma once

#include "pg.hpp"

namespace faultline {

// There is a segment only when the library is preloaded; every room must do without.
struct SharedSegment {
    const char *name; // as pg_shmem_allocations shows it
    Size (*bytes)();  // asked once the settings of the server are read
    // Gives this process the address; `is_new`: to be initialised.  Under AddinShmemInitLock.
    void (*attach)(void *memory, bool is_new);
};

// Initialises a lock of a segment.  They show as "faultline" in pg_stat_activity.wait_event.
void init_shared_lock(LWLock *lock);

// Requests all segments; called from _PG_init while the library is being preloaded.
void request_shared_memory();

} // namespace faultline
