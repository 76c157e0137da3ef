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

} // namespace faultline
