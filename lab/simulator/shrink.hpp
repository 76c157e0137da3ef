// Owns the making of a failing run small: which steps and which faults it needs to fail.
#pragma once

#include "run.hpp"

#include <functional>

namespace faultline::simulator {

// Leaves out what it can while `fails` stays true of what is left. Choices do not shift when steps
// are left out, so what remains does what it did, as far as it does not depend on the rest.
RunOptions shrink(RunOptions failing, int steps,
                  const std::function<bool(const RunOptions &)> &fails);

} // namespace faultline::simulator
