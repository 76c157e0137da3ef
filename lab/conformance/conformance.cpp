// The program: scenarios with the answers that they expect, and random histories, on the reference
// queue and on a server, which must agree in every answer and in the rows that are left.
#include "random_history.hpp"
#include "reference_queue.hpp"
#include "server_queue.hpp"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <fmt/format.h>
#include <fstream>

namespace faultline::conformance {
namespace {

struct Options {
    std::string conninfo;
    std::string path = "server";
    std::string scenarios;
    std::uint64_t first_seed = 1;
    int histories = 100;
    int calls = 120;
    bool expire_at_once = false;
    bool as_it_is = false; // a history that differs is not made small
};

struct Scenario {
    std::string title;
    std::vector<Verb> verbs;
};

// "= title", then a call a line; # begins a comment.
std::vector<Scenario> read_scenarios(const std::string &path) {
    std::ifstream file(path);
    if (!file) {
        throw std::runtime_error("could not read " + path);
    }
    std::vector<Scenario> scenarios;
    for (std::string line; std::getline(file, line);) {
        if (line.starts_with("= ")) {
            scenarios.push_back({line.substr(2), {}});
        } else if (!line.empty() && line.front() != '#') {
            scenarios.at(scenarios.size() - 1).verbs.push_back(parse_verb(line));
        }
    }
    return scenarios;
}

bool run_scenario(QueuePort &port, const Scenario &scenario) {
    bool good = true;
    port.start_over();
    for (const Verb &verb : scenario.verbs) {
        const std::string answer = port.call(verb);
        if (verb.expected && *verb.expected != answer) {
            fmt::print("{}: {}\n  {}\n  expected \"{}\"\n  answered \"{}\"\n", port.name(),
                       scenario.title, text_of(verb), *verb.expected, answer);
            good = false;
        }
    }
    return good;
}

// The first difference between the two; empty when they agree.
std::string difference(QueuePort &reference, QueuePort &other, const std::vector<Verb> &history) {
    reference.start_over();
    other.start_over();
    for (const Verb &verb : history) {
        const std::string expected = reference.call(verb);
        const std::string answer = other.call(verb);
        if (answer != expected) {
            return fmt::format("{}\n  {} answered \"{}\"\n  {} answered \"{}\"", text_of(verb),
                               reference.name(), expected, other.name(), answer);
        }
    }
    const std::string expected = reference.rows();
    const std::string rows = other.rows();
    return rows == expected ? ""
                            : fmt::format("rows in the end\n--- {}\n{}--- {}\n{}", reference.name(),
                                          expected, other.name(), rows);
}

bool is_structure(const Verb &verb) {
    return verb.name == "begin" || verb.name == "commit" || verb.name == "rollback" ||
           verb.name == "savepoint" || verb.name == "rollback_to" || verb.name == "queue";
}

// Leaves out calls, one at a time, as long as the two still differ.
std::vector<Verb> smallest(QueuePort &reference, QueuePort &other, std::vector<Verb> history) {
    bool smaller = true;
    while (smaller) {
        smaller = false;
        for (std::size_t place = history.size(); place-- > 0;) {
            std::vector<Verb> candidate = history;
            candidate.erase(candidate.begin() + static_cast<std::ptrdiff_t>(place));
            if (!is_structure(history[place]) && !difference(reference, other, candidate).empty()) {
                history = std::move(candidate);
                smaller = true;
            }
        }
    }
    return history;
}

void explain(QueuePort &reference, QueuePort &other, const std::vector<Verb> &history) {
    if (difference(reference, other, history).empty()) {
        fmt::print("asked again the two agree: it depends on more than the calls\n");
        return;
    }
    const std::vector<Verb> small = smallest(reference, other, history);
    fmt::print("made small:\n");
    for (const Verb &verb : small) {
        fmt::print("  {}\n", text_of(verb));
    }
    fmt::print("{}\n", difference(reference, other, small));
}

int conformance(const Options &options) {
    ReferenceQueue reference;
    ServerQueue server(options.conninfo, options.path);
    int failures = 0;
    const std::vector<Scenario> scenarios = read_scenarios(options.scenarios);
    for (const Scenario &scenario : scenarios) {
        failures += run_scenario(reference, scenario) ? 0 : 1;
        failures += run_scenario(server, scenario) ? 0 : 1;
    }
    std::size_t calls = 0;
    bool agrees = true;
    for (int number = 0; number < options.histories && agrees; ++number) {
        const std::uint64_t seed = options.first_seed + static_cast<std::uint64_t>(number);
        const std::vector<Verb> history =
            random_history(seed, options.calls, options.expire_at_once);
        calls += history.size();
        const std::string first = difference(reference, server, history);
        if (!first.empty()) {
            agrees = false;
            ++failures;
            fmt::print("history {} differs: {}\n", seed, first);
            if (!options.as_it_is) {
                explain(reference, server, history);
            }
        }
    }
    server.start_over();
    fmt::print("{}: {} scenarios · {} histories · {} calls · {} failures\n", options.path,
               scenarios.size(), options.histories, calls, failures);
    return failures == 0 ? 0 : 1;
}

} // namespace
} // namespace faultline::conformance

int main(int argc, char **argv) {
    faultline::conformance::Options options;
    CLI::App app("Holds a server against the reference queue.");
    app.add_option("--conninfo", options.conninfo, "The server; else the environment");
    app.add_option("--path", options.path, "What to call it");
    app.add_option("--scenarios", options.scenarios, "File of scenarios")->required();
    app.add_option("--seed", options.first_seed, "Of the first history");
    app.add_option("--histories", options.histories, "How many")->take_last();
    app.add_option("--calls", options.calls, "Of each history")->take_last();
    app.add_flag("--expire-at-once", options.expire_at_once,
                 "Settles ended leases whenever time has passed");
    app.add_flag("--as-it-is", options.as_it_is, "Does not make a history that differs small");
    CLI11_PARSE(app, argc, argv);
    try {
        return faultline::conformance::conformance(options);
    } catch (const std::exception &error) {
        fmt::print(stderr, "conformance: {}\n", error.what());
        return 2;
    }
}
