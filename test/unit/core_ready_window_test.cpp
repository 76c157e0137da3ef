// The ready window against a plain list of everything there is: whatever happens in whatever order,
// no job that is due is passed over, and none is held back for ever.
#include "core/ready_window.hpp"

#include <catch2/catch.hpp>

#include <map>
#include <random>
#include <vector>

namespace {

using namespace faultline::core;

constexpr std::uint32_t ready_slots = 16;
constexpr std::uint32_t scheduled_slots = 4;

ReadyHint hint_of(std::int64_t job_id, std::int16_t priority, std::int64_t next_run_at) {
    return {.next_run_at = next_run_at,
            .job_id = job_id,
            .block = static_cast<std::uint32_t>(job_id),
            .offset = 1,
            .priority = priority};
}

struct Window {
    ReadyWindow state = {};
    std::vector<ReadyHint> ready = std::vector<ReadyHint>(ready_slots);
    std::vector<ReadyHint> scheduled = std::vector<ReadyHint>(scheduled_slots);

    Window() { start_over(state, ready_slots, scheduled_slots); }

    WindowMemory memory() { return {ready.data(), scheduled.data()}; }
    void tell(std::vector<ReadyHint> hints, bool due) {
        std::sort(hints.begin(), hints.end(), [due](const ReadyHint &left, const ReadyHint &right) {
            return due ? place_in_turn(left) < place_in_turn(right)
                       : place_in_time(left) < place_in_time(right);
        });
        const HintList list = {hints.data(), static_cast<std::uint32_t>(hints.size())};
        due ? add_ready(state, memory(), list) : add_scheduled(state, memory(), list);
    }
    std::vector<ReadyHint> take(std::int64_t now, std::uint32_t wanted) {
        std::vector<ReadyHint> taken(wanted);
        taken.resize(take_ready(state, memory(), now, taken.data(), wanted));
        return taken;
    }
};

using Rows = std::map<std::int64_t, ReadyHint>; // by job: what waits, committed

// What an index scan finds from where the window ends, `most` of each kind.
struct Found {
    std::vector<ReadyHint> ready;
    std::vector<ReadyHint> scheduled;
    HintPlace ready_end = after_all_hints;
    HintPlace scheduled_end = after_all_hints;
};

template <typename PlaceOfHint>
HintPlace collect_from(const Rows &rows, HintPlace from, std::size_t most, PlaceOfHint place_of,
                       bool (*wanted)(const ReadyHint &, std::int64_t), std::int64_t now,
                       std::vector<ReadyHint> &found) {
    std::vector<ReadyHint> sorted;
    for (const auto &[job_id, hint] : rows)
        if (wanted(hint, now) && !(place_of(hint) < from))
            sorted.push_back(hint);
    std::sort(sorted.begin(), sorted.end(), [&](const ReadyHint &left, const ReadyHint &right) {
        return place_of(left) < place_of(right);
    });
    const HintPlace end = sorted.size() > most ? place_of(sorted[most]) : after_all_hints;
    sorted.resize(std::min(sorted.size(), most));
    found.insert(found.end(), sorted.begin(), sorted.end());
    return end;
}

Found scan(const Window &window, const Rows &rows, std::int64_t now) {
    Found found;
    found.ready_end = collect_from(
        rows, window.state.ready_before, ready_slots / 4, place_in_turn,
        [](const ReadyHint &hint, std::int64_t at) { return hint.next_run_at <= at; }, now,
        found.ready);
    const bool knows_nothing = window.state.scheduled_before == before_all_hints;
    std::vector<ReadyHint> by_time;
    found.scheduled_end = collect_from(
        rows, knows_nothing ? time_before_all_at(now + 1) : window.state.scheduled_before,
        scheduled_slots, place_in_time, [](const ReadyHint &, std::int64_t) { return true; }, now,
        by_time);
    for (const ReadyHint &hint : by_time)
        (hint.next_run_at <= now ? found.ready : found.scheduled).push_back(hint);
    return found;
}

void finish_refill(Window &window, Found found) {
    std::sort(found.ready.begin(), found.ready.end(),
              [](const ReadyHint &left, const ReadyHint &right) {
                  return place_in_turn(left) < place_in_turn(right);
              });
    end_refill(
        window.state, window.memory(),
        {.ready = {found.ready.data(), static_cast<std::uint32_t>(found.ready.size())},
         .ready_end = found.ready_end,
         .scheduled = {found.scheduled.data(), static_cast<std::uint32_t>(found.scheduled.size())},
         .scheduled_end = found.scheduled_end});
}

// Takes the next job as a claim does: outdated hints are passed, and an empty window is refilled
// as long as that may help.
std::int64_t claim(Window &window, Rows &rows, std::int64_t now) {
    for (int tries = 0; tries < 1000; ++tries) {
        const std::vector<ReadyHint> taken = window.take(now, 1);
        if (!taken.empty()) {
            const auto row = rows.find(taken[0].job_id);
            if (row == rows.end() || row->second.next_run_at > now)
                continue;
            const std::int64_t job_id = taken[0].job_id;
            rows.erase(row);
            return job_id;
        }
        if (ready_is_complete(window.state) && !schedule_is_behind(window.state, now))
            return 0;
        REQUIRE(refill_is_wanted(window.state, now));
        begin_refill(window.state, now);
        finish_refill(window, scan(window, rows, window.state.due_until));
    }
    FAIL("refilling leads nowhere");
    return -1;
}

// The job that must be next.
std::int64_t first_due(const Rows &rows, std::int64_t now) {
    const ReadyHint *first = nullptr;
    for (const auto &[job_id, hint] : rows)
        if (hint.next_run_at <= now &&
            (first == nullptr || place_in_turn(hint) < place_in_turn(*first)))
            first = &hint;
    return first == nullptr ? 0 : first->job_id;
}

} // namespace

TEST_CASE("A window hands out what it was told, in turn") {
    Window window;
    Rows rows;
    CHECK(claim(window, rows, 100) == 0);
    CHECK(ready_is_complete(window.state));
    for (const ReadyHint &hint :
         {hint_of(1, 0, 10), hint_of(2, -1, 20), hint_of(3, 0, 5), hint_of(4, 0, 10)})
        rows[hint.job_id] = hint;
    window.tell({rows[1], rows[2], rows[3], rows[4]}, true);
    CHECK(claim(window, rows, 100) == 2);
    CHECK(claim(window, rows, 100) == 3);
    CHECK(claim(window, rows, 100) == 1);
    CHECK(claim(window, rows, 100) == 4);
    CHECK(claim(window, rows, 100) == 0);
}

TEST_CASE("A window that starts over disregards a refill under way") {
    Window window;
    begin_refill(window.state, 0);
    const std::uint32_t epoch = window.state.epoch;
    start_over(window.state, ready_slots, scheduled_slots);
    CHECK(window.state.epoch != epoch);
    CHECK_FALSE(window.state.refilling);
    CHECK(window.take(100, 1).empty());
}

TEST_CASE("A job that is committed during a refill is kept, wherever it belongs") {
    Window window;
    Rows rows;
    begin_refill(window.state, 0);
    const Found before = scan(window, rows, 100); // the snapshot
    rows[7] = hint_of(7, 0, 50);
    window.tell({rows[7]}, true); // its commit
    rows[8] = hint_of(8, 0, 150);
    window.tell({rows[8]}, false);
    finish_refill(window, before);
    CHECK(ready_is_complete(window.state));
    CHECK(claim(window, rows, 100) == 7);
    CHECK(claim(window, rows, 200) == 8);
}

TEST_CASE("More jobs during a refill than there is room for are found by the next one") {
    Window window;
    Rows rows;
    begin_refill(window.state, 0);
    const Found before = scan(window, rows, 1000);
    std::vector<ReadyHint> hints;
    for (std::int64_t id = 1; id <= 3 * ready_slots; ++id)
        hints.push_back(rows[id] = hint_of(id, 0, 1000 - id));
    window.tell(hints, true);
    finish_refill(window, before);
    for (std::int64_t id = 3 * ready_slots; id >= 1; --id)
        CHECK(claim(window, rows, 1000) == id);
    CHECK(claim(window, rows, 1000) == 0);
}

TEST_CASE("What is kept during a refill, and lies behind it, does not count as known") {
    Window window;
    Rows rows;
    std::vector<ReadyHint> hints;
    for (std::int64_t id = 1; id <= 3 * ready_slots; ++id)
        hints.push_back(rows[id] = hint_of(id, 0, id));
    begin_refill(window.state, 1000);
    const Found before = scan(window, rows, 1000);
    hints.assign(ready_slots / 2, {});
    for (std::int64_t i = 0; i < ready_slots / 2; ++i)
        hints[static_cast<std::size_t>(i)] = rows[100 + i] = hint_of(100 + i, 0, 500 + i);
    window.tell(hints, true);
    SECTION("when it succeeds") {
        finish_refill(window, before);
        CHECK(window.state.ready.count() == ready_slots / 4);
    }
    SECTION("when it fails") {
        abandon_refill(window.state, window.memory());
        CHECK(window.state.ready.empty());
    }
    while (!rows.empty())
        REQUIRE(claim(window, rows, 1000) != 0);
}

TEST_CASE("A refill by a clock that is behind passes over nothing that others were told was due") {
    Window window;
    Rows rows;
    for (std::int64_t id = 1; id <= ready_slots; ++id)
        rows[id] = hint_of(id, 0, id);
    CHECK(claim(window, rows, 100) == 1);
    CHECK_FALSE(ready_is_complete(window.state));
    rows[99] = hint_of(99, 0, 150);
    window.tell({rows[99]}, true); // by a session where it is 150
    while (!ready_is_complete(window.state)) {
        begin_refill(window.state, 120);
        finish_refill(window, scan(window, rows, window.state.due_until));
    }
    while (rows.size() > 1)
        REQUIRE(claim(window, rows, 150) < 99);
    CHECK(claim(window, rows, 150) == 99);
}

TEST_CASE("What was read earlier does not displace what was told meanwhile") {
    Window window;
    const ReadyHint old = hint_of(1, 0, 10);
    ReadyHint newer = old;
    newer.block = 99;
    begin_refill(window.state, 100);
    window.tell({newer}, true); // claimed and given back, in its place
    Found found;
    found.ready = {old};
    finish_refill(window, found);
    window.tell({newer, old}, true); // nothing new
    const std::vector<ReadyHint> taken = window.take(100, 5);
    REQUIRE(taken.size() == 2);
    CHECK(taken[0].block != taken[1].block);
}

TEST_CASE("Random histories: the next job is always the first one that is due") {
    const unsigned seed = GENERATE(range(1U, 11U));
    std::mt19937_64 random(seed);
    INFO("seed " << seed);
    const auto draw = [&](std::int64_t most) {
        return static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(most));
    };
    Window window;
    Rows rows;
    std::int64_t now = 1000;
    std::int64_t last_job = 0;
    for (int step = 0; step < 800; ++step) {
        switch (draw(8)) {
        case 0:
        case 1: { // a transaction enqueues, some jobs for later, many for the very same time
            std::vector<ReadyHint> due;
            std::vector<ReadyHint> later;
            const std::int64_t same_time = now + draw(40) - 20;
            for (std::int64_t i = draw(12); i >= 0; --i) {
                const ReadyHint hint = hint_of(++last_job, static_cast<std::int16_t>(draw(3)),
                                               draw(2) == 0 ? same_time : now + draw(60) - 30);
                rows[hint.job_id] = hint;
                (hint.next_run_at <= now ? due : later).push_back(hint);
            }
            window.tell(due, true);
            window.tell(later, false);
            break;
        }
        case 2: // cancelled: nobody tells
            if (!rows.empty())
                rows.erase(rows.begin());
            break;
        case 3:
            now += draw(15);
            break;
        case 4: { // a claim that rolls back
            std::vector<ReadyHint> taken = window.take(now, static_cast<std::uint32_t>(draw(4)));
            window.tell(taken, true);
            break;
        }
        case 5: { // a refill during which somebody commits and somebody claims
            begin_refill(window.state, now - draw(10)); // by a clock that is behind
            const Found found = scan(window, rows, window.state.due_until);
            const ReadyHint hint =
                hint_of(++last_job, static_cast<std::int16_t>(draw(3)), now + draw(20) - 10);
            rows[hint.job_id] = hint;
            window.tell({hint}, hint.next_run_at <= now);
            for (const ReadyHint &gone : window.take(now, 2))
                rows.erase(gone.job_id);
            if (draw(4) == 0)
                abandon_refill(window.state, window.memory());
            else
                finish_refill(window, found);
            break;
        }
        default: {
            const std::int64_t expected = first_due(rows, now);
            REQUIRE(claim(window, rows, now) == expected);
        }
        }
        if (draw(500) == 0)
            start_over(window.state, ready_slots, scheduled_slots);
    }
    while (first_due(rows, now + 1000) != 0) {
        const std::int64_t expected = first_due(rows, now + 1000);
        REQUIRE(claim(window, rows, now + 1000) == expected);
    }
    REQUIRE(claim(window, rows, now + 1000) == 0);
}
