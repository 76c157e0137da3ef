// Implements the drawing of faults.
#include "fault_plan.hpp"

#include <algorithm>
#include <array>

namespace faultline::lab {

namespace {

// Faults are due inside this part of the drill: the start is warm by then, and the rest still holds
// enough work for the last fault to find a worker in the middle of it.
constexpr double first_progress = 0.05;
constexpr double last_progress = 0.80;

constexpr std::array kill_moments = {
    Moment::claimed,    // holds leases and has done nothing
    Moment::committing, // has completed, and nobody knows whether the commit arrives
    Moment::completed,  // between two batches
};

} // namespace

std::deque<Fault> plan_faults(std::uint64_t seed, int kills, int pauses, std::int64_t jobs,
                              int workers) {
    std::mt19937_64 random(seed);
    std::uniform_real_distribution<double> progress(first_progress, last_progress);
    std::uniform_int_distribution<int> reports_to_skip(0, 2 * workers - 1);
    std::deque<Fault> faults;
    for (int number = 0; number < kills + pauses; ++number) {
        const bool is_kill = number < kills;
        const auto moment_number = static_cast<std::size_t>(number) % kill_moments.size();
        faults.push_back({
            .kind = is_kill ? FaultKind::kill : FaultKind::pause,
            .completed_jobs =
                static_cast<std::int64_t>(static_cast<double>(jobs) * progress(random)),
            // Every moment gets its turn; a pause is about leases that end while they are held.
            .moment = is_kill ? kill_moments[moment_number] : Moment::claimed,
            .reports_to_skip = reports_to_skip(random),
        });
    }
    std::sort(faults.begin(), faults.end(), [](const Fault &left, const Fault &right) {
        return left.completed_jobs < right.completed_jobs;
    });
    return faults;
}

} // namespace faultline::lab
