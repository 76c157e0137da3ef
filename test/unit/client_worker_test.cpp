// A worker's options and outcomes, and the pauses between its tries.
#include <stdexcept>

#include <catch2/catch.hpp>

#include "faultline/worker.hpp"
#include "retry_delay.hpp"

using namespace faultline::client;

namespace {

WorkerOptions good_options() {
    WorkerOptions options;
    options.queue = "orders";
    options.worker = "w1";
    return options;
}

} // namespace

TEST_CASE("good worker options pass", "[client][worker]") {
    WorkerOptions options = good_options();
    CHECK_NOTHROW(validate(options));
    options.batch = 10'000;
    options.lease = Milliseconds(100);
    options.heartbeat_interval = Milliseconds(50);
    options.poll_interval = Milliseconds(1);
    CHECK_NOTHROW(validate(options));
}

TEST_CASE("bad worker options are named with their bounds", "[client][worker]") {
    WorkerOptions options = good_options();
    SECTION("queue") {
        options.queue = "no spaces";
        CHECK_THROWS_WITH(validate(options), Catch::Contains("\"no spaces\" is not 1 to 128"));
    }
    SECTION("empty worker name") {
        options.worker = "";
        CHECK_THROWS_WITH(validate(options), "the worker name must have 1 to 256 bytes");
    }
    SECTION("long worker name") {
        options.worker = std::string(257, 'w');
        CHECK_THROWS_WITH(validate(options), "the worker name must have 1 to 256 bytes");
    }
    SECTION("batch") {
        options.batch = GENERATE(-1, 0, 10'001);
        CHECK_THROWS_WITH(validate(options), Catch::Contains("batch must be 1 to 10000"));
    }
    SECTION("lease") {
        options.lease = GENERATE(Milliseconds(99), Milliseconds(86'400'001));
        CHECK_THROWS_WITH(validate(options), Catch::Contains("lease must be 100 to 86400000 ms"));
    }
    SECTION("a heartbeat slower than the lease allows") {
        options.lease = Milliseconds(1000);
        options.heartbeat_interval = Milliseconds(501);
        CHECK_THROWS_WITH(validate(options), "heartbeat interval must be 1 to 500 ms, not 501 ms");
    }
    SECTION("longest wait") {
        options.max_wait = Milliseconds(86'400'001);
        CHECK_THROWS_WITH(validate(options), Catch::Contains("longest wait must be 0 to"));
    }
    SECTION("poll interval") {
        options.poll_interval = Milliseconds(0);
        CHECK_THROWS_WITH(validate(options), Catch::Contains("poll interval must be 1 to"));
    }
}

TEST_CASE("a worker with bad options cannot be made", "[client][worker]") {
    const StopSignal stop;
    CHECK_THROWS_AS(Worker(WorkerOptions{}, stop), std::invalid_argument);
}

TEST_CASE("an outcome says exactly what it was made to say", "[client][worker]") {
    const Outcome success = Outcome::success("{}");
    CHECK(success.succeeded());
    CHECK(success.result() == "{}");
    CHECK_FALSE(success.applies());
    const Outcome declared = Outcome::apply("{}");
    CHECK(declared.succeeded());
    CHECK(declared.applies());
    CHECK(declared.result() == "{}");
    CHECK_FALSE(declared.effect().has_value());
    const Outcome named = Outcome::apply({"payment-1", "ada", "shop", 5, "EUR", std::nullopt});
    CHECK(named.applies());
    REQUIRE(named.effect().has_value());
    CHECK(named.effect()->transaction_id == "payment-1");
    CHECK_FALSE(named.result().has_value());
    const Outcome failure = Outcome::failure("late", Milliseconds(5));
    CHECK_FALSE(failure.succeeded());
    CHECK_FALSE(failure.discarded());
    CHECK(failure.error() == "late");
    CHECK(failure.retry_in() == Milliseconds(5));
    const Outcome discard = Outcome::discard("wrong");
    CHECK_FALSE(discard.succeeded());
    CHECK(discard.discarded());
    CHECK_FALSE(discard.retry_in().has_value());
}

TEST_CASE("pauses grow to their ceiling and start over", "[client][retry_delay]") {
    const Milliseconds ceiling(1000);
    RetryDelay delay(ceiling);
    CHECK(delay.next() <= retry_delay_first);
    for (int tries = 0; tries < 100; ++tries) {
        const Milliseconds pause = delay.next();
        CHECK(pause > Milliseconds(0));
        CHECK(pause <= ceiling);
    }
    CHECK(delay.next() >= ceiling / 2);
    delay.reset();
    CHECK(delay.next() <= retry_delay_first);
}

TEST_CASE("a poll interval varies by a quarter at most", "[client][retry_delay]") {
    RetryDelay delay(Milliseconds(1000));
    for (int tries = 0; tries < 100; ++tries) {
        const Milliseconds pause = delay.around(Milliseconds(400));
        CHECK(pause >= Milliseconds(300));
        CHECK(pause <= Milliseconds(500));
    }
    CHECK(delay.around(Milliseconds(1)) == Milliseconds(1));
}
