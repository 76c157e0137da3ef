// The program that measures what a job leaves behind: bytes of write-ahead log, and row versions
// for vacuum, with finished jobs kept and not kept.
#include "figures.hpp"
#include "measure.hpp"
#include "program.hpp"

#include <fmt/format.h>

namespace {

using namespace faultline::bench;
using faultline::client::Connection;

struct Row {
    const Peer *peer;
    int batch;
    std::vector<Measurement> rounds;
};

std::string result_line(const Row &row) {
    const auto figure = [&](double Measurement::*member) { return median_of(row.rounds, member); };
    return fmt::format(
        "{:>5}  {:<16} {:<8} {:>9.0f} {:>9.2f} {:>6.1f} {:>9}\n", row.batch, row.peer->name,
        row.peer->keeps_finished ? "kept" : "not kept", figure(&Measurement::wal_bytes_per_job),
        figure(&Measurement::dead_rows_per_job), figure(&Measurement::hot_updates_percent),
        grouped(figure(&Measurement::jobs_per_second)));
}

std::string plot(const std::vector<Row> &rows) {
    std::string text = "$data << EOD\n";
    for (const Row &row : rows)
        text += fmt::format("\"{} x {}\" {:.0f}\n", row.peer->name, row.batch,
                            median_of(row.rounds, &Measurement::wal_bytes_per_job));
    return text + "EOD\nset title 'Write-ahead log of one job'\nset ylabel 'bytes'\n"
                  "set yrange [0:*]\nset style data histogram\nset style fill solid 0.85\n"
                  "set xtics rotate by -45\nunset key\nplot $data using 2:xtic(1)\n";
}

Report measure_all(Connection &admin, const Options &options) {
    std::string absent;
    const std::vector<Peer> peers = create_template(admin, options, absent);
    std::vector<Row> rows;
    for (const int batch : options.batches)
        for (const Peer &peer : peers)
            rows.push_back({.peer = &peer, .batch = batch, .rounds = {}});
    for (int round = 0; round < options.rounds; ++round)
        for (Row &row : rows) {
            row.rounds.push_back(measure(admin, options.conninfo, *row.peer,
                                         {.batch = row.batch, .clients = options.clients.front()},
                                         options.run_seconds));
            progress(fmt::format("round {} batch {:>3} {:<16} {:>6.0f} bytes/job", round + 1,
                                 row.batch, row.peer->name, row.rounds.back().wal_bytes_per_job));
        }
    std::string text = fmt::format(
        "What a job leaves behind: enqueue, claim, complete, a transaction each; {} rounds of {:g} "
        "s\nwith {} clients, medians; full-page images and commit records are included\n{}{}\n",
        options.rounds, options.run_seconds, options.clients.front(), notes_of(peers), absent);
    text += fmt::format("{:>5}  {:<16} {:<8} {:>9} {:>9} {:>6} {:>9}\n", "batch", "", "finished",
                        "WAL B/job", "dead/job", "HOT %", "jobs/s");
    for (const Row &row : rows)
        text += result_line(row);
    return {.table = text, .plot = plot(rows)};
}

} // namespace

int main(int argument_count, char **arguments) {
    Options full;
    full.peers = {"textbook", "textbook-delete", "graphile",       "pg-boss",
                  "pgq",      "faultline",       "faultline-turn", "faultline-delete"};
    full.run_seconds = 5;
    full.rounds = 3;
    full.clients = {1};
    Options quick = full;
    quick.run_seconds = 1;
    quick.rounds = 1;
    Options smoke = quick;
    smoke.peers = {"textbook-delete", "faultline-delete"};
    smoke.run_seconds = 0.1;
    smoke.history_jobs = 1'000;
    return run_program(argument_count, arguments,
                       {.name = "wal",
                        .description = "Measures the write-ahead log and the dead rows of a job.",
                        .options = {"--peers", "--seconds", "--rounds", "--batch", "--clients"},
                        .full = full,
                        .quick = quick,
                        .smoke = smoke,
                        .measure_all = measure_all});
}
