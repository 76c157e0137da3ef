// Owns what one logical worker, producer, operator, maintainer or reader remembers, and what it
// does next.
#pragma once

#include "calls.hpp"
#include "session.hpp"

#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace faultline::simulator {

struct Actor {
    int number = 0;
    Role role = Role::worker;
    std::string name;
    std::optional<Session> session;
    std::vector<Grant> held;
    // A call whose answer was lost; a careful client asks again.
    std::optional<Call> doubt;
    int paused_until = 0; // a step
    int transaction = 0;  // 0: none is open
    int calls_in_transaction = 0;
    bool snapshot = false;    // of the open transaction
    int savepoint_after = -1; // the event before the savepoint; -1: none
    // The call that waits for another session.
    Event *parked = nullptr;
    std::vector<int> blockers; // of the parked call
    std::string armed;         // the debug point that is set in the session
};

// What actors know of the world besides their own leases.
struct World {
    std::vector<std::int64_t> jobs;
    std::vector<std::string> transaction_ids;
    std::vector<Call> past_calls;
    std::vector<int> prepared; // transactions
    int transactions = 0;
};

// The call of this step; nothing when the actor has nothing to do.
std::optional<Call> next_call(Actor &actor, const World &world, const SeedPlan &plan,
                              const Choice &choice, int step);
// What the actor learns from an answer.
void learn(Actor &actor, World &world, const Event &event, const Choice &choice);

} // namespace faultline::simulator
