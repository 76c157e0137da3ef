// Owns random histories: calls that a seed makes up, in a form that can be kept as a scenario.
#pragma once

#include "verb.hpp"

#include <cstdint>

namespace faultline::conformance {

std::vector<Verb> random_history(std::uint64_t seed, int calls);

} // namespace faultline::conformance
