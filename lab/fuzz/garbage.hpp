// Owns the values that the fuzzer passes: for each type what is at its limits, malformed or merely
// unusual, and what would be right.
#pragma once

#include "../simulator/choice.hpp"

#include <string>
#include <vector>

namespace faultline::fuzz {

using simulator::Choice;

// What a caller has seen, so that some of its arguments name something that exists.
struct Known {
    struct Lease {
        std::string job_id;
        std::string token;
    };
    std::vector<Lease> leases;
    std::vector<std::string> queues;
};

struct Argument {
    std::string name;
    std::string type; // as format_type() writes it
};

// What a job has to move, as an SQL literal.
std::string effect_declaration(int payment, int amount);

// An SQL expression of the argument's type; right with a chance of so many in a thousand.
std::string expression(const Choice &choice, const Argument &argument, const Known &known,
                       int right_per_mille);

} // namespace faultline::fuzz
