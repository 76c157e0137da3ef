// What a transaction does that waiters want to hear of: told when it commits, or when it gives back
// what it had claimed.
#pragma once

#include "../pg.hpp"

namespace faultline {

// A job of the queue waits now, and becomes ready after the delay, if that is positive.
void note_arrival(int32 queue_id, int64 delay_microseconds);
// A ready job of the queue was claimed.
void note_claim(int32 queue_id);
// A queue was paused, resumed, altered, created or dropped.
void note_policy_change();

// From the callbacks of transactions.
void tell_arrivals();       // it has committed
void give_back_arrivals();  // it has rolled back
void end_arrivals();        // after either, and when it was prepared
void keep_subtransaction(); // committed into its parent
void undo_subtransaction();

// Called once per process, from _PG_init.
void register_arrival_callbacks();

} // namespace faultline
