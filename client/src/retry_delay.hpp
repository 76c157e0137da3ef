// Owns the pauses between tries of something that may work again soon: growing, capped, jittered.
#pragma once

#include <random>

#include "core/backoff.hpp"
#include "faultline/parameters.hpp"

namespace faultline::client {

inline constexpr Milliseconds retry_delay_first{50};

class RetryDelay {
  public:
    explicit RetryDelay(Milliseconds delay_max) : delay_max_(delay_max) {}

    void reset() { tries_ = 0; }

    Milliseconds next() {
        // Workers that lost the server together must not come back together.
        const double jitter = 0.5;
        const core::BackoffPolicy policy{microseconds(retry_delay_first), microseconds(delay_max_),
                                         2.0, jitter};
        const double unit_random = std::uniform_real_distribution<>(0.0, 1.0)(random_);
        const auto delay = core::backoff_microseconds(policy, ++tries_, unit_random);
        return std::chrono::duration_cast<Milliseconds>(std::chrono::microseconds(delay));
    }

    // The duration plus or minus a quarter.
    Milliseconds around(Milliseconds duration) {
        const auto quarter = duration.count() / 4;
        return duration + Milliseconds(std::uniform_int_distribution<std::int64_t>(
                              -quarter, quarter)(random_));
    }

  private:
    static std::int64_t microseconds(Milliseconds duration) {
        return std::chrono::microseconds(duration).count();
    }

    const Milliseconds delay_max_;
    std::int64_t tries_ = 0;
    std::minstd_rand random_{std::random_device{}()};
};

} // namespace faultline::client
