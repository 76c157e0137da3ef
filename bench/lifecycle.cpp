// The lifecycle program: which runs it makes, in which order, and its table.
#include "figures.hpp"
#include "measure.hpp"
#include "program.hpp"

#include <fmt/format.h>

namespace {

using namespace faultline::bench;
using faultline::client::Connection;

// All rounds of one load: a list per peer, and equal positions ran one soon after the other.
struct Row {
    Load load;
    std::vector<std::vector<Measurement>> rounds;
};

std::vector<Row> run_all(Connection &admin, const Options &options,
                         const std::vector<Peer> &peers) {
    std::vector<Row> rows;
    for (const int batch : options.batches)
        for (const int clients : options.clients)
            rows.push_back({.load = {.batch = batch, .clients = clients},
                            .rounds = std::vector<std::vector<Measurement>>(peers.size())});
    for (int round = 0; round < options.rounds; ++round)
        for (Row &row : rows)
            // Neighbours in time, and none always first.
            for (std::size_t turn = 0; turn < peers.size(); ++turn) {
                const std::size_t number = (turn + static_cast<std::size_t>(round)) % peers.size();
                row.rounds[number].push_back(
                    measure(admin, options.conninfo, peers[number], row.load, options.run_seconds));
                progress(fmt::format("round {} batch {:>4} clients {:>2} {:<16} {:>8.0f} jobs/s",
                                     round + 1, row.load.batch, row.load.clients,
                                     peers[number].name,
                                     row.rounds[number].back().jobs_per_second));
            }
    return rows;
}

std::string result_line(const Row &row, std::size_t number, const Peer &peer) {
    const auto figure = [&](double Measurement::*member) {
        return median_of(row.rounds[number], member);
    };
    const Ratio ratio = ratio_of(values_of(row.rounds[number], &Measurement::jobs_per_second),
                                 values_of(row.rounds[0], &Measurement::jobs_per_second));
    return fmt::format(
        "{:>5} {:>7}  {:<16} {:>9} {:>18} {:>7.0f} {:>6.1f} {:>9.2f}\n", row.load.batch,
        row.load.clients, peer.name, grouped(figure(&Measurement::jobs_per_second)),
        number == 0 ? "" : ratio_text(ratio), figure(&Measurement::wal_bytes_per_job),
        figure(&Measurement::hot_updates_percent), figure(&Measurement::dead_rows_per_job));
}

// Bars of jobs/s beside each other: a cluster for each load, a colour for each peer.
std::string plot(const std::vector<Row> &rows, const std::vector<Peer> &peers) {
    std::string text = "$data << EOD\nload";
    for (const Peer &peer : peers)
        text += fmt::format(" \"{}\"", peer.name);
    for (const Row &row : rows) {
        text += fmt::format("\n\"{} x {}\"", row.load.batch, row.load.clients);
        for (const std::vector<Measurement> &rounds : row.rounds)
            text += fmt::format(" {:.0f}", median_of(rounds, &Measurement::jobs_per_second));
    }
    return text + fmt::format("\nEOD\n"
                              "set title 'Lifecycle: enqueue, claim, complete'\n"
                              "set ylabel 'jobs/s'\nset xlabel 'batch x clients'\n"
                              "set logscale y\nset yrange [100:*]\n"
                              "set style data histogram\nset style fill solid 0.85\n"
                              "plot for [i=2:{}] $data using i:xtic(1) title columnheader(i)\n",
                              peers.size() + 1);
}

Report measure_all(Connection &admin, const Options &options) {
    std::string absent;
    const std::vector<Peer> peers = create_template(admin, options, absent);
    const std::vector<Row> rows = run_all(admin, options, peers);
    std::string text = fmt::format(
        "Lifecycle: enqueue, claim and complete, a transaction each; {} rounds of {:g} s, medians\n"
        "ratio to {} inside a round, median (low..high)\n{}{}\n",
        options.rounds, options.run_seconds, peers[0].name, notes_of(peers), absent);
    text += fmt::format("{:>5} {:>7}  {:<16} {:>9} {:>18} {:>7} {:>6} {:>9}\n", "batch", "clients",
                        "", "jobs/s", "ratio", "WAL B", "HOT %", "dead rows");
    text += fmt::format("{:>5} {:>7}  {:<16} {:>9} {:>18} {:>7} {:>6} {:>9}\n", "", "", "", "", "",
                        "/job", "", "/job");
    for (const Row &row : rows)
        for (std::size_t number = 0; number < peers.size(); ++number)
            text += result_line(row, number, peers[number]);
    return {.table = text, .plot = plot(rows, peers)};
}

} // namespace

int main(int argument_count, char **arguments) {
    Options full;
    full.peers = {"textbook",       "pgq",       "graphile",        "graphile-client", "pg-boss",
                  "pg-boss-client", "faultline", "faultline-plain", "faultline-turn",  "commits"};
    full.batches = {1, 10, 100, 1'000};
    full.clients = {1, 4, 16, 64};
    Options quick = full;
    quick.run_seconds = 1;
    quick.rounds = 2;
    quick.batches = {1, 100};
    quick.clients = {1, 4};
    Options smoke;
    smoke.run_seconds = 0.1;
    smoke.rounds = 1;
    smoke.clients = {2};
    smoke.history_jobs = 1'000;
    return run_program(
        argument_count, arguments,
        {.name = "lifecycle",
         .description = "Measures a job's life, enqueue to completion, against other queues.",
         .options = {"--peers", "--seconds", "--rounds", "--batch", "--clients"},
         .full = full,
         .quick = quick,
         .smoke = smoke,
         .measure_all = measure_all});
}
