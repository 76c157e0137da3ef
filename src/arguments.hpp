// Checks of what callers pass.  Every function either returns a legal value or raises: 22004 for a
// null, 22023 for a value out of bounds; DETAIL says what was given, HINT what is allowed.
#pragma once

#include "pg.hpp"

#include "../core/limits.hpp"

namespace faultline {

const text *required_text(FunctionCallInfo fcinfo, int index, const char *name);
// Null when the argument is null.
const text *optional_text(FunctionCallInfo fcinfo, int index, const char *name, int bytes_max);
Datum required_datum(FunctionCallInfo fcinfo, int index, const char *name);
int64 required_int64(FunctionCallInfo fcinfo, int index, const char *name);
// `fallback` when the argument is null.
int32 bounded_int32(FunctionCallInfo fcinfo, int index, const char *name, int32 fallback,
                    int32 minimum, int32 maximum);

void check_queue_name(const text *name);
// 1..bytes_max bytes.
void check_text_length(const text *value, const char *name, int bytes_max);

// False when the interval does not fit 64 bits of microseconds.  A month counts as 30 days.
bool interval_to_microseconds(const Interval *interval, int64 *microseconds);
// `fallback` when the argument is null.
int64 bounded_interval(FunctionCallInfo fcinfo, int index, const char *name, int64 fallback,
                       int64 minimum, int64 maximum);
int64 checked_interval(const Interval *interval, const char *name, int64 minimum, int64 maximum);

// now + microseconds; raises 22008 when that lies beyond what a timestamp can hold.
TimestampTz add_microseconds(TimestampTz now, int64 microseconds);

// When a new job may run: run_at, or now + delay, or now.  Raises when both are given.
TimestampTz run_time(FunctionCallInfo fcinfo, int run_at_index, int delay_index, TimestampTz now);

// An array argument of one dimension without nulls (unless allowed), of at most batch_jobs_max
// elements.  A null array counts as required and raises.
struct Elements {
    Datum *values;
    bool *nulls;
    int count;
};
Elements required_array(FunctionCallInfo fcinfo, int index, const char *name, Oid element_type,
                        bool allow_null_elements);
// The bigint elements in ascending order: the order in which rows are locked.
int64 *sorted_ids(const Elements &ids);
// Raises unless both arrays have the same length.
void check_same_length(const Elements &first, const char *first_name, const Elements &second,
                       const char *second_name);

} // namespace faultline
