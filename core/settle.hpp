// What follows an attempt that ended without success.  One rule for fail(), lease expiry and
// release, so that they can never disagree.
#pragma once

#include <cstdint>
#include <string_view>

namespace faultline::core {

// Why an attempt ended; the letter is what ended_attempts.outcome holds.
enum class AttemptOutcome : char {
    failed = 'f',
    lease_expired = 'x',
    released = 'r',
    cancelled = 'c',
};

constexpr std::string_view outcome_name(AttemptOutcome outcome) {
    switch (outcome) {
    case AttemptOutcome::failed:
        return "failed";
    case AttemptOutcome::lease_expired:
        return "lease_expired";
    case AttemptOutcome::released:
        return "released";
    case AttemptOutcome::cancelled:
        return "cancelled";
    }
    return "unknown";
}

// Why a job failed for good; the letter is what failed_jobs.reason holds.
enum class FailureReason : char {
    attempts_exhausted = 'a',
    discarded = 'd',
};

enum class NextStep { retry, dead_letter, cancel, succeed };

struct AttemptEnd {
    bool effect_exists; // the job has its ledger entry
    bool cancel_requested;
    bool released; // given back: does not count against the budget
    bool discard;
    std::int64_t attempts_counted; // claims that count against the budget, this one included
    std::int64_t attempts_max;
};

// The effect is the truth: a job that has it succeeded, however its attempt ended.  A job asked to
// stop never runs again, whatever its budget; a discarded one fails at once; and the budget is
// exact: the attempt numbered max_attempts is the last one.
constexpr NextStep next_step(const AttemptEnd &end) {
    if (end.effect_exists)
        return NextStep::succeed;
    if (end.cancel_requested)
        return NextStep::cancel;
    if (end.released)
        return NextStep::retry;
    if (end.discard || end.attempts_counted >= end.attempts_max)
        return NextStep::dead_letter;
    return NextStep::retry;
}

constexpr FailureReason failure_reason(const AttemptEnd &end) {
    return end.discard ? FailureReason::discarded : FailureReason::attempts_exhausted;
}

static_assert(next_step({false, false, false, false, 1, 2}) == NextStep::retry);
static_assert(next_step({false, false, false, false, 2, 2}) == NextStep::dead_letter);
static_assert(next_step({false, false, true, false, 2, 2}) == NextStep::retry);
static_assert(next_step({false, true, true, true, 2, 2}) == NextStep::cancel);
static_assert(next_step({true, true, true, true, 2, 2}) == NextStep::succeed);

} // namespace faultline::core
