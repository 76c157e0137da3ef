// When a lease ends, and why.  Times are microseconds on the server's clock.
#pragma once

#include "limits.hpp"

#include <string_view>

namespace faultline::core {

struct LeaseTimes {
    std::int64_t claimed_at;
    std::int64_t expires_at;
    std::int64_t max_runtime; // 0: no limit
};

// The end that is granted when `expires_at` is asked for: heartbeats cannot keep a job running for
// ever.
constexpr std::int64_t granted_lease_end(const LeaseTimes &times) {
    bool beyond_limit =
        times.max_runtime > 0 && times.expires_at - times.max_runtime > times.claimed_at;
    return beyond_limit ? times.claimed_at + times.max_runtime : times.expires_at;
}

// No lease is granted for longer than lease_microseconds_max.  One that ends later than that from
// now was granted before the clock was set back, and would hide a dead worker for as long.
constexpr bool lease_outlasts_clock(std::int64_t expires_at, std::int64_t now) {
    return expires_at - lease_microseconds_max > now;
}

constexpr bool lease_has_ended(std::int64_t expires_at, std::int64_t now) {
    return expires_at <= now || lease_outlasts_clock(expires_at, now);
}

// How many jobs that take `runtime` each can run one after the other under leases of this length
// that begin now, behind work that takes `planned`.
constexpr std::int64_t jobs_within_lease(std::int64_t length, std::int64_t runtime,
                                         std::int64_t planned) {
    return planned < length ? (length - planned) / runtime : 0;
}

// How a row keeps the length of a lease: never shorter than it was asked for.
constexpr std::int32_t lease_length_milliseconds(std::int64_t microseconds) {
    return static_cast<std::int32_t>((microseconds + microseconds_per_millisecond - 1) /
                                     microseconds_per_millisecond);
}

// Extensions may be kept in memory alone, which the server loses when it ends.  From then on a
// lease that may have been extended has its full length once more; one that is newer than the
// memory lost nothing.  `memory_since`: time_unknown when nothing was ever kept in memory.
inline constexpr std::int64_t time_unknown = INT64_MIN;
constexpr std::int64_t lease_end_without_memory(const LeaseTimes &times, std::int64_t length,
                                                std::int64_t memory_since) {
    if (times.claimed_at >= memory_since)
        return times.expires_at;
    std::int64_t again = granted_lease_end({.claimed_at = times.claimed_at,
                                            .expires_at = memory_since + length,
                                            .max_runtime = times.max_runtime});
    return again > times.expires_at ? again : times.expires_at;
}

// The error of the attempt whose lease has ended.
constexpr std::string_view lease_end_error(const LeaseTimes &times, std::int64_t now) {
    if (lease_outlasts_clock(times.expires_at, now))
        return "lease ended: the clock was set back";
    if (times.max_runtime > 0 && times.expires_at - times.max_runtime >= times.claimed_at)
        return "max_runtime reached";
    return "lease expired";
}

static_assert(granted_lease_end({0, 10, 0}) == 10);
static_assert(granted_lease_end({0, 10, 7}) == 7);
static_assert(lease_end_without_memory({100, 130, 0}, 30, time_unknown) == 130);
static_assert(lease_end_without_memory({100, 130, 0}, 30, 100) == 130);
static_assert(lease_end_without_memory({100, 130, 0}, 30, 190) == 220);
static_assert(lease_end_without_memory({100, 130, 70}, 30, 150) == 170);
static_assert(lease_end_without_memory({100, 300, 0}, 30, 190) == 300);
static_assert(lease_length_milliseconds(1) == 1 && lease_length_milliseconds(2000) == 2);
static_assert(lease_length_milliseconds(lease_microseconds_max) == 86'400'000);
static_assert(jobs_within_lease(30, 10, 0) == 3 && jobs_within_lease(30, 10, 5) == 2);
static_assert(jobs_within_lease(30, 31, 0) == 0 && jobs_within_lease(30, 10, 40) == 0);
static_assert(lease_has_ended(10, 10) && !lease_has_ended(10, 9));

} // namespace faultline::core
