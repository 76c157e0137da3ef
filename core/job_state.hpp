// The job's state machine: the only states there are, and the only steps between them.
// Pure rules: no PostgreSQL, no clock, no allocation.
#pragma once

#include <array>
#include <string_view>

namespace faultline::core {

// The letter is what the "char" columns hold.
enum class JobState : char {
    queued = 'q',
    running = 'r',
    succeeded = 's',
    failed = 'f',
    cancelled = 'c',
};

inline constexpr std::array<JobState, 5> job_states = {JobState::queued, JobState::running,
                                                       JobState::succeeded, JobState::failed,
                                                       JobState::cancelled};

constexpr std::string_view state_name(JobState state) {
    switch (state) {
    case JobState::queued:
        return "queued";
    case JobState::running:
        return "running";
    case JobState::succeeded:
        return "succeeded";
    case JobState::failed:
        return "failed";
    case JobState::cancelled:
        return "cancelled";
    }
    return "unknown";
}

// queued -> running by claim; queued -> cancelled; running -> any end, or back to queued by retry,
// expiry and release; failed -> queued by redrive.  Succeeded and cancelled are final.
constexpr bool transition_allowed(JobState from, JobState to) {
    switch (from) {
    case JobState::queued:
        return to == JobState::running || to == JobState::cancelled;
    case JobState::running:
        return to != JobState::running;
    case JobState::failed:
        return to == JobState::queued;
    case JobState::succeeded:
    case JobState::cancelled:
        return false;
    }
    return false;
}

static_assert(transition_allowed(JobState::queued, JobState::running));
static_assert(!transition_allowed(JobState::queued, JobState::succeeded));
static_assert(!transition_allowed(JobState::succeeded, JobState::queued));
static_assert(!transition_allowed(JobState::cancelled, JobState::queued));

} // namespace faultline::core
