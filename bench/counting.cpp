// The program of bench/counting: the lifecycle on two servers in turn, one of which has a library
// that counts nothing.
#include "client.hpp"
#include "database.hpp"
#include "figures.hpp"
#include "machine.hpp"
#include "measure.hpp"
#include "program.hpp"

#include <CLI/CLI.hpp>
#include <exception>
#include <fmt/format.h>
#include <iostream>

namespace {

using namespace faultline::bench;
using faultline::client::Connection;

constexpr int warm_up_cycles = 20;

struct Run {
    double jobs_per_second = 0;
    double processor_microseconds = 0; // of the backend, for a job
};

struct Server {
    Server(const Options &options, const std::string &conninfo) : conninfo(conninfo) {
        check_durable(admin);
        admin.execute("SET client_min_messages = warning");
        Options install = options;
        install.conninfo = conninfo;
        std::string absent;
        peer = create_template(admin, install, absent).at(0);
    }
    std::string conninfo;
    Connection admin{conninfo};
    Peer peer;
    std::vector<Run> runs;
};

// One client, a job at a time, in a fresh database.
void run(Server &server, int jobs) {
    const std::string database = copy_template_database(server.admin, server.conninfo);
    prepare_copy(server.peer, database);
    Client client(database, server.peer, 1, 0);
    for (int cycle = 0; cycle < warm_up_cycles; ++cycle)
        client.cycle();
    const double processor_before = processor_milliseconds(client.connection());
    const Clock::time_point start = Clock::now();
    for (int cycle = 0; cycle < jobs; ++cycle)
        client.cycle();
    const double seconds = seconds_since(start);
    server.runs.push_back(
        {.jobs_per_second = jobs / seconds,
         .processor_microseconds =
             (processor_milliseconds(client.connection()) - processor_before) * 1e3 / jobs});
}

std::string result_line(const char *name, const Server &counted, const Server &uncounted,
                        double Run::*figure) {
    return fmt::format(
        "{:<32} {:>10} {:>10} {:>26}\n", name, grouped(median_of(counted.runs, figure)),
        grouped(median_of(uncounted.runs, figure)),
        ratio_text(ratio_of(values_of(counted.runs, figure), values_of(uncounted.runs, figure))));
}

void measure_pairs(const Options &options, const std::string &uncounted_conninfo) {
    Server counted(options, options.conninfo);
    Server uncounted(options, uncounted_conninfo);
    std::cout << describe_run(counted.admin, options.command, options.revision) << '\n';
    for (int round = 0; round < options.rounds; ++round) {
        run(round % 2 == 0 ? counted : uncounted, options.jobs);
        run(round % 2 == 0 ? uncounted : counted, options.jobs);
        progress(fmt::format("pair {} of {}: {:.0f} and {:.0f} us of a processor for a job",
                             round + 1, options.rounds, counted.runs.back().processor_microseconds,
                             uncounted.runs.back().processor_microseconds));
    }
    std::cout << fmt::format("With and without counting: one client, a job at a time; {} pairs of "
                             "runs of {} jobs, in turn,\nthe order changing; medians, and the "
                             "ratio inside a pair\n\n{:<32} {:>10} {:>10} {:>26}\n",
                             options.rounds, grouped(options.jobs), "", "counted", "uncounted",
                             "ratio (lowest..highest)")
              << result_line("jobs a second", counted, uncounted, &Run::jobs_per_second)
              << result_line("us of the backend on a processor", counted, uncounted,
                             &Run::processor_microseconds);
    drop_databases(counted.admin);
    drop_databases(uncounted.admin);
}

} // namespace

int main(int argument_count, char **arguments) {
    Options options;
    options.peers = {"faultline"};
    options.history_jobs = 1'000;
    options.rounds = 40;
    std::string uncounted_conninfo;
    CLI::App app("Measures what counting costs.", "counting");
    app.add_option("--conninfo", options.conninfo, "the server that counts")->required();
    app.add_option("--uncounted-conninfo", uncounted_conninfo, "the other one")->required();
    app.add_option("--jobs", options.jobs, "jobs of a run")->capture_default_str();
    app.add_option("--rounds", options.rounds, "pairs of runs")->capture_default_str();
    app.add_option("--command", options.command, "command line to print in the report");
    app.add_option("--revision", options.revision, "source revision to print in the report");
    CLI11_PARSE(app, argument_count, arguments);
    try {
        measure_pairs(options, uncounted_conninfo);
    } catch (const std::exception &error) {
        std::cerr << "counting: " << error.what() << '\n';
        return 1;
    }
    return 0;
}
