// Owns what goes wrong in a drill, and when: drawn from a seed before the drill starts, so that a
// run can be repeated. Moments are progress and reports of workers, never times.
#pragma once

#include "worker_process.hpp"

#include <cstdint>
#include <deque>
#include <random>

namespace faultline::lab {

enum class FaultKind {
    kill, // kill -9
    pause // stopped until its leases have ended, then let on: a zombie
};

struct Fault {
    FaultKind kind;
    std::int64_t completed_jobs; // due once this many jobs are done
    Moment moment;               // hits a worker that has just reported this
    int reports_to_skip;         // of that kind, so that chance picks the worker
};

// `kills` and `pauses` spread over the drill at random, ordered by progress.
std::deque<Fault> plan_faults(std::uint64_t seed, int kills, int pauses, std::int64_t jobs,
                              int workers);

} // namespace faultline::lab
