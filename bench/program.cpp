// Implements a benchmark program around its measurement.
#include "program.hpp"

#include "database.hpp"
#include "machine.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <fstream>
#include <iostream>
#include <stdexcept>
#include <string_view>

namespace faultline::bench {

namespace {

using client::Connection;

constexpr int batch_max = 10'000; // what one claim may return
constexpr int clients_max = 64;
constexpr int rounds_max = 100;
constexpr double run_seconds_max = 3'600;
constexpr double rate_max = 1e6;
constexpr std::int64_t ready_max = 100'000'000;
constexpr int jobs_max = 1'000'000;
constexpr int queues_max = 2'000; // see bench/run

void add_options(CLI::App &app, const Program &program, Options &options) {
    const auto add = [&](const char *name, auto &value, const char *text, auto lowest,
                         auto highest) {
        const std::vector<std::string> &taken = program.options;
        if (std::find(taken.begin(), taken.end(), name) != taken.end())
            app.add_option(name, value, text)
                ->check(CLI::Range(lowest, highest))
                ->delimiter(',')
                ->capture_default_str();
    };
    add("--seconds", options.run_seconds, "length of one run", 0.1, run_seconds_max);
    add("--rounds", options.rounds, "interleaved rounds", 1, rounds_max);
    add("--batch", options.batches, "jobs per call", 1, batch_max);
    add("--clients", options.clients, "concurrent connections", 1, clients_max);
    add("--rate", options.rate, "jobs offered per second", 1.0, rate_max);
    add("--ready", options.ready, "jobs that wait", std::int64_t{1}, ready_max);
    add("--scheduled", options.scheduled, "jobs before them that are not due", std::int64_t{1},
        ready_max);
    add("--running", options.running, "jobs before them that run", std::int64_t{1}, ready_max);
    add("--queues", options.queues, "queues that share the jobs", 1, queues_max);
    add("--jobs", options.jobs, "jobs that one figure is taken of", 1, jobs_max);
    const std::vector<std::string> &taken = program.options;
    if (std::find(taken.begin(), taken.end(), "--peers") != taken.end())
        app.add_option("--peers", options.peers, "what to measure; the first is compared with")
            ->delimiter(',')
            ->capture_default_str();
    app.add_option("--conninfo", options.conninfo,
                   "libpq connection string (key=value) of a superuser; else the environment");
    app.add_flag("--save", options.save, "also write table and plot into the results directory");
    app.add_option("--results-directory", options.results_directory, "where --save writes");
    app.add_option("--command", options.command, "command line to print in the report");
    app.add_option("--revision", options.revision, "source revision to print in the report");
    // Chosen before the others are read.
    app.add_flag("--quick")->description("shorter and fewer runs");
    app.add_flag("--smoke")->description("only whether it works at all: the figures mean nothing");
}

bool is_given(int argument_count, char **arguments, std::string_view option) {
    return std::find(arguments, arguments + argument_count, option) != arguments + argument_count;
}

void write(const std::filesystem::path &path, const std::string &text) {
    std::ofstream file(path);
    file << text;
    file.close();
    if (!file)
        throw std::runtime_error(fmt::format("could not write {}", path.string()));
    std::cout << "saved as " << path.string() << '\n';
}

void draw(const std::filesystem::path &path, const std::string &plot) {
    FILE *gnuplot = popen("gnuplot", "w");
    if (gnuplot == nullptr)
        throw std::runtime_error("could not run gnuplot");
    fmt::print(gnuplot,
               "set terminal svg size 900,520 font 'sans,13' background 'white'\n"
               "set output '{}'\n"
               "set grid back linecolor rgb '#dddddd'\nset key outside right top\n{}\n",
               path.string(), plot);
    if (pclose(gnuplot) == 0)
        std::cout << "plotted as " << path.string() << '\n';
    else
        std::cerr << "no plot: gnuplot is missing or failed; scripts/setup installs it\n";
}

void save(const Options &options, const char *name, const std::string &header,
          const Report &report) {
    const std::filesystem::path directory(options.results_directory);
    std::filesystem::create_directories(directory);
    const std::string stem =
        fmt::format("{:%Y-%m-%d}-{}", fmt::gmtime(std::chrono::system_clock::now()), name);
    std::cout << '\n';
    write(directory / (stem + ".txt"), header + '\n' + report.table);
    if (!report.plot.empty())
        draw(directory / (stem + ".svg"), report.plot);
}

void run(const Options &options, const Program &program) {
    Connection admin(options.conninfo);
    check_durable(admin);
    admin.execute("SET client_min_messages = warning");
    const std::string header = describe_run(admin, options.command, options.revision);
    std::cout << header << '\n' << std::flush;
    const Report report = program.measure_all(admin, options);
    drop_databases(admin);
    std::cout << report.table;
    if (options.save)
        save(options, program.name, header, report);
}

} // namespace

int run_program(int argument_count, char **arguments, const Program &program) {
    CLI::App app(program.description, program.name);
    Options options = is_given(argument_count, arguments, "--smoke")   ? program.smoke
                      : is_given(argument_count, arguments, "--quick") ? program.quick
                                                                       : program.full;
    add_options(app, program, options);
    CLI11_PARSE(app, argument_count, arguments);
    if (options.command.empty())
        options.command = fmt::format("{} {}", program.name,
                                      fmt::join(arguments + 1, arguments + argument_count, " "));
    try {
        run(options, program);
    } catch (const std::exception &error) {
        std::cerr << program.name << ": " << error.what() << '\n';
        return 1;
    }
    return 0;
}

void progress(const std::string &line) { std::cerr << line << '\n'; }

} // namespace faultline::bench
