// The retry budget of a queue: a bucket of tokens.  Each first start of a job earns a share of a
// token, each retry takes one, and a retry that finds none is put off.
#pragma once

#include "backoff.hpp"

#include <cstdint>

namespace faultline::core {

// Tokens are counted in millionths.
inline constexpr std::int64_t retry_token = 1'000'000;
// So that a queue that has just begun, or starts a job a day, can retry.
inline constexpr std::int64_t retry_tokens_at_start = 10 * retry_token;
// What quiet times have earned must not pay for a storm.
inline constexpr std::int64_t retry_tokens_max = 1000 * retry_token;

constexpr std::int64_t retry_tokens_after_starts(std::int64_t tokens, double share,
                                                 std::int64_t first_starts) {
    auto earned =
        static_cast<std::int64_t>(share * static_cast<double>(first_starts * retry_token));
    return tokens + earned < retry_tokens_max ? tokens + earned : retry_tokens_max;
}

constexpr bool retry_is_paid(std::int64_t tokens) { return tokens >= retry_token; }

// The delay of a retry that was put off: somewhere in the upper half of the ceiling, at random, so
// that those which were put off together do not come back together.
constexpr std::int64_t deferred_microseconds(const BackoffPolicy &policy, std::int64_t delay,
                                             double unit_random) {
    std::int64_t least = policy.max_microseconds / 2;
    auto deferred = least + static_cast<std::int64_t>(
                                static_cast<double>(policy.max_microseconds - least) * unit_random);
    return delay > deferred ? delay : deferred;
}

static_assert(retry_tokens_after_starts(0, 0.1, 10) == retry_token);
static_assert(retry_tokens_after_starts(retry_tokens_max, 1, 1'000'000) == retry_tokens_max);
static_assert(retry_is_paid(retry_token) && !retry_is_paid(retry_token - 1));

} // namespace faultline::core
