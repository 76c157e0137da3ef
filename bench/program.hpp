// Owns what the benchmark programs have in common: options, the order header, measurement, report,
// and where the report goes.
#pragma once

#include "faultline/connection.hpp"

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace faultline::bench {

// A program takes those that it names, and all take those without a default here.
struct Options {
    std::vector<std::string> peers{"textbook", "faultline"};
    double run_seconds = 3;
    int rounds = 5;
    std::vector<int> batches{1, 100};
    std::vector<int> clients{1, 4, 16};
    double rate = 1'000;                                        // jobs a second
    std::vector<std::int64_t> ready{1'000, 100'000, 1'000'000}; // jobs that wait
    std::int64_t scheduled = 100'000; // jobs before them in order, not due yet
    std::int64_t running = 10'000;    // jobs before them in order
    std::vector<int> queues{1};
    int jobs = 1'000; // that one figure is taken of

    // What every queue has behind it before the first run: plans that are made on tables nobody has
    // seen statistics of are not what anybody wants to measure.
    int history_jobs = 20'000;

    std::string conninfo;
    bool save = false;
    std::string results_directory = "bench/results";
    std::string revision = "unknown";
    std::string command;
};

struct Report {
    std::string table;
    std::string plot; // commands for gnuplot with their data, without terminal and output
};

struct Program {
    const char *name; // of the program, and of what it saves
    const char *description;
    std::vector<std::string> options; // "--batch" and so on
    Options full;
    Options quick;
    Options smoke; // as little as can be: does it work at all?
    // Measures everything in databases that are dropped afterwards.
    std::function<Report(client::Connection &admin, const Options &options)> measure_all;
};

int run_program(int argument_count, char **arguments, const Program &program);

// Says on stderr how far a long measurement is.
void progress(const std::string &line);

} // namespace faultline::bench
