// Claiming as its two paths share it: one row.
#pragma once

#include "claim.hpp"
#include "policy.hpp"
#include "storage/live_jobs.hpp"

namespace faultline {

// Queued and due.
bool is_ready(TupleTableSlot *row, TimestampTz now);

enum class RowClaim {
    claimed,
    held, // another transaction has the row, and may leave it as it is
    gone, // changed meanwhile
};
// Gives a row that is ready to the worker, unless somebody has it; never waits.
RowClaim claim_row(Claim &claim, const QueuePolicy &policy, Datum queue_name, Table &live_jobs,
                   TupleTableSlot *row);

// A running row met on the way: if its lease has ended, the claim settles it afterwards.
void note_expired_lease(Claim &claim, TupleTableSlot *row);

// The fast path (claim_by_window.cpp): takes jobs from the ready window of the queue.  False when
// it may have missed some, so that the plain path must look too.
bool claim_by_window(Claim &claim, const QueuePolicy &policy, Table &live_jobs);

} // namespace faultline
