// The benchmark program: options, the order of the runs, and where the report goes.
#include "measure.hpp"
#include "report.hpp"

#include <CLI/CLI.hpp>
#include <chrono>
#include <exception>
#include <filesystem>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <fstream>
#include <iostream>
#include <stdexcept>

namespace {

using namespace faultline::bench;
using faultline::client::Connection;

constexpr int batch_max = 10'000; // what one claim may return
constexpr int clients_max = 64;
constexpr int rounds_max = 100;
constexpr double run_seconds_max = 600;
constexpr double quick_run_seconds = 1;

struct Options {
    std::string conninfo;
    double run_seconds = 3;
    int rounds = 5;
    std::vector<int> batches{1, 100};
    std::vector<int> clients{1, 4, 16};
    bool quick = false;
    bool save = false;
    std::string results_directory = "bench/results";
    std::string revision = "unknown";
    std::string command;
};

void add_options(CLI::App &app, Options &options) {
    app.add_option("--conninfo", options.conninfo,
                   "libpq connection string (key=value) of a superuser; else the environment");
    app.add_option("--seconds", options.run_seconds, "length of one run")
        ->check(CLI::Range(0.1, run_seconds_max));
    app.add_option("--rounds", options.rounds, "interleaved rounds")
        ->check(CLI::Range(1, rounds_max));
    app.add_option("--batch", options.batches, "jobs per call")->check(CLI::Range(1, batch_max));
    app.add_option("--clients", options.clients, "concurrent connections")
        ->check(CLI::Range(1, clients_max));
    app.add_flag("--quick", options.quick, "runs of one second");
    app.add_flag("--save", options.save, "also write the report into the results directory");
    app.add_option("--results-directory", options.results_directory, "where --save writes");
    app.add_option("--command", options.command, "command line to print in the report");
    app.add_option("--revision", options.revision, "source revision to print in the report");
}

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

void save(const Options &options, const std::string &report) {
    const std::filesystem::path directory(options.results_directory);
    std::filesystem::create_directories(directory);
    const auto path = directory / fmt::format("{:%Y-%m-%d}-lifecycle.txt",
                                              fmt::gmtime(std::chrono::system_clock::now()));
    std::ofstream file(path);
    file << report;
    file.close();
    if (!file)
        throw std::runtime_error(fmt::format("could not write {}", path.string()));
    std::cout << "\nsaved as " << path.string() << '\n';
}

std::string command_line(int argument_count, char **arguments) {
    std::string line = "lifecycle";
    for (int index = 1; index < argument_count; ++index)
        line += fmt::format(" {}", arguments[index]);
    return line;
}

void run(const Options &options) {
    Connection admin(options.conninfo);
    check_durable(admin);
    admin.execute("SET client_min_messages = warning");
    const std::string header = describe_run(admin, options.command, options.revision);
    std::cout << header << '\n' << std::flush;
    create_template(admin, options.conninfo);
    // A checkpoint in the middle of a run would be charged to whoever is running.
    admin.execute("CHECKPOINT");
    const std::vector<ScenarioResult> results = run_all(admin, options);
    drop_databases(admin);
    const std::string table = describe_results(results, options.run_seconds, options.rounds);
    std::cout << table;
    if (options.save)
        save(options, header + '\n' + table);
}

} // namespace

int main(int argument_count, char **arguments) {
    CLI::App app("Measures Faultline's job lifecycle against a textbook SKIP LOCKED queue.");
    Options options;
    add_options(app, options);
    CLI11_PARSE(app, argument_count, arguments);
    if (options.quick)
        options.run_seconds = quick_run_seconds;
    if (options.command.empty())
        options.command = command_line(argument_count, arguments);
    try {
        run(options);
    } catch (const std::exception &error) {
        std::cerr << "lifecycle: " << error.what() << '\n';
        return 1;
    }
    return 0;
}
