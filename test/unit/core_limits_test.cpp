// The limits of a queue: how many jobs may wait, which retries wait longer, and how many a claim
// gets.
#include <cstdint>

#include <catch2/catch.hpp>

#include "core/backlog.hpp"
#include "core/duties.hpp"
#include "core/lease.hpp"
#include "core/retry_budget.hpp"

using namespace faultline::core;

TEST_CASE("a queue takes jobs until its backlog is reached", "[core][limits]") {
    CHECK(has_room(0, 10, 10));
    CHECK_FALSE(has_room(0, 11, 10));
    CHECK(has_room(9, 1, 10));
    CHECK_FALSE(has_room(10, 1, 10));
    // Retries and redrives may have filled it further; a repeated request brings nothing.
    CHECK_FALSE(has_room(25, 1, 10));
    CHECK(has_room(25, 0, 10));
}

TEST_CASE("a remembered count stands for its time", "[core][limits]") {
    const BacklogCount count{.found = 7, .added = 0, .stands_until = 100};
    CHECK(room_by_count(count, 99, 3, 10) == Room::enough);
    CHECK(room_by_count(count, 99, 4, 10) == Room::none);
    CHECK(room_by_count(count, 100, 1, 10) == Room::unknown);
    CHECK(room_by_count({}, 0, 1, 10) == Room::unknown);
}

TEST_CASE("the session's own jobs make it count again, and refuse nobody", "[core][limits]") {
    const BacklogCount count{.found = 7, .added = 2, .stands_until = 100};
    CHECK(room_by_count(count, 99, 1, 10) == Room::enough);
    CHECK(room_by_count(count, 99, 2, 10) == Room::unknown);
}

TEST_CASE("first starts earn retries, up to what is kept", "[core][limits]") {
    CHECK(retry_tokens_after_starts(0, 0.1, 9) < retry_token);
    CHECK(retry_tokens_after_starts(0, 0.1, 10) == retry_token);
    CHECK(retry_tokens_after_starts(5 * retry_token, 1.0, 10'000) == retry_tokens_max);
    CHECK(retry_is_paid(retry_tokens_at_start));
    CHECK_FALSE(retry_is_paid(retry_token - 1));
}

TEST_CASE("a retry that is put off waits between half the ceiling and all of it",
          "[core][limits]") {
    const BackoffPolicy policy{1'000, 100'000, 2.0, 0.2};
    const double unit_random = GENERATE(0.0, 0.3, 0.999999);
    const std::int64_t delay = deferred_microseconds(policy, 1'000, unit_random);
    CHECK(delay >= 50'000);
    CHECK(delay <= 100'000);
    CHECK(deferred_microseconds(policy, 200'000, unit_random) == 200'000);
    CHECK(deferred_microseconds({0, 1, 2.0, 0.2}, 0, unit_random) <= 1);
}

TEST_CASE("at all failures the load is that of first starts and the budget", "[core][limits]") {
    std::int64_t tokens = retry_tokens_at_start;
    std::int64_t retries = 0;
    for (int start = 0; start < 10'000; ++start) {
        tokens = retry_tokens_after_starts(tokens, 0.1, 1);
        if (retry_is_paid(tokens)) {
            tokens -= retry_token;
            ++retries;
        }
    }
    CHECK(retries == 10'000 / 10 + retry_tokens_at_start / retry_token);
}

TEST_CASE("a claim takes what fits into its lease", "[core][limits]") {
    CHECK(jobs_within_lease(30, 10, 0) == 3);
    CHECK(jobs_within_lease(29, 10, 0) == 2);
    CHECK(jobs_within_lease(30, 10, 10) == 2);
    CHECK(jobs_within_lease(30, 10, 30) == 0);
    CHECK(jobs_within_lease(30, 10, 1'000) == 0);
    CHECK(jobs_within_lease(lease_microseconds_max, 1'000, 0) == 86'400'000);
}

TEST_CASE("a duty that is cut off takes on less, until it gets to its end", "[core][limits]") {
    // Ten milliseconds a row, a second at most.
    int rows = 1000;
    int failures = 0;
    for (int run = 0; run < 100; ++run) {
        const bool succeeded = rows * 10 <= 1000;
        failures += !succeeded;
        rows = next_duty_rows(rows, 1000, succeeded, succeeded ? rows * 10 : 1000, 1000);
        CHECK(rows >= 1);
    }
    CHECK(failures == 4);
    CHECK(rows == 62);
}

TEST_CASE("a duty that has become quick takes on what is configured again", "[core][limits]") {
    int rows = 1;
    for (int run = 0; run < 10; ++run) {
        rows = next_duty_rows(rows, 1000, true, 1, 1000);
    }
    CHECK(rows == 1000);
}
