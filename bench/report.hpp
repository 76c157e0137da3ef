// Owns the printed result: what machine and server it was, and the table of medians.
#pragma once

#include "faultline/connection.hpp"
#include "measure.hpp"

#include <array>
#include <string>
#include <vector>

namespace faultline::bench {

// All rounds of one scenario, one list per peer; equal positions ran one right after the other.
struct ScenarioResult {
    Scenario scenario;
    std::array<std::vector<Measurement>, peer_count> rounds;
};

// Throws when the server does not make every commit durable: such figures would mean nothing.
void check_durable(client::Connection &admin);

// Date, machine, server, settings and command line, a line each.
std::string describe_run(client::Connection &admin, const std::string &command_line,
                         const std::string &revision);

std::string describe_results(const std::vector<ScenarioResult> &results, double run_seconds,
                             int rounds);

} // namespace faultline::bench
