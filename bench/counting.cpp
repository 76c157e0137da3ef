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
#include <memory>

namespace {

using namespace faultline::bench;
using faultline::client::Connection;

constexpr int warm_up_cycles = 20;

// Sums of a round.
struct Round {
    double milliseconds = 0;
    double processor_milliseconds = 0; // of the backend
};

struct Server {
    Server(const Options &options, const std::string &conninfo) : admin(conninfo) {
        check_durable(admin);
        admin.execute("SET client_min_messages = warning");
        Options install = options;
        install.conninfo = conninfo;
        std::string absent;
        peer = create_template(admin, install, absent).at(0);
        const std::string database = copy_template_database(admin, conninfo);
        prepare_copy(peer, database);
        client = std::make_unique<Client>(database, peer, 1, 0);
        for (int cycle = 0; cycle < warm_up_cycles; ++cycle)
            client->cycle();
    }

    void work() {
        const Clock::time_point start = Clock::now();
        client->cycle();
        rounds.back().milliseconds += milliseconds_since(start);
    }

    Connection admin;
    Peer peer;
    std::unique_ptr<Client> client;
    std::vector<Round> rounds;
};

// A job here, a job there: what else the machine does meets both alike.
void run_round(Server &counted, Server &uncounted, int jobs) {
    for (Server *server : {&counted, &uncounted})
        server->rounds.push_back(
            {.processor_milliseconds = -processor_milliseconds(server->client->connection())});
    for (int job = 0; job < jobs; ++job) {
        (job % 2 == 0 ? counted : uncounted).work();
        (job % 2 == 0 ? uncounted : counted).work();
    }
    for (Server *server : {&counted, &uncounted})
        server->rounds.back().processor_milliseconds +=
            processor_milliseconds(server->client->connection());
}

std::string result_line(const char *name, const Server &counted, const Server &uncounted,
                        double Round::*figure, int jobs) {
    return fmt::format("{:<30} {:>10.3f} {:>10.3f} {:>26}\n", name,
                       median_of(counted.rounds, figure) / jobs,
                       median_of(uncounted.rounds, figure) / jobs,
                       ratio_text(ratio_of(values_of(counted.rounds, figure),
                                           values_of(uncounted.rounds, figure))));
}

void measure_pairs(const Options &options, const std::string &uncounted_conninfo) {
    Server counted(options, options.conninfo);
    Server uncounted(options, uncounted_conninfo);
    std::cout << describe_run(counted.admin, options.command, options.revision) << '\n';
    for (int round = 0; round < options.rounds; ++round) {
        run_round(counted, uncounted, options.jobs);
        progress(fmt::format("round {} of {}: {:.0f} and {:.0f} ms", round + 1, options.rounds,
                             counted.rounds.back().milliseconds,
                             uncounted.rounds.back().milliseconds));
    }
    std::cout << fmt::format("With and without counting: one client each, in turn job by job; {} "
                             "rounds of {} jobs each;\nmilliseconds of a job, medians, and the "
                             "ratio inside a round\n\n{:<30} {:>10} {:>10} {:>26}\n",
                             options.rounds, grouped(options.jobs), "", "counted", "uncounted",
                             "ratio (lowest..highest)")
              << result_line("on the clock", counted, uncounted, &Round::milliseconds, options.jobs)
              << result_line("of the backend on a processor", counted, uncounted,
                             &Round::processor_milliseconds, options.jobs);
    for (Server *server : {&counted, &uncounted}) {
        server->client.reset();
        drop_databases(server->admin);
    }
}

} // namespace

int main(int argument_count, char **arguments) {
    Options options;
    options.peers = {"faultline"};
    options.history_jobs = 1'000;
    options.rounds = 20;
    options.jobs = 500;
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
