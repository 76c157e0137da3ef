// The fencing rule: who may act for a job.
#pragma once

#include "job_state.hpp"

#include <cstdint>

namespace faultline::core {

// A worker's call counts only while the job runs under the very lease whose token it gives.
// Expired but not taken over still counts: nobody else has acted, so nothing is lost.
constexpr bool lease_is_current(JobState state, bool has_token, std::int64_t current_token,
                                std::int64_t given_token) {
    return state == JobState::running && has_token && current_token == given_token;
}

// Tokens are 63 random bits, never 0, so that they fit a positive bigint in every client.
constexpr std::int64_t token_from_random(std::uint64_t random_bits) {
    auto token = static_cast<std::int64_t>(random_bits >> 1);
    return token == 0 ? 1 : token;
}

static_assert(token_from_random(0) == 1);
static_assert(token_from_random(~std::uint64_t{0}) > 0);

} // namespace faultline::core
