// Back-off: growth, ceiling and jitter at every attempt, also at absurd ones.
#include <cstdint>
#include <limits>

#include <catch2/catch.hpp>

#include "core/backoff.hpp"
#include "core/limits.hpp"

using namespace faultline::core;

namespace {

constexpr std::int64_t second = microseconds_per_second;

} // namespace

TEST_CASE("backoff doubles per attempt until its ceiling", "[core][backoff]") {
    const BackoffPolicy policy{second, 60 * second, 2.0, 0.0};
    CHECK(backoff_microseconds(policy, 1, 0.0) == 1 * second);
    CHECK(backoff_microseconds(policy, 2, 0.0) == 2 * second);
    CHECK(backoff_microseconds(policy, 6, 0.0) == 32 * second);
    CHECK(backoff_microseconds(policy, 7, 0.0) == 60 * second);
    CHECK(backoff_microseconds(policy, 8, 0.0) == 60 * second);
}

TEST_CASE("backoff stays between zero and its ceiling for every attempt", "[core][backoff]") {
    const double factor = GENERATE(backoff_factor_min, 1.5, 2.0, backoff_factor_max);
    const double jitter = GENERATE(0.0, 0.2, 1.0);
    const double unit_random = GENERATE(0.0, 0.5, 0.999999);
    const BackoffPolicy policy{delay_microseconds_max, delay_microseconds_max, factor, jitter};
    for (const std::int64_t attempts :
         {std::int64_t{0}, std::int64_t{1}, std::int64_t{2}, std::int64_t{10'000},
          std::numeric_limits<std::int64_t>::max()}) {
        const std::int64_t delay = backoff_microseconds(policy, attempts, unit_random);
        CHECK(delay >= 0);
        CHECK(delay <= delay_microseconds_max);
    }
}

TEST_CASE("jitter only shortens a delay, by at most its share", "[core][backoff]") {
    const BackoffPolicy policy{10 * second, 60 * second, 2.0, 0.2};
    CHECK(backoff_microseconds(policy, 1, 0.0) == 10 * second);
    CHECK(backoff_microseconds(policy, 1, 0.5) == 9 * second);
    CHECK(backoff_microseconds(policy, 1, 0.999999) > 8 * second - 1);
    CHECK(backoff_microseconds(policy, 9, 0.5) == 54 * second);
}

TEST_CASE("a base of zero never waits and still ends", "[core][backoff]") {
    const BackoffPolicy policy{0, 60 * second, 2.0, 0.5};
    CHECK(backoff_microseconds(policy, std::numeric_limits<std::int64_t>::max(), 0.5) == 0);
}

TEST_CASE("full jitter spreads a delay from nothing to all of it", "[core][backoff]") {
    const BackoffPolicy policy{60 * second, 60 * second, 2.0, 1.0};
    CHECK(backoff_microseconds(policy, 1, 0.0) == 60 * second);
    CHECK(backoff_microseconds(policy, 1, 0.25) == 45 * second);
    CHECK(backoff_microseconds(policy, 1, 0.75) == 15 * second);
    CHECK(backoff_microseconds(policy, 1, 0.999999) < second);
}
