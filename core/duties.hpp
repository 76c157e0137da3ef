// The duties of maintenance, and how much each may do at once unless the configuration says
// otherwise.  Which there are, in which order and how often, faultline.duties() says.
#pragma once

#include <string_view>

namespace faultline::core {

struct DutyBounds {
    const char *name;
    int rows;         // in one transaction; 0: the duty does not go by rows
    int milliseconds; // of one transaction
};

// One worker does them in turn, so a duty that hangs holds up the ends of leases for as long.
inline constexpr int duty_milliseconds_default_max = 10'000;

// A duty without an entry, of a later version of the SQL, gets the bounds of the first one.
inline constexpr DutyBounds duty_bounds[] = {
    {"expire_leases", 1000, 5'000}, {"reconcile", 10'000, 5'000},
    {"expire_keys", 10'000, 5'000}, {"delete_finished", 10'000, 10'000},
    {"sweep_windows", 0, 5'000},    {"audit", 0, 10'000},
    {"count_jobs", 0, 10'000},      {"create_partitions", 0, 5'000},
    {"drop_partitions", 0, 5'000},
};
inline constexpr int duty_bounds_count = sizeof(duty_bounds) / sizeof(duty_bounds[0]);

constexpr bool no_duty_hangs_for_long() {
    for (const DutyBounds &duty : duty_bounds)
        if (duty.milliseconds > duty_milliseconds_default_max)
            return false;
    return true;
}
static_assert(no_duty_hangs_for_long());

inline constexpr int duty_rows_min = 1;
inline constexpr int duty_rows_max = 100'000;
inline constexpr int duty_milliseconds_min = 100;
inline constexpr int duty_milliseconds_max = 3'600'000;

// After the n-th failure in a row: 1, 2, 4 ... seconds, at most a minute.
constexpr int duty_back_off_milliseconds(int failures_in_row) {
    constexpr int first = 1000;
    constexpr int longest = 60'000;
    int delay = first;
    for (int i = 1; i < failures_in_row && delay < longest; i++)
        delay *= 2;
    return delay < longest ? delay : longest;
}
// Rows of the next batch of a duty.  One that failed, most of all one that was cut off by its time,
// is halved: it would be begun anew for ever.  After one that took less than a quarter of its time
// the next is twice as large, up to what is configured.
constexpr int next_duty_rows(int rows, int rows_max, bool succeeded, long took_milliseconds,
                             int milliseconds_max) {
    if (!succeeded)
        return rows > 1 ? rows / 2 : 1;
    if (took_milliseconds < milliseconds_max / 4)
        return rows > rows_max / 2 ? rows_max : rows * 2;
    return rows;
}
static_assert(next_duty_rows(1000, 1000, false, 0, 5000) == 500);
static_assert(next_duty_rows(1, 1000, false, 0, 5000) == 1);
static_assert(next_duty_rows(500, 1000, true, 1000, 5000) == 1000);
static_assert(next_duty_rows(500, 1000, true, 2000, 5000) == 500);

static_assert(duty_back_off_milliseconds(1) == 1000 && duty_back_off_milliseconds(2) == 2000);
static_assert(duty_back_off_milliseconds(1'000'000) == 60'000);

} // namespace faultline::core
