// Owns random histories: calls that a seed makes up, in a form that can be kept as a scenario.
#pragma once

#include "verb.hpp"

#include <cstdint>

namespace faultline::conformance {

// expire_at_once: leases that have ended are settled whenever time has passed, so that no claim
// meets one. By its window a claim looks for them once in a while only, in real time.
std::vector<Verb> random_history(std::uint64_t seed, int calls, bool expire_at_once);

} // namespace faultline::conformance
