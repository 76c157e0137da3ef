// Owns waiting for a state, with a deadline: the lab never waits for time to pass alone.
#pragma once

#include <chrono>
#include <fmt/format.h>
#include <poll.h>
#include <stdexcept>
#include <string>

namespace faultline::lab {

using Clock = std::chrono::steady_clock;
using Seconds = std::chrono::duration<double>;

inline constexpr Seconds state_seconds_max{30};
inline constexpr int state_poll_milliseconds = 2;

inline void pause_shortly() { poll(nullptr, 0, state_poll_milliseconds); }

inline double seconds_since(Clock::time_point start) {
    return Seconds(Clock::now() - start).count();
}

// Throws when the condition does not come true in time.
template <typename Condition>
void poll_until(const std::string &what, Condition condition, Seconds longest = state_seconds_max) {
    const Clock::time_point start = Clock::now();
    while (!condition()) {
        if (Clock::now() - start > longest)
            throw std::runtime_error(fmt::format("waited in vain for {}", what));
        pause_shortly();
    }
}

} // namespace faultline::lab
