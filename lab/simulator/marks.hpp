// Owns the marks: windows that seeds must have come through, or their being clean says nothing.
#pragma once

#include "checker.hpp"

#include <set>
#include <string>
#include <vector>

namespace faultline::simulator {

// Those that a history and how it ended show.
std::set<std::string> marks_of(const History &history, const FinalState &final_state);
// All that there are.
std::vector<std::string> all_marks();

// Debug points that a call can come by, besides those of its transaction.
std::vector<std::string> points_of(Op op);
// The mark of a debug point at which a call was struck.
std::string point_mark(Fault fault, const std::string &point);

} // namespace faultline::simulator
