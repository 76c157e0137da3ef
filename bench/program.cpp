// Implements a benchmark program around its measurement.
#include "program.hpp"

#include "database.hpp"
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

namespace faultline::bench {

namespace {

using client::Connection;

constexpr int batch_max = 10'000; // what one claim may return
constexpr int clients_max = 64;
constexpr int rounds_max = 100;
constexpr double run_seconds_max = 600;

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
    app.add_flag("--quick", options.quick, "runs of one second, and fewer of them");
    app.add_flag("--save", options.save, "also write the report into the results directory");
    app.add_option("--results-directory", options.results_directory, "where --save writes");
    app.add_option("--command", options.command, "command line to print in the report");
    app.add_option("--revision", options.revision, "source revision to print in the report");
}

// What the command line names stays as it is.
void make_quick(const CLI::App &app, Options &options) {
    const auto choose = [&app](const char *option, auto &value, auto quick_value) {
        if (app.count(option) == 0)
            value = quick_value;
    };
    choose("--seconds", options.run_seconds, 1);
    choose("--rounds", options.rounds, 2);
    choose("--clients", options.clients, std::vector<int>{1, 4});
}

void save(const Options &options, const char *name, const std::string &report) {
    const std::filesystem::path directory(options.results_directory);
    std::filesystem::create_directories(directory);
    const auto path = directory / fmt::format("{:%Y-%m-%d}-{}.txt",
                                              fmt::gmtime(std::chrono::system_clock::now()), name);
    std::ofstream file(path);
    file << report;
    file.close();
    if (!file)
        throw std::runtime_error(fmt::format("could not write {}", path.string()));
    std::cout << "\nsaved as " << path.string() << '\n';
}

void run(const Options &options, const Program &program) {
    Connection admin(options.conninfo);
    check_durable(admin);
    admin.execute("SET client_min_messages = warning");
    const std::string header = describe_run(admin, options.command, options.revision);
    std::cout << header << '\n' << std::flush;
    const std::string table = program.measure_all(admin, options);
    drop_databases(admin);
    std::cout << table;
    if (options.save)
        save(options, program.name, header + '\n' + table);
}

} // namespace

int run_program(int argument_count, char **arguments, const Program &program) {
    CLI::App app(program.description, program.name);
    Options options;
    add_options(app, options);
    CLI11_PARSE(app, argument_count, arguments);
    if (options.quick)
        make_quick(app, options);
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

} // namespace faultline::bench
