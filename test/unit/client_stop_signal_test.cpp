// The stop latch and its signals.
#include <csignal>

#include <catch2/catch.hpp>

#include "faultline/stop_signal.hpp"

using faultline::client::StopSignal;
using std::chrono::milliseconds;

TEST_CASE("a stop stays requested and ends every wait at once", "[client][stop_signal]") {
    StopSignal stop;
    CHECK_FALSE(stop.requested());
    CHECK_FALSE(stop.wait_for(milliseconds(1)));
    stop.request();
    stop.request();
    CHECK(stop.requested());
    CHECK(stop.wait_for(milliseconds(600'000)));
    CHECK(stop.requested());
}

TEST_CASE("SIGTERM and SIGINT request the stop", "[client][stop_signal]") {
    const int signal = GENERATE(SIGTERM, SIGINT);
    StopSignal stop;
    stop.catch_termination();
    std::raise(signal);
    CHECK(stop.requested());
}

TEST_CASE("only one object at a time catches the signals", "[client][stop_signal]") {
    StopSignal first;
    first.catch_termination();
    StopSignal second;
    CHECK_THROWS_AS(second.catch_termination(), std::logic_error);
    std::raise(SIGTERM);
    CHECK(first.requested());
    CHECK_FALSE(second.requested());
}
