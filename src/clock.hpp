// The one clock that every decision uses.
#pragma once

#include "pg.hpp"

namespace faultline {

// The server's time now, not the transaction's; under faultline.allow_virtual_clock the time that
// set_clock() stored in this database, if any.
TimestampTz clock_now();

// Whether a test has set a virtual time in this database.
bool clock_is_virtual();

// Real time, for how long to wait and when to look again; never for what happens to a job.
TimestampTz waiting_clock();

// Whether real time was set back since this process asked last.  Whatever it has planned by that
// clock lies too far ahead then.
bool clock_was_set_back();

} // namespace faultline
