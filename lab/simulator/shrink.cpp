// Implements shrinking: first whole kinds of faults, then runs of steps, halved until single ones.
#include "shrink.hpp"

namespace faultline::simulator {

namespace {

std::vector<int> steps_left(const RunOptions &options, int steps) {
    std::vector<int> left;
    for (int step = 1; step <= steps; ++step) {
        if (!options.steps_left_out.contains(step)) {
            left.push_back(step);
        }
    }
    return left;
}

// One pass over all pieces of that length, from the end, where what is not needed is likely.
bool shrink_by(RunOptions &options, int steps, std::size_t length,
               const std::function<bool(const RunOptions &)> &fails) {
    bool smaller = false;
    std::vector<int> left = steps_left(options, steps);
    for (std::size_t end = left.size(); end > 0;) {
        const std::size_t begin = end > length ? end - length : 0;
        RunOptions candidate = options;
        candidate.steps_left_out.insert(left.begin() + static_cast<std::ptrdiff_t>(begin),
                                        left.begin() + static_cast<std::ptrdiff_t>(end));
        if (fails(candidate)) {
            options = std::move(candidate);
            smaller = true;
        }
        end = begin;
    }
    return smaller;
}

} // namespace

RunOptions shrink(RunOptions failing, int steps,
                  const std::function<bool(const RunOptions &)> &fails) {
    for (std::size_t fault = 1; fault < fault_count; ++fault) {
        RunOptions candidate = failing;
        candidate.faults_left_out.insert(static_cast<Fault>(fault));
        if (fails(candidate)) {
            failing = std::move(candidate);
        }
    }
    for (std::size_t length = static_cast<std::size_t>(steps) / 2; length > 0;) {
        const bool smaller = shrink_by(failing, steps, length, fails);
        if (length > 1) {
            length = (length + 1) / 2;
        } else if (!smaller) {
            break;
        }
    }
    return failing;
}

} // namespace faultline::simulator
