// Which day's partition a row belongs to.
#pragma once

#include "table.hpp"

namespace faultline {

// Opens, for writing, the partition of `parent_oid` (partitioned by day on one timestamptz column)
// that takes rows of time `at`; the default partition when that day has none.
Table open_day_partition(Oid parent_oid, TimestampTz at);

} // namespace faultline
