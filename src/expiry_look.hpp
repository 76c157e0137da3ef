// Finding the leases that have ended.
#pragma once

#include "leases/lease_table.hpp"

namespace faultline {

struct EndedLeases {
    TimestampTz now;
    int64 *job_ids; // of those that the current user may settle
    int jobs_max;
    int count;
    TimestampTz next_end; // the earliest end of the leases met that have not ended; or no_time
};

// Every live job: the time it takes grows with what is queued.  Enters their leases in memory.
void look_everywhere(EndedLeases &leases);
// Only where claims have come by: jobs are claimed in the order of the index, so what runs stands
// before what waits, but for jobs that were put in before them since.  The time it takes grows with
// what is running, and with the number of queues and priorities.
void look_where_claims_begin(EndedLeases &leases);
// Only what is known in memory, if that is every lease: the candidates first, and their rows by a
// snapshot that is taken after it.
struct CandidateLeases {
    KnownLease *leases;
    int count;
};
CandidateLeases collect_candidates(EndedLeases &leases);
void look_at_candidates(EndedLeases &leases, const CandidateLeases &candidates);

} // namespace faultline
