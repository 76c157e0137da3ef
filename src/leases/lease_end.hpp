// When the lease of a running job ends: the end that counts, of the row and of the memory.
#pragma once

#include "../pg.hpp"

namespace faultline {

// Of a row of live_jobs that runs.  `now` is the database's clock.
TimestampTz lease_end(TupleTableSlot *row, TimestampTz now);
// The same as if it had not been extended in memory since the server started.
TimestampTz lease_end_without_memory(TupleTableSlot *row, TimestampTz now);

// A running row whose lease has ended.
bool lease_expired(TupleTableSlot *row, TimestampTz now);

} // namespace faultline
