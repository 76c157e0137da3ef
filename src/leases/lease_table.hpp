// The leases of the jobs that run, in shared memory: whose end comes when, and what extends them
// without a row.  Rows stay the truth about who holds a job; only how long may be told here alone,
// and a lease that is not known here lasts as long as its row says.
#pragma once

#include "../shared_memory.hpp"

#include "../../core/lease.hpp"

namespace faultline {

extern const SharedSegment lease_table_segment;

// Finds the memory of this session's database, or begins it; `now` is on the database's clock.  The
// first session to do so after a start of the server, or a promotion, begins it for all.  False on
// a standby, without preload, with faultline.max_leases = 0, and in a database beyond
// lease_databases_max.
inline constexpr int lease_databases_max = 1000;
bool attach_leases(TimestampTz now);

// Whether sessions share the table at all, of whichever database.
bool leases_are_shared();

// Leases of all databases.  full: a part of the table has no room left, so leases are missed.
struct LeaseRoom {
    int64 slots;
    int64 used;
    bool full;
};
LeaseRoom lease_room();

// Since when extensions are remembered; core::time_unknown without memory.  A clock that is set
// back takes it along.
TimestampTz leases_remembered_since(TimestampTz now);

struct KnownLease {
    int64 job_id;
    int64 token;
    TimestampTz ends_at;
    int32 attempt;
};

// What follows is called with the server's callbacks, too: none of it allocates or raises.

// The row of the lease was committed.  A lease for which there is no room is missed; one of an
// attempt that is over already is not entered.
void enter_lease(const KnownLease &lease);
// The lease was read from its row: entered unless it is known.
void enter_lease_if_unknown(const KnownLease &lease);
// The attempt has ended.
void leave_lease(int64 job_id, int64 token);

// While a lease is held it is not extended in memory.  Whoever has its row locked holds it to
// decide on its end, and lets go when his transaction ends.
void hold_lease(int64 job_id);
void let_go_of_lease(int64 job_id);

struct MemoryExtension {
    int64 job_id;
    int64 token;
    TimestampTz end_without_memory; // of its row
    TimestampTz ends_at;
    TimestampTz now;
};
// False, and nothing is changed, when the lease is not known, held, or over, or would end earlier
// than it does: the row has to be asked then.
bool extend_in_memory(const MemoryExtension &extension);

// The end to which the lease was extended in memory; core::time_unknown when it was not.
TimestampTz lease_extended_to(int64 job_id, int64 token);

// The leases of this database that have ended, up to `count_max`.  `next_end` becomes the earliest
// end of the others.
int collect_ended_leases(TimestampTz now, KnownLease *leases, int count_max, TimestampTz *next_end);
// The row of a collected lease has another end: somebody wrote it by hand.
void correct_lease_end(const KnownLease &lease, TimestampTz ends_at);

// Every running job is known once all rows were entered in a look that began when so many had been
// missed, until one is missed again.
uint64 leases_missed();
void note_every_lease_entered(uint64 missed_before);
bool every_lease_is_known();

} // namespace faultline
