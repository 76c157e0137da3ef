// What a backend remembers about its current transaction, and the frame of every verb.
#pragma once

#include "pg.hpp"

namespace faultline {

// Opened by every verb that writes: refuses standbys and read-only transactions (25006), makes the
// transaction's own earlier work visible and takes the snapshot that the verb decides with.
// `signature` names the function in the error, as in "faultline.claim()".
void begin_verb(const char *signature);
void end_verb();

// A claim in this transaction: remembered until it ends, so that completing the job in the same
// transaction can be refused.
void remember_claim(int64 lease_token);
bool claimed_in_this_transaction(int64 lease_token);

// A lease that ends at this time: told to the background worker with the commit.
void remember_lease_end(TimestampTz lease_end);

// A lease that is taken or extended must not sit in a prepared transaction, whose row locks
// outlive every session; PREPARE TRANSACTION then fails.
void forbid_prepare();

// The newest committed state, or the transaction's own snapshot at REPEATABLE READ and above.
// Registered; give it back with UnregisterSnapshot.
Snapshot register_newest_snapshot();

// Called once per process, from _PG_init.
void register_transaction_callbacks();

} // namespace faultline
