// The counters over a restart that was in order.
#pragma once

#include "../pg.hpp"

namespace faultline {

// Called in the postmaster: fills new shared memory from the file of the last shutdown, if there is
// one, and removes it, so that a crash starts anew.
void load_statistics();
// Writes it; for on_shmem_exit().
void save_statistics(int exit_code, Datum);

} // namespace faultline
