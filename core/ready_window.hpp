// The ready window of one queue: the next jobs in order, so that a claim need not search.  Only
// hints: what it does not know yet lies in the index of order, and nothing is decided by it.
//
// Jobs that are due are in `ready`, in the order in which they run; those that are not are in
// `scheduled`, in the order in which they become due.  Each is complete up to a place: jobs beyond
// it are found by a refill.  While somebody refills, which takes a snapshot after it has begun,
// jobs that are committed meanwhile are kept wherever they belong, since the snapshot may miss
// them.
#pragma once

#include "ready_hints.hpp"

#include <algorithm>

namespace faultline::core {

struct ReadyWindow {
    HintRing<place_in_turn> ready;
    HintRing<place_in_time> scheduled;
    HintPlace ready_before;     // every due job before this place is in `ready`, or was taken
    HintPlace scheduled_before; // every job that becomes due before this place is in `scheduled`
    bool refilling;
    // The clocks of sessions differ a little: by one of them jobs up to this time were due.  Jobs
    // for later, up to scheduled_before, are in `scheduled`.
    std::int64_t due_until;
    std::uint32_t epoch; // changes when the window starts over
    // While refilling: the first places that had to be left out.
    HintPlace ready_left_out;
    HintPlace scheduled_left_out;
};

// Where the owner keeps the hints of a window.
struct WindowMemory {
    ReadyHint *ready;
    ReadyHint *scheduled;
};

// Hints that belong together, sorted by the order they are for.
struct HintList {
    ReadyHint *hints;
    std::uint32_t count;
};

// What a refill found, and the places up to which it has looked.
struct Refill {
    HintList ready;
    HintPlace ready_end;
    HintList scheduled;
    HintPlace scheduled_end;
};

constexpr HintPlace earlier(HintPlace left, HintPlace right) { return left < right ? left : right; }

// Knows nothing; a refill under way is disregarded.
inline void start_over(ReadyWindow &window, std::uint32_t ready_slots,
                       std::uint32_t scheduled_slots) {
    window.ready.clear(ready_slots);
    window.scheduled.clear(scheduled_slots);
    window.ready_before = before_all_hints;
    window.scheduled_before = before_all_hints;
    window.due_until = std::numeric_limits<std::int64_t>::min();
    window.refilling = false;
    ++window.epoch;
}

namespace ready_window_detail {

template <PlaceOf place_of> std::uint32_t count_before(const HintList &list, HintPlace place) {
    const ReadyHint *end =
        std::partition_point(list.hints, list.hints + list.count,
                             [&](const ReadyHint &hint) { return place_of(hint) < place; });
    return static_cast<std::uint32_t>(end - list.hints);
}

// Adds what the ring has to know; the bound falls to what did not fit.
template <PlaceOf place_of>
void add_known(HintRing<place_of> &ring, ReadyHint *memory, HintList list, bool refilling,
               HintPlace &complete_before, HintPlace &refill_left_out) {
    if (!refilling)
        list.count = count_before<place_of>(list, complete_before);
    HintPlace left_out = ring.merge(memory, list.hints, list.count);
    complete_before = earlier(complete_before, left_out);
    refill_left_out = earlier(refill_left_out, left_out);
}

// For a few.
inline void sort_by_turn(ReadyHint *hints, std::uint32_t count) {
    for (std::uint32_t i = 1; i < count; ++i) {
        const ReadyHint moved = hints[i];
        std::uint32_t to = i;
        for (; to > 0 && place_in_turn(hints[to - 1]) > place_in_turn(moved); --to)
            hints[to] = hints[to - 1];
        hints[to] = moved;
    }
}

} // namespace ready_window_detail

// Jobs that are due: new, retried, given back, or never taken.
inline void add_ready(ReadyWindow &window, const WindowMemory &memory, HintList sorted_by_turn) {
    for (std::uint32_t i = 0; i < sorted_by_turn.count; ++i)
        window.due_until = std::max(window.due_until, sorted_by_turn.hints[i].next_run_at);
    ready_window_detail::add_known(window.ready, memory.ready, sorted_by_turn, window.refilling,
                                   window.ready_before, window.ready_left_out);
}

inline void add_scheduled(ReadyWindow &window, const WindowMemory &memory,
                          HintList sorted_by_time) {
    ready_window_detail::add_known(window.scheduled, memory.scheduled, sorted_by_time,
                                   window.refilling, window.scheduled_before,
                                   window.scheduled_left_out);
}

// Scheduled jobs whose time has come become ready, without any write.
inline void promote_due(ReadyWindow &window, const WindowMemory &memory, std::int64_t now) {
    constexpr std::uint32_t promoted_at_once = 64;
    ReadyHint due[promoted_at_once];
    std::uint32_t count = promoted_at_once;
    while (count == promoted_at_once) {
        for (count = 0; count < promoted_at_once && !window.scheduled.empty() &&
                        window.scheduled.front(memory.scheduled).next_run_at <= now;
             ++count) {
            due[count] = window.scheduled.front(memory.scheduled);
            window.scheduled.drop_front();
        }
        ready_window_detail::sort_by_turn(due, count);
        add_ready(window, memory, {due, count});
    }
}

// Due jobs that the window does not know may lie in the index.
constexpr bool ready_is_complete(const ReadyWindow &window) {
    return window.ready_before == after_all_hints;
}
// Jobs may have become due that the window does not know.
constexpr bool schedule_is_behind(const ReadyWindow &window, std::int64_t now) {
    return window.scheduled_before <= time_before_all_at(now + 1);
}

inline bool refill_is_wanted(const ReadyWindow &window, std::int64_t now) {
    bool few = !ready_is_complete(window) && window.ready.count() < window.ready.slots() / 4;
    return !window.refilling && (few || schedule_is_behind(window, now));
}

// Takes up to `wanted` hints in order; fewer, or none, when a job may come before that is not
// known.
inline std::uint32_t take_ready(ReadyWindow &window, const WindowMemory &memory, std::int64_t now,
                                ReadyHint *taken, std::uint32_t wanted) {
    promote_due(window, memory, now);
    if (schedule_is_behind(window, now))
        return 0;
    std::uint32_t count = 0;
    for (; count < wanted && !window.ready.empty() &&
           place_in_turn(window.ready.front(memory.ready)) < window.ready_before;
         ++count) {
        taken[count] = window.ready.front(memory.ready);
        window.ready.drop_front();
    }
    return count;
}

// Has to look for jobs that are due at `due_until`.
inline void begin_refill(ReadyWindow &window, std::int64_t now) {
    window.refilling = true;
    window.due_until = std::max(window.due_until, now);
    window.ready_left_out = after_all_hints;
    window.scheduled_left_out = after_all_hints;
}

namespace ready_window_detail {

// What was kept meanwhile, and lies where the window does not know all, is not counted on.
inline void forget_kept(ReadyWindow &window, const WindowMemory &memory) {
    window.refilling = false;
    window.ready.cut_at(memory.ready, window.ready_before);
    window.scheduled.cut_at(memory.scheduled, window.scheduled_before);
}

} // namespace ready_window_detail

inline void abandon_refill(ReadyWindow &window, const WindowMemory &memory) {
    ready_window_detail::forget_kept(window, memory);
}

// `found` was read by a snapshot taken after begin_refill(), from where the window ended then.
inline void end_refill(ReadyWindow &window, const WindowMemory &memory, const Refill &found) {
    add_ready(window, memory, found.ready);
    add_scheduled(window, memory, found.scheduled);
    window.ready_before = earlier(found.ready_end, window.ready_left_out);
    window.scheduled_before = earlier(found.scheduled_end, window.scheduled_left_out);
    ready_window_detail::forget_kept(window, memory);
}

} // namespace faultline::core
