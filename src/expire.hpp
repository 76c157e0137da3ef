// Ending attempts whose lease has run out.
#pragma once

#include "pg.hpp"

namespace faultline {

// Settles those of the jobs that still run under an expired lease; returns how many did.  A row
// that another transaction holds is left alone, and a row that raises stops none of the others.
int64 expire_jobs(const int64 *job_ids, int count);

} // namespace faultline
