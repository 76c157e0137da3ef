// Owns how soon a waiting worker receives a job of an idle queue, by the ways to wait for it.
#pragma once

#include "client.hpp"
#include "peer.hpp"
#include "program.hpp"

#include <string>
#include <vector>

namespace faultline::bench {

enum class Waiting {
    round_trip, // nobody waits: SELECT 1, to compare with
    procedure,  // CALL faultline.wait_for_jobs()
    notified,   // LISTEN
    polling,    // a claim every poll_period
    package,    // the client of a queue from npm, a program of its own
};

inline constexpr std::chrono::milliseconds poll_period{100};

struct Way {
    std::string name;
    Waiting waiting;
    Peer peer;
    // Pauses must be as long as two polls, or jobs would always come at the same point of one.
    std::chrono::milliseconds pause_max{120};
    int jobs_divisor = 1; // fewer jobs where each takes long
};

struct Pickup {
    std::vector<double> from_commit; // ms, from the answer to enqueue to receipt
    std::vector<double> from_call;   // ms, from the call of enqueue to receipt
    std::vector<double> call;        // ms, of enqueue; of the round trip for round_trip
};

std::vector<Way> pickup_ways(const std::vector<Peer> &peers);
// Empty when this server can do it, else what is missing.
std::string what_way_needs(const Way &way, client::Connection &connection);

// Jobs that come one by one, after pauses of random length, to a worker that waits.
void measure_pickup(client::Connection &admin, const Way &way, const Options &options,
                    Pickup &pickup);

} // namespace faultline::bench
