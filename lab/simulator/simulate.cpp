// The program: runs seeds, tells what they came through, and makes a failing one small.
#include "shrink.hpp"
#include "summary.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <fmt/format.h>
#include <fstream>
#include <sstream>

namespace faultline::simulator {
namespace {

struct Options {
    std::string conninfo;
    std::string control;
    std::string seeds = "1..20";
    int steps = 240;
    std::string only;    // steps
    std::string without; // faults
    std::string history;
    std::string json;
    int twice = 0; // so many of the seeds are run again
    bool require_marks = false;
    bool as_it_is = false; // a failing run is not made small
    bool until_failure = false;
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

std::vector<std::string> listed(const std::string &text) {
    std::vector<std::string> words;
    std::string word;
    for (std::stringstream stream(text); std::getline(stream, word, ',');) {
        words.push_back(word);
    }
    return words;
}

RunOptions run_options(const Options &options) {
    RunOptions run;
    if (!options.only.empty()) {
        for (int step = 1; step <= options.steps; ++step) {
            run.steps_left_out.insert(step);
        }
    }
    for (const std::string &step : listed(options.only)) {
        run.steps_left_out.erase(std::stoi(step));
    }
    for (const std::string &word : listed(options.without)) {
        const auto *const name = std::find(fault_names.begin(), fault_names.end(), word);
        if (name == fault_names.end()) {
            throw std::runtime_error("there is no fault \"" + word + "\"");
        }
        run.faults_left_out.insert(static_cast<Fault>(name - fault_names.begin()));
    }
    return run;
}

void print_violations(const RunReport &report) {
    for (const Violation &violation : report.violations) {
        fmt::print("  {} at step {}: {}\n", violation.name, violation.step, violation.detail);
    }
}

// Prints the smallest history that fails in the same way, and how to have it again.
void explain(Cluster &cluster, const SeedPlan &plan, const RunOptions &run,
             const std::string &name) {
    const auto fails = [&](const RunOptions &candidate) {
        const RunReport report = Run(cluster, plan, candidate).run();
        return !report.violations.empty() && report.violations.front().name == name;
    };
    const RunOptions small = shrink(run, plan.steps, fails);
    const RunReport report = Run(cluster, plan, small).run();
    std::string only, without;
    for (int step = 1; step <= plan.steps; ++step) {
        if (!small.steps_left_out.contains(step)) {
            only += (only.empty() ? "" : ",") + std::to_string(step);
        }
    }
    for (const Fault fault : small.faults_left_out) {
        without += (without.empty() ? "" : ",") + std::string(name_of(fault));
    }
    fmt::print("made small:\n");
    for (const std::string &line : report.history.lines()) {
        fmt::print("    {}\n", line);
    }
    print_violations(report);
    fmt::print("again: lab/simulator/simulate --as-it-is --seeds {} --steps {} --only {}{}\n",
               plan.seed, plan.steps, only, without.empty() ? "" : " --without " + without);
}

bool run_seed(Cluster &cluster, const Options &options, std::uint64_t seed, bool again,
              Summary &summary) {
    const SeedPlan plan = plan_of_seed(seed, options.steps);
    const RunOptions run = run_options(options);
    const RunReport report = Run(cluster, plan, run).run();
    summary.add(report);
    bool good = report.violations.empty();
    const std::uint64_t hash = report.history.hash();
    fmt::print("seed {} calls {} rounds {} hash {:016x}{}\n", seed, report.calls,
               report.liveness_rounds, hash, good ? "" : " FAILED");
    if (!options.history.empty()) {
        write_history(report, options.history);
    }
    if (again && Run(cluster, plan, run).run().history.hash() != hash) {
        fmt::print("  a second run wrote another history\n");
        summary.add_difference();
        good = false;
    }
    print_violations(report);
    if (!report.violations.empty() && !options.as_it_is) {
        explain(cluster, plan, run, report.violations.front().name);
    }
    std::fflush(stdout);
    return good;
}

int simulate(const Options &options) {
    Cluster cluster(options.conninfo, options.control);
    const SeedRange range = seeds_from(options.seeds);
    Summary summary;
    bool good = true;
    for (std::uint64_t seed = range.first; seed <= range.last; ++seed) {
        const bool again = seed - range.first < static_cast<std::uint64_t>(options.twice);
        good = run_seed(cluster, options, seed, again, summary) && good;
        if (!good && options.until_failure) {
            break;
        }
    }
    summary.print();
    if (!options.json.empty()) {
        summary.write_json(options.json);
    }
    if (options.require_marks && !summary.missing_marks().empty()) {
        fmt::print("these seeds prove less than they should: marks are missing\n");
        good = false;
    }
    return good ? 0 : 1;
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
    app.add_option("--only", options.only, "Only these steps: numbers, separated by commas");
    app.add_option("--without", options.without, "Without these faults, separated by commas");
    app.add_option("--history", options.history, "File for the history of the last run");
    app.add_option("--json", options.json, "File for the figures");
    app.add_option("--twice", options.twice, "Runs so many seeds again: same history?");
    app.add_flag("--require-marks", options.require_marks, "Fails when a mark was never hit");
    app.add_flag("--as-it-is", options.as_it_is, "Does not make a failing run small");
    app.add_flag("--until-failure", options.until_failure, "Ends with the first seed that fails");
    CLI11_PARSE(app, argc, argv);
    try {
        return faultline::simulator::simulate(options);
    } catch (const std::exception &error) {
        fmt::print(stderr, "simulate: {}\n", error.what());
        return 2;
    }
}
