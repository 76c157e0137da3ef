// Owns a run at a steady rate while an idle transaction keeps vacuum from removing anything.
#pragma once

#include "faultline/connection.hpp"
#include "peer.hpp"
#include "program.hpp"

#include <cstdint>
#include <vector>

namespace faultline::bench {

// What a stretch of the run was like; counts are as they stood at its end.
struct Window {
    double end_seconds = 0;
    std::vector<double> claim_milliseconds; // of claims that returned jobs
    std::int64_t completed = 0;             // since the start
    // Offered by the schedule and not completed: a job that could not even be enqueued waits too.
    std::int64_t backlog = 0;
    double dead_rows = 0;
    double table_bytes = 0; // of all its tables and indexes
};

inline constexpr double window_seconds_max = 10;

// In a fresh copy of the template. Offers options.rate jobs a second, by a schedule that does not
// wait for the queue; options.clients.front() workers take batches of options.batches.front().
std::vector<Window> measure_pinned(client::Connection &admin, const Peer &peer,
                                   const Options &options);

} // namespace faultline::bench
