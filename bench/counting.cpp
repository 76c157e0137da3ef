// The program of bench/counting: the lifecycle on two servers in turn, one of which has a library
// that counts nothing.
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

struct Server {
    explicit Server(const std::string &conninfo) : conninfo(conninfo), admin(conninfo) {
        check_durable(admin);
        admin.execute("SET client_min_messages = warning");
    }
    std::string conninfo;
    Connection admin;
    std::vector<double> jobs_per_second;
};

void run(Server &server, const Peer &peer, const Load &load, double run_seconds) {
    server.jobs_per_second.push_back(
        measure(server.admin, server.conninfo, peer, load, run_seconds).jobs_per_second);
}

void measure_pairs(const Options &options, const std::string &uncounted_conninfo) {
    Server counted(options.conninfo);
    Server uncounted(uncounted_conninfo);
    std::string absent;
    Options install = options;
    const Peer peer = create_template(counted.admin, install, absent).front();
    install.conninfo = uncounted_conninfo;
    create_template(uncounted.admin, install, absent);
    std::cout << describe_run(counted.admin, options.command, options.revision) << '\n'
              << fmt::format("Jobs a second with and without counting: {} pairs of runs of {:g} s, "
                             "in turn, the order changing\n\n{:>7} {:>12} {:>12} {:>26}\n",
                             options.rounds, options.run_seconds, "clients", "counted", "uncounted",
                             "ratio (lowest..highest)");
    for (const int clients : options.clients) {
        const Load load{.batch = 1, .clients = clients};
        counted.jobs_per_second.clear();
        uncounted.jobs_per_second.clear();
        for (int round = 0; round < options.rounds; ++round) {
            run(round % 2 == 0 ? counted : uncounted, peer, load, options.run_seconds);
            run(round % 2 == 0 ? uncounted : counted, peer, load, options.run_seconds);
            progress(fmt::format("pair {} of {}: {:.0f} and {:.0f} jobs/s", round + 1,
                                 options.rounds, counted.jobs_per_second.back(),
                                 uncounted.jobs_per_second.back()));
        }
        std::cout << fmt::format(
            "{:>7} {:>12} {:>12} {:>26}\n", clients, grouped(median(counted.jobs_per_second)),
            grouped(median(uncounted.jobs_per_second)),
            ratio_text(ratio_of(counted.jobs_per_second, uncounted.jobs_per_second)));
    }
}

} // namespace

int main(int argument_count, char **arguments) {
    Options options;
    options.peers = {"faultline"};
    options.history_jobs = 1'000;
    options.clients = {1, 4};
    std::string uncounted_conninfo;
    CLI::App app("Measures what counting costs.", "counting");
    app.add_option("--conninfo", options.conninfo, "the server that counts")->required();
    app.add_option("--uncounted-conninfo", uncounted_conninfo, "the other one")->required();
    app.add_option("--seconds", options.run_seconds, "length of one run")->capture_default_str();
    app.add_option("--rounds", options.rounds, "pairs of runs")->capture_default_str();
    app.add_option("--clients", options.clients, "concurrent connections")
        ->delimiter(',')
        ->capture_default_str();
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
