// Ending attempts whose lease has run out.
#pragma once

#include "pg.hpp"

namespace faultline {

struct ExpiredJobs {
    int64 succeeded; // they have their ledger entry
    int64 settled;   // retried, cancelled or failed for good
};
// Settles those of the jobs that still run under an expired lease.  A row that another transaction
// holds is left alone, and a row that raises stops none of the others.
ExpiredJobs expire_jobs(const int64 *job_ids, int count);

// What the last look for expired leases of this process found besides.
struct ExpiryFindings {
    TimestampTz next_end;    // the earliest end of a lease that had not ended yet; or no_time
    int64 look_microseconds; // what finding them took
    // After a look that was not a full one: when to take a full one.
    TimestampTz full_look_wanted_at;
    bool complete;           // not cut off by the bound of rows
    bool some_held;          // jobs that another transaction held, or ended meanwhile
    bool some_refused;       // jobs whose row raised an error
    char refused_error[256]; // of the last of them
};
const ExpiryFindings &last_expiry_findings();

// On the waiting clock; all zero: never.  A worker hands it on to the next one of its database.
struct ExpiryMemory {
    TimestampTz full_look_at;
    int64 full_look_microseconds;
};
ExpiryMemory expiry_memory();
void remember_expiry(const ExpiryMemory &of_before);

} // namespace faultline
