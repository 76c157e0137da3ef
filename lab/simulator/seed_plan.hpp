// Owns what a seed decides before its run begins: how many take part, how likely each call and each
// fault is (some never happen in a run: swarm testing), and the policies of the queues.
#pragma once

#include "choice.hpp"
#include "words.hpp"

#include <array>
#include <cstdint>
#include <vector>

namespace faultline::simulator {

inline constexpr int queue_count = 2;

struct QueuePlan {
    int lease_seconds = 30;
    int max_attempts = 3;
    int backoff_seconds = 1;
    int max_runtime_seconds = 0; // 0: no limit
};

struct SeedPlan {
    std::uint64_t seed = 0;
    int steps = 0;
    std::vector<Role> actors;              // the last one is chaos
    std::vector<int> actor_weights;        // in the order of actors
    std::array<int, op_count> ops{};       // weights of calls, each among those of its role
    std::array<int, fault_count> faults{}; // per mille of the calls that they can hit
    std::array<QueuePlan, queue_count> queues{};
    int transaction_per_mille = 0; // calls that begin a transaction of several
    int keyed_per_mille = 0;
    int key_count = 1;
    int declared_per_mille = 0; // jobs with a declared ledger effect
    // Per mille of the sessions that do without what is in shared memory.
    int plain_per_mille = 0;
    bool restarts = false; // the server goes down in this run

    int weight(Op op) const { return ops[static_cast<std::size_t>(op)]; }
    int per_mille(Fault fault) const { return faults[static_cast<std::size_t>(fault)]; }
};

SeedPlan plan_of_seed(std::uint64_t seed, int steps);

} // namespace faultline::simulator
