// Finding the leases that have ended.
#pragma once

#include "pg.hpp"

namespace faultline {

struct EndedLeases {
    TimestampTz now;
    int64 *job_ids; // of those that the current user may settle
    int jobs_max;
    int count;
    TimestampTz next_end; // the earliest end of the leases met that have not ended; or no_time
};

bool lease_expired(TupleTableSlot *row, TimestampTz now);

// Every live job: the time it takes grows with what is queued.
void look_everywhere(EndedLeases &leases);
// Only where claims have come by: jobs are claimed in the order of the index, so what runs stands
// before what waits, but for jobs that were put in before them since.  The time it takes grows with
// what is running, and with the number of queues and priorities.
void look_where_claims_begin(EndedLeases &leases);

} // namespace faultline
