// The one clock that every decision uses.
#pragma once

#include "pg.hpp"

namespace faultline {

// The server's time now, not the transaction's; under faultline.allow_virtual_clock the time that
// set_clock() stored in this database, if any.
TimestampTz clock_now();

} // namespace faultline
