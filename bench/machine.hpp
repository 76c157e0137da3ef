// Owns what a result must say of the machine, the server and its settings.
#pragma once

#include "faultline/connection.hpp"

#include <string>

namespace faultline::bench {

// Throws when the server does not make every commit durable: such figures would mean nothing.
void check_durable(client::Connection &admin);

// Date, machine, server, settings and command line, a line each.
std::string describe_run(client::Connection &admin, const std::string &command_line,
                         const std::string &revision);

} // namespace faultline::bench
