// Exponential back-off with jitter that cannot overflow at any attempt.
#pragma once

#include <cstdint>

namespace faultline::core {

struct BackoffPolicy {
    std::int64_t base_microseconds; // delay after the first attempt
    std::int64_t max_microseconds;  // ceiling, also after jitter
    double factor;                  // growth per attempt, at least 1
    double jitter;                  // 0..1: the share of the delay that is random
};

// Delay before the attempt after `attempts_counted` (1 = after the first one).  `unit_random` is
// uniform in [0, 1).  Jitter only shortens, so that the ceiling holds and jobs which failed
// together spread out.
constexpr std::int64_t backoff_microseconds(const BackoffPolicy &policy,
                                            std::int64_t attempts_counted, double unit_random) {
    auto ceiling = static_cast<double>(policy.max_microseconds);
    auto delay = static_cast<double>(policy.base_microseconds);
    // The loop ends at the ceiling: with a factor of 1 it would never get there, so it is skipped.
    if (policy.factor > 1.0) {
        for (std::int64_t step = 1; step < attempts_counted && delay < ceiling && delay > 0; step++)
            delay *= policy.factor;
    }
    if (delay > ceiling)
        delay = ceiling;
    delay *= 1.0 - policy.jitter * unit_random;
    return static_cast<std::int64_t>(delay);
}

static_assert(backoff_microseconds({1000, 1'000'000, 2.0, 0.0}, 1, 0.5) == 1000);
static_assert(backoff_microseconds({1000, 1'000'000, 2.0, 0.0}, 4, 0.5) == 8000);
static_assert(backoff_microseconds({1000, 1'000'000, 2.0, 0.0}, 1'000'000'000, 0.5) == 1'000'000);

} // namespace faultline::core
