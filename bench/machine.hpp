// Owns what a result must say of the machine, the server and its settings, and what the machine
// knows of a backend.
#pragma once

#include "faultline/connection.hpp"

#include <string>

namespace faultline::bench {

// Throws when the server does not make every commit durable: such figures would mean nothing.
void check_durable(client::Connection &admin);

// Date, machine, server, settings and command line, a line each.
std::string describe_run(client::Connection &admin, const std::string &command_line,
                         const std::string &revision);

// How long the connection's backend has been on a processor: hardly depends on what else runs.
double processor_milliseconds(client::Connection &connection);

} // namespace faultline::bench
