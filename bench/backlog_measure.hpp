// Owns what a claim costs when many jobs wait, or stand where claims begin.
#pragma once

#include "faultline/connection.hpp"
#include "peer.hpp"
#include "program.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace faultline::bench {

// How many jobs stand in a queue while claims are measured.
struct Standing {
    std::int64_t ready = 0;
    std::int64_t scheduled = 0; // before the ready ones in order, due in an hour
    std::int64_t running = 0;   // before the ready ones in order
};

inline constexpr std::int64_t ready_baseline = 1'000;

// A round's claims, and those of the baseline just before or after.
struct ClaimRound {
    double p50;
    double p99;
    double baseline_p50;
};

struct BacklogResult {
    Standing standing;
    std::vector<ClaimRound> rounds;
};

// Each standing beside a queue of ready_baseline jobs and nothing else. A cycle enqueues a job,
// claims one, which is timed, and completes it, so that what stands there stays as much.
std::vector<BacklogResult> measure_backlog(client::Connection &admin, const Peer &peer,
                                           const Options &options);

} // namespace faultline::bench
