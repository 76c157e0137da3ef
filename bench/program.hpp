// Owns what the benchmark programs have in common: options, the order header, measurement, report,
// and where the report goes.
#pragma once

#include "faultline/connection.hpp"

#include <functional>
#include <string>
#include <vector>

namespace faultline::bench {

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

struct Program {
    const char *name; // of the program, and of what it saves
    const char *description;
    // Measures everything in databases that are dropped afterwards; returns the table.
    std::function<std::string(client::Connection &admin, const Options &options)> measure_all;
};

int run_program(int argument_count, char **arguments, const Program &program);

} // namespace faultline::bench
