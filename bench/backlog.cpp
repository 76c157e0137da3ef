// The program of the backlog: which queues it fills how far, its table and its plot.
#include "backlog_measure.hpp"
#include "figures.hpp"
#include "measure.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace {

using namespace faultline::bench;
using faultline::client::Connection;

struct PeerResults {
    Peer peer;
    std::vector<BacklogResult> results;
};

std::string standing_text(const Standing &standing) {
    std::string text = grouped(static_cast<double>(standing.ready)) + " ready";
    if (standing.scheduled > 0)
        text = grouped(static_cast<double>(standing.scheduled)) + " scheduled before " + text;
    if (standing.running > 0)
        text = grouped(static_cast<double>(standing.running)) + " running before " + text;
    return text;
}

std::string result_line(const Peer &peer, const BacklogResult &result) {
    const Ratio ratio = ratio_of(values_of(result.rounds, &ClaimRound::p50),
                                 values_of(result.rounds, &ClaimRound::baseline_p50));
    return fmt::format("{:<16} {:<36} {:>8.3f} {:>8.3f} {:>10.3f} {:>20}\n", peer.name,
                       standing_text(result.standing), median_of(result.rounds, &ClaimRound::p50),
                       median_of(result.rounds, &ClaimRound::p99),
                       median_of(result.rounds, &ClaimRound::baseline_p50), ratio_text(ratio));
}

std::string plot(const std::vector<PeerResults> &all) {
    std::string data;
    std::string lines;
    for (std::size_t number = 0; number < all.size(); ++number) {
        data += fmt::format("$data{} << EOD\n", number);
        for (const BacklogResult &result : all[number].results)
            if (result.standing.scheduled == 0 && result.standing.running == 0)
                data += fmt::format("{} {}\n", result.standing.ready,
                                    median_of(result.rounds, &ClaimRound::p50));
        data += "EOD\n";
        lines += fmt::format("{}$data{} using 1:2 with linespoints linewidth 2 title '{}'",
                             number == 0 ? "plot " : ", ", number, all[number].peer.name);
    }
    return fmt::format("{}set title 'Claim p50 while jobs wait'\nset logscale x\n"
                       "set xlabel 'ready jobs'\nset ylabel 'ms'\nset yrange [0:*]\n{}\n",
                       data, lines);
}

Report measure_all(Connection &admin, const Options &given) {
    Options options = given;
    std::sort(options.ready.begin(), options.ready.end());
    std::string absent;
    std::vector<PeerResults> all;
    const std::vector<Peer> peers = create_template(admin, options, absent);
    for (const Peer &peer : peers)
        all.push_back({.peer = peer, .results = measure_backlog(admin, peer, options)});
    std::string text = fmt::format(
        "Backlog: a claim of one job, timed in cycles of enqueue, claim and complete; {} rounds of "
        "{}\ncycles, medians of the rounds, alternating with a queue of {} ready jobs; ratio to "
        "that queue\ninside a round\n{}{}\n",
        options.rounds, options.jobs, grouped(static_cast<double>(ready_baseline)), notes_of(peers),
        absent);
    text += fmt::format("{:<16} {:<36} {:>8} {:>8} {:>10} {:>20}\n", "", "", "p50 ms", "p99 ms",
                        "p50 of 1e3", "ratio");
    for (const auto &[peer, results] : all)
        for (const BacklogResult &result : results)
            text += result_line(peer, result);
    return {.table = text, .plot = plot(all)};
}

} // namespace

int main(int argument_count, char **arguments) {
    Options full;
    full.peers = {"textbook", "graphile", "pg-boss", "faultline", "faultline-plain"};
    full.ready = {1'000, 100'000, 1'000'000, 10'000'000};
    full.jobs = 500;
    Options quick = full;
    quick.ready = {1'000, 100'000};
    quick.jobs = 200;
    quick.rounds = 2;
    Options smoke = quick;
    smoke.peers = {"textbook", "faultline"};
    smoke.ready = {2'000};
    smoke.scheduled = 1'000;
    smoke.running = 100;
    smoke.jobs = 5;
    smoke.rounds = 1;
    smoke.history_jobs = 1'000;
    return run_program(
        argument_count, arguments,
        {.name = "backlog",
         .description = "Measures claims while many jobs wait, are scheduled, or run.",
         .options = {"--peers", "--ready", "--scheduled", "--running", "--jobs", "--rounds"},
         .full = full,
         .quick = quick,
         .smoke = smoke,
         .measure_all = measure_all});
}
