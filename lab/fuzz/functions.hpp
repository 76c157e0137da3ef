// Owns what can be called: the functions of the schema, read from the catalog.
#pragma once

#include "garbage.hpp"

#include "../simulator/session.hpp"

namespace faultline::fuzz {

struct Function {
    std::string name;
    bool is_procedure;
    std::size_t required_count; // arguments without a default come first
    std::vector<Argument> arguments;
    bool is_heavy; // its work grows with the tables: called seldom
};

// Those that the user of this session may execute.
std::vector<Function> read_functions(simulator::Session &session);

// faultline.name(argument => value, ...).
std::string call_of(const Choice &choice, const Function &function, const Known &known);

} // namespace faultline::fuzz
