// The limits of a queue: how many jobs may wait.
#include <cstdint>

#include <catch2/catch.hpp>

#include "core/backlog.hpp"

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
