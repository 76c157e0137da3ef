// What a transaction has in hand for the table of leases until it ends: leases that it granted or
// ended, which count once they are committed, and leases that it holds.
#pragma once

#include "../pg.hpp"

namespace faultline {

// A job begins to run, or goes on under a new end, as in `row`; or it runs no more.  Under the lock
// of the job's row, like the change itself.
void note_lease_granted(TupleTableSlot *row);
void note_lease_ended(TupleTableSlot *row);

// Keeps the lease from being extended in memory until the transaction ends.  Needs the lock of the
// job's row.
void hold_lease_until_end(int64 job_id);

// Called when a transaction or a subtransaction ends.
void pending_leases_on_commit();
// What others do with a prepared transaction nobody is told: leases that it ended are found out
// when their time has come.
void pending_leases_on_abort_or_prepare();
void pending_leases_on_subcommit(SubTransactionId ended, SubTransactionId parent);
void pending_leases_on_subabort(SubTransactionId ended);

} // namespace faultline
