// The program: runs seeds, tells what they came through, and makes a failing one small.
#include "run.hpp"

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <fmt/format.h>
#include <fstream>

namespace faultline::simulator {
namespace {

struct Options {
    std::string conninfo;
    std::string control;
    std::string seeds = "1..20";
    int steps = 240;
    std::string history;
};

struct SeedRange {
    std::uint64_t first = 1;
    std::uint64_t last = 1;
};

SeedRange seeds_from(const std::string &text) {
    const std::size_t dots = text.find("..");
    SeedRange range;
    range.first = std::stoull(text.substr(0, dots));
    range.last = dots == std::string::npos ? range.first : std::stoull(text.substr(dots + 2));
    return range;
}

void write_history(const RunReport &report, const std::string &path) {
    std::ofstream file(path);
    for (const std::string &line : report.history.lines()) {
        file << line << '\n';
    }
}

int simulate(const Options &options) {
    Cluster cluster(options.conninfo, options.control);
    const SeedRange range = seeds_from(options.seeds);
    int failed = 0;
    for (std::uint64_t seed = range.first; seed <= range.last; ++seed) {
        const SeedPlan plan = plan_of_seed(seed, options.steps);
        const RunOptions run_options;
        RunReport report = Run(cluster, plan, run_options).run();
        fmt::print("seed {} calls {} rounds {} hash {:016x}\n", seed, report.calls,
                   report.liveness_rounds, report.history.hash());
        if (!options.history.empty()) {
            write_history(report, options.history);
        }
        for (const Violation &violation : report.violations) {
            fmt::print("  {} at step {}: {}\n", violation.name, violation.step, violation.detail);
        }
        failed += report.violations.empty() ? 0 : 1;
    }
    return failed == 0 ? 0 : 1;
}

} // namespace
} // namespace faultline::simulator

int main(int argc, char **argv) {
    faultline::simulator::Options options;
    CLI::App app("Simulates clients of a queue while things fail.");
    app.add_option("--conninfo", options.conninfo, "The private server; else the environment");
    app.add_option("--control", options.control, "The command that restarts the server");
    app.add_option("--seeds", options.seeds, "FIRST..LAST, or one");
    app.add_option("--steps", options.steps, "Steps of the first phase");
    app.add_option("--history", options.history, "File for the history of the last run");
    CLI11_PARSE(app, argc, argv);
    try {
        return faultline::simulator::simulate(options);
    } catch (const std::exception &error) {
        fmt::print(stderr, "simulate: {}\n", error.what());
        return 2;
    }
}
