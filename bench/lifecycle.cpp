// The lifecycle program: which runs it makes, in which order.
#include "database.hpp"
#include "measure.hpp"
#include "program.hpp"
#include "report.hpp"

#include <fmt/format.h>
#include <iostream>

namespace {

using namespace faultline::bench;
using faultline::client::Connection;

std::vector<ScenarioResult> run_all(Connection &admin, const Options &options) {
    std::vector<ScenarioResult> results;
    for (const int batch : options.batches)
        for (const int clients : options.clients)
            results.push_back({.scenario = {.batch = batch, .clients = clients}, .rounds = {}});
    for (int round = 0; round < options.rounds; ++round)
        for (ScenarioResult &result : results)
            // Neighbours in time, and neither peer always first.
            for (std::size_t turn = 0; turn < peer_count; ++turn) {
                const std::size_t peer = (turn + static_cast<std::size_t>(round)) % peer_count;
                result.rounds[peer].push_back(measure(admin, options.conninfo, peers()[peer],
                                                      result.scenario, options.run_seconds));
                std::cerr << fmt::format(
                    "round {} batch {:>3} clients {:>2} {:<9} {:>8.0f} jobs/s\n", round + 1,
                    result.scenario.batch, result.scenario.clients, peers()[peer].name,
                    result.rounds[peer].back().jobs_per_second);
            }
    return results;
}

std::string measure_all(Connection &admin, const Options &options) {
    create_template(admin, options.conninfo);
    // A checkpoint in the middle of a run would be charged to whoever is running.
    admin.execute("CHECKPOINT");
    return describe_results(run_all(admin, options), options.run_seconds, options.rounds);
}

} // namespace

int main(int argument_count, char **arguments) {
    return run_program(
        argument_count, arguments,
        {.name = "lifecycle",
         .description = "Measures Faultline's job lifecycle against a textbook SKIP LOCKED queue.",
         .measure_all = measure_all});
}
