// The state machine, the fence, and what follows an attempt without success.
#include <cstdint>
#include <limits>

#include <catch2/catch.hpp>

#include "core/fence.hpp"
#include "core/job_state.hpp"
#include "core/lease.hpp"
#include "core/settle.hpp"

using namespace faultline::core;

TEST_CASE("a job moves only along the arrows of its state machine", "[core][rules]") {
    const auto allowed_from = [](JobState from) {
        int count = 0;
        for (const JobState to : job_states) {
            count += transition_allowed(from, to) ? 1 : 0;
        }
        return count;
    };
    CHECK(transition_allowed(JobState::queued, JobState::running));
    CHECK(transition_allowed(JobState::queued, JobState::cancelled));
    CHECK(allowed_from(JobState::queued) == 2);
    CHECK_FALSE(transition_allowed(JobState::running, JobState::running));
    CHECK(allowed_from(JobState::running) == 4);
    CHECK(transition_allowed(JobState::failed, JobState::queued));
    CHECK(allowed_from(JobState::failed) == 1);
    CHECK(allowed_from(JobState::succeeded) == 0);
    CHECK(allowed_from(JobState::cancelled) == 0);
}

TEST_CASE("only the running job's own token passes the fence", "[core][rules]") {
    CHECK(lease_is_current(JobState::running, true, 7, 7));
    CHECK_FALSE(lease_is_current(JobState::running, true, 7, 8));
    CHECK_FALSE(lease_is_current(JobState::running, false, 0, 0));
    for (const JobState state : job_states) {
        if (state != JobState::running) {
            CHECK_FALSE(lease_is_current(state, true, 7, 7));
        }
    }
}

TEST_CASE("a token is positive whatever the random bits", "[core][rules]") {
    CHECK(token_from_random(0) == 1);
    CHECK(token_from_random(1) == 1);
    CHECK(token_from_random(2) == 1);
    CHECK(token_from_random(std::numeric_limits<std::uint64_t>::max()) ==
          std::numeric_limits<std::int64_t>::max());
}

TEST_CASE("the attempt numbered max_attempts is the last one", "[core][rules]") {
    AttemptEnd end = {};
    end.attempts_max = 3;
    end.attempts_counted = 2;
    CHECK(next_step(end) == NextStep::retry);
    end.attempts_counted = 3;
    CHECK(next_step(end) == NextStep::dead_letter);
    CHECK(failure_reason(end) == FailureReason::attempts_exhausted);
    end.attempts_counted = 4;
    CHECK(next_step(end) == NextStep::dead_letter);
}

TEST_CASE("effect, cancel request, release, discard: the first that applies decides",
          "[core][rules]") {
    AttemptEnd end = {};
    end.attempts_max = 3;
    end.attempts_counted = GENERATE(1, 3);
    end.discard = true;
    CHECK(next_step(end) == NextStep::dead_letter);
    CHECK(failure_reason(end) == FailureReason::discarded);
    end.released = true;
    CHECK(next_step(end) == NextStep::retry);
    end.cancel_requested = true;
    CHECK(next_step(end) == NextStep::cancel);
    end.effect_exists = true;
    CHECK(next_step(end) == NextStep::succeed);
}

TEST_CASE("no lease ends later than max_runtime after the claim", "[core][rules]") {
    CHECK(granted_lease_end({100, 150, 50}) == 150);
    CHECK(granted_lease_end({100, 151, 50}) == 150);
    CHECK(granted_lease_end({100, 151, 0}) == 151);
    CHECK(granted_lease_end({100, 1'000, 50}) == 150);
    const std::int64_t late = std::numeric_limits<std::int64_t>::max();
    CHECK(granted_lease_end({late - 5, late, max_runtime_microseconds_max}) == late);
    CHECK(granted_lease_end({late - 5, late, 4}) == late - 1);
}

TEST_CASE("a lease ends when its time comes, or when the clock was set back", "[core][rules]") {
    CHECK_FALSE(lease_has_ended(100, 99));
    CHECK(lease_has_ended(100, 100));
    CHECK_FALSE(lease_has_ended(lease_microseconds_max, 0));
    CHECK(lease_has_ended(lease_microseconds_max + 1, 0));
}

TEST_CASE("the error of an expired attempt says why its lease ended", "[core][rules]") {
    CHECK(lease_end_error({0, 100, 0}, 100) == "lease expired");
    CHECK(lease_end_error({0, 100, 101}, 100) == "lease expired");
    CHECK(lease_end_error({0, 100, 100}, 100) == "max_runtime reached");
    CHECK(lease_end_error({0, lease_microseconds_max + 100, 1}, 0) ==
          "lease ended: the clock was set back");
}
