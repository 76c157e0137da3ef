// When claims look past a ready window at the rows themselves: for leases that have ended, and for
// jobs that nobody could tell the window of.
#pragma once

#include <cstdint>
#include <limits>

namespace faultline::core {

// A dear look rests so many times as long as it took, and so does one for what could not be
// settled.
inline constexpr std::int64_t cheap_look_microseconds = 5'000;
inline constexpr std::int64_t look_rest_factor = 50;

// The last look at a window; of none everything is 0.  Times are microseconds.
struct WindowLook {
    std::int64_t ended_at; // by the real clock
    std::int64_t microseconds;
    bool met_ended; // a lease that had ended, and may still wait to be settled
    // By the clock of the jobs: when it was, and when a lease may have ended since.
    std::int64_t looked_until;
    std::int64_t lease_end;
};

// When a lease may have ended, when one had at the last look, when the clock of the jobs was set
// back, or when nobody has looked for `rest_microseconds`; but only so often that looks take a
// small part of the time.
constexpr bool look_is_due(const WindowLook &last, std::int64_t now, std::int64_t real_now,
                           std::int64_t rest_microseconds) {
    std::int64_t rested = real_now - last.ended_at;
    if (rested < 0) // the clock was set back
        rested = std::numeric_limits<std::int64_t>::max();
    bool has_rested = rested >= last.microseconds * look_rest_factor;
    bool wanted = now >= last.lease_end || now < last.looked_until || rested >= rest_microseconds;
    bool cheap = last.microseconds <= cheap_look_microseconds;
    return has_rested ? wanted || last.met_ended : wanted && cheap;
}

namespace window_look_detail {

inline constexpr std::int64_t second = 1'000'000;
inline constexpr WindowLook quiet = {500 * second, 1'000, false, 500 * second, 600 * second};
inline constexpr WindowLook dear = {500 * second, second, false, 500 * second, 501 * second};
inline constexpr WindowLook unsettled = {500 * second, 1'000, true, 500 * second, 600 * second};

} // namespace window_look_detail

static_assert(look_is_due({}, 1, 1, 1));
static_assert(!look_is_due(window_look_detail::quiet, 501'000'000, 501'000'000, 60'000'000));
static_assert(look_is_due(window_look_detail::quiet, 600'000'000, 501'000'000, 60'000'000));
static_assert(look_is_due(window_look_detail::quiet, 499'000'000, 501'000'000, 60'000'000));
static_assert(look_is_due(window_look_detail::quiet, 560'000'000, 560'000'000, 60'000'000));
static_assert(!look_is_due(window_look_detail::dear, 502'000'000, 549'999'999, 60'000'000));
static_assert(look_is_due(window_look_detail::dear, 502'000'000, 550'000'000, 60'000'000));
static_assert(!look_is_due(window_look_detail::unsettled, 501'000'000, 500'049'999, 60'000'000));
static_assert(look_is_due(window_look_detail::unsettled, 501'000'000, 500'050'000, 60'000'000));
// The real clock was set back since: nobody can tell how long ago the last look was.
static_assert(look_is_due(window_look_detail::quiet, 501'000'000, 499'999'999, 60'000'000));
static_assert(look_is_due(window_look_detail::dear, 502'000'000, 0, 60'000'000));

} // namespace faultline::core
