// The program of the pickup latency: which ways to wait it measures, its table and its plot.
#include "database.hpp"
#include "figures.hpp"
#include "measure.hpp"
#include "pickup_measure.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace {

using namespace faultline::bench;
using faultline::client::Connection;

struct Row {
    Way way;
    Pickup pickup;
};

std::string percentiles(const std::vector<double> &values) {
    if (values.empty())
        return "";
    return fmt::format("{:.2f}/{:.2f}", percentile(values, 0.5), percentile(values, 0.99));
}

std::string result_line(const Row &row, const Pickup &round_trip) {
    const std::vector<double> &measured = row.pickup.from_commit;
    std::string above;
    if (!measured.empty())
        above = fmt::format("{:.2f}/{:.2f}",
                            percentile(measured, 0.5) - percentile(round_trip.call, 0.5),
                            percentile(measured, 0.99) - percentile(round_trip.call, 0.99));
    return fmt::format("{:<28} {:>5} {:>16} {:>16} {:>16} {:>16}\n", row.way.name,
                       row.pickup.call.size(), percentiles(measured), above,
                       percentiles(row.pickup.from_call), percentiles(row.pickup.call));
}

// How many of the jobs were received within so many milliseconds.
std::string plot(const std::vector<Row> &rows) {
    std::string data;
    std::string lines;
    for (std::size_t number = 1; number < rows.size(); ++number) {
        std::vector<double> values = rows[number].pickup.from_call;
        std::sort(values.begin(), values.end());
        data += fmt::format("$data{} << EOD\n", number);
        for (std::size_t place = 0; place < values.size(); ++place)
            data += fmt::format("{} {}\n", values[place],
                                100 * static_cast<double>(place + 1) /
                                    static_cast<double>(values.size()));
        data += "EOD\n";
        lines += fmt::format("{}$data{} using 1:2 with steps linewidth 2 title '{}'",
                             number == 1 ? "plot " : ", ", number, rows[number].way.name);
    }
    return fmt::format("{}set title 'From the call of enqueue to receipt by a waiting worker'\n"
                       "set logscale x\nset xlabel 'ms'\nset ylabel '% of jobs'\n"
                       "set yrange [0:100]\n{}\n",
                       data, lines);
}

Report measure_all(Connection &admin, const Options &options) {
    std::string absent;
    const std::vector<Peer> peers = create_template(admin, options, absent);
    std::vector<Row> rows;
    {
        Connection connection(copy_template_database(admin, options.conninfo));
        for (const Way &way : pickup_ways(peers)) {
            const std::string missing = what_way_needs(way, connection);
            if (missing.empty())
                rows.push_back({.way = way, .pickup = {}});
            else
                absent += fmt::format("not measured: {} ({})\n", way.name, missing);
        }
    }
    for (int round = 0; round < options.rounds; ++round)
        for (Row &row : rows) {
            measure_pickup(admin, row.way, options, row.pickup);
            progress(fmt::format("round {} {}", round + 1, row.way.name));
        }
    std::string text = fmt::format(
        "Pickup: a job at a time, after pauses of random length, to one worker that waits; p50/p99 "
        "in ms;\n{} rounds in which all take turns. \"above\" is less the percentile of a bare "
        "round trip\n{}{}\n",
        options.rounds, notes_of(peers), absent);
    text += fmt::format("{:<28} {:>5} {:>16} {:>16} {:>16} {:>16}\n", "", "jobs", "commit..receipt",
                        "above", "call..receipt", "enqueue call");
    for (const Row &row : rows)
        text += result_line(row, rows.front().pickup);
    return {.table = text, .plot = plot(rows)};
}

} // namespace

int main(int argument_count, char **arguments) {
    Options full;
    full.peers = {"textbook", "graphile", "pg-boss", "faultline"};
    full.jobs = 400;
    Options quick = full;
    quick.jobs = 100;
    quick.rounds = 1;
    Options smoke = quick;
    smoke.peers = {"textbook", "faultline"};
    smoke.jobs = 5;
    smoke.history_jobs = 1'000;
    return run_program(argument_count, arguments,
                       {.name = "pickup",
                        .description = "Measures how soon a waiting worker receives a job.",
                        .options = {"--peers", "--jobs", "--rounds"},
                        .full = full,
                        .quick = quick,
                        .smoke = smoke,
                        .measure_all = measure_all});
}
