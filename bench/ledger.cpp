// The ledger program: what an effect costs that is applied at most once. Which runs it makes, in
// which order, and its table.
#include "figures.hpp"
#include "ledger_measure.hpp"
#include "program.hpp"

#include <fmt/format.h>
#include <iostream>
#include <optional>

namespace {

using namespace faultline::bench;
using faultline::client::Connection;

// All rounds with one batch and one number of clients: a list per way, and equal positions ran one
// soon after the other.
struct Setting {
    int batch;
    int clients;
    std::vector<std::vector<LedgerMeasurement>> rounds;
};

const char *side_name(Side side) {
    switch (side) {
    case Side::complete_alone:
        return "complete alone";
    case Side::call_by_call:
        return "apply_and_complete";
    case Side::as_batch:
        return "a_and_c_many";
    case Side::by_hand:
        return "by hand";
    }
    return "unknown";
}

std::vector<Setting> run_all(Connection &admin, const Options &options) {
    const std::vector<Way> &ways = ledger_ways();
    std::vector<Setting> settings;
    for (const int batch : options.batches)
        for (const int clients : options.clients)
            settings.push_back(
                {.batch = batch,
                 .clients = clients,
                 .rounds = std::vector<std::vector<LedgerMeasurement>>(ways.size())});
    for (int round = 0; round < options.rounds; ++round)
        for (Setting &setting : settings)
            // Neighbours in time, and none always first.
            for (std::size_t turn = 0; turn < ways.size(); ++turn) {
                const std::size_t number = (turn + static_cast<std::size_t>(round)) % ways.size();
                const Way &way = ways[number];
                if (setting.batch == 1 && way.end_one.empty())
                    continue;
                setting.rounds[number].push_back(measure_ledger(admin, options.conninfo, way,
                                                                setting.batch, setting.clients,
                                                                options.run_seconds));
                std::cerr << fmt::format(
                    "round {} batch {:>3} clients {:>2} {:<18} {:<9} {:>8.0f} jobs/s\n", round + 1,
                    setting.batch, setting.clients, side_name(way.side), way.accounts.name,
                    setting.rounds[number].back().jobs_per_second);
            }
    return settings;
}

// "0.48 (0.41..0.52)", or nothing where there is nothing to compare with.
std::string compared(const Setting &setting, std::size_t ours, std::optional<std::size_t> theirs) {
    if (!theirs)
        return "";
    const Ratio ratio =
        ratio_of(values_of(setting.rounds[ours], &LedgerMeasurement::jobs_per_second),
                 values_of(setting.rounds[*theirs], &LedgerMeasurement::jobs_per_second));
    return ratio_text(ratio);
}

std::string result_line(const Setting &setting, std::size_t number) {
    const std::vector<Way> &ways = ledger_ways();
    const Way &way = ways[number];
    std::optional<std::size_t> alone;
    std::optional<std::size_t> by_hand;
    for (std::size_t other = 0; other < ways.size(); ++other) {
        if (ways[other].side == Side::complete_alone && other != number)
            alone = other;
        if (way.side != Side::by_hand && ways[other].side == Side::by_hand &&
            ways[other].accounts.name == way.accounts.name)
            by_hand = other;
    }
    const auto figure = [&](double LedgerMeasurement::*member) {
        return median_of(setting.rounds[number], member);
    };
    return fmt::format("{:>5} {:>7}  {:<18} {:<9} {:>8} {:>18} {:>18} {:>7.0f} {:>9.1f}\n",
                       setting.batch, setting.clients, side_name(way.side), way.accounts.name,
                       grouped(figure(&LedgerMeasurement::jobs_per_second)),
                       compared(setting, number, alone), compared(setting, number, by_hand),
                       figure(&LedgerMeasurement::wal_bytes_per_job),
                       figure(&LedgerMeasurement::deadlocks_per_1000_calls));
}

Report measure_all(Connection &admin, const Options &options) {
    create_ledger_template(admin, options);
    // A checkpoint in the middle of a run would be charged to whoever is running.
    admin.execute("CHECKPOINT");
    const std::vector<Setting> settings = run_all(admin, options);
    std::string text = fmt::format(
        "Ledger: the call that ends a claimed job, one transaction; {} rounds of {:g} s, medians\n"
        "ratios inside a round, median (low..high); a_and_c_many = apply_and_complete_many\n\n",
        options.rounds, options.run_seconds);
    text += fmt::format("{:>5} {:>7}  {:<18} {:<9} {:>8} {:>18} {:>18} {:>7} {:>9}\n", "", "", "",
                        "", "", "ratio to", "ratio to", "WAL", "deadlocks");
    text += fmt::format("{:>5} {:>7}  {:<18} {:<9} {:>8} {:>18} {:>18} {:>7} {:>9}\n", "batch",
                        "clients", "", "accounts", "jobs/s", "complete alone", "by hand", "B/job",
                        "/1k calls");
    for (const Setting &setting : settings)
        for (std::size_t number = 0; number < setting.rounds.size(); ++number)
            if (!setting.rounds[number].empty())
                text += result_line(setting, number);
    return {.table = text, .plot = ""};
}

} // namespace

int main(int argument_count, char **arguments) {
    Options quick;
    quick.run_seconds = 1;
    quick.rounds = 2;
    quick.clients = {1, 4};
    Options smoke = quick;
    smoke.run_seconds = 0.1;
    smoke.rounds = 1;
    smoke.clients = {1};
    smoke.history_jobs = 1'000;
    return run_program(
        argument_count, arguments,
        {.name = "ledger",
         .description = "Measures apply_and_complete() against complete() alone, and against an "
                        "INSERT and UPDATEs written by hand.",
         .options = {"--seconds", "--rounds", "--batch", "--clients"},
         .full = {},
         .quick = quick,
         .smoke = smoke,
         .measure_all = measure_all});
}
