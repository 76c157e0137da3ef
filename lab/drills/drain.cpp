// The drain drill's program: options, and the figures as a line, as JSON and as an exit status.
#include "drain_database.hpp"
#include "drain_drill.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <exception>
#include <fmt/format.h>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <random>
#include <stdexcept>

namespace {

using namespace faultline::lab;

constexpr std::int64_t jobs_max = 100'000'000;
constexpr int workers_max = 64;
constexpr int batch_max = 10'000;
constexpr int faults_max = 100;
constexpr std::int64_t quick_jobs = 50'000;
constexpr int quick_batch = 100; // keeps the number of batches, and so of moments to hit, high
constexpr std::size_t violations_printed_max = 20;

struct Options {
    DrillOptions drill{.conninfo = "",
                       .worker_program = "",
                       .jobs = 1'000'000,
                       .workers = 8,
                       .batch = 500,
                       .kills = 5,
                       .pauses = 2,
                       .seed = std::random_device{}(),
                       .drain_seconds_max = 1'800};
    bool quick = false;
    std::string json_path;
};

void add_options(CLI::App &app, Options &options) {
    DrillOptions &drill = options.drill;
    app.add_option("--conninfo", drill.conninfo,
                   "libpq connection string (key=value) of a superuser; else the environment");
    app.add_option("--worker-program", drill.worker_program, "path of drain_worker")->required();
    app.add_option("--jobs", drill.jobs, "jobs to enqueue")
        ->check(CLI::Range(std::int64_t{1'000}, jobs_max));
    app.add_option("--workers", drill.workers, "worker processes")
        ->check(CLI::Range(2, workers_max));
    app.add_option("--batch", drill.batch, "jobs per claim")->check(CLI::Range(1, batch_max));
    app.add_option("--kills", drill.kills, "workers to kill with signal 9")
        ->check(CLI::Range(0, faults_max));
    app.add_option("--pauses", drill.pauses, "workers to stop until their leases have ended")
        ->check(CLI::Range(0, faults_max));
    app.add_option("--seed", drill.seed, "seed of the faults; random unless given");
    app.add_option("--seconds-max", drill.drain_seconds_max, "give up draining after this time")
        ->check(CLI::Range(10, 24 * 3600));
    app.add_flag("--quick", options.quick, "50,000 jobs in batches of 100");
    app.add_option("--json", options.json_path, "file to write the figures to");
}

bool is_passed(const Figures &figures) {
    const Account &account = figures.account;
    return account.lost == 0 && account.run_to_success_twice == 0 && account.unexpected == 0 &&
           account.violations.empty() && figures.missing.empty();
}

double jobs_per_second(const DrillOptions &options, const Figures &figures) {
    return static_cast<double>(busy_jobs(options.jobs)) / figures.busy_seconds;
}

nlohmann::ordered_json as_json(const DrillOptions &options, const Figures &figures) {
    const Account &account = figures.account;
    return {
        {"drill", "drain"},
        {"passed", is_passed(figures)},
        {"seed", options.seed},
        {"workers", options.workers},
        {"batch", options.batch},
        {"jobs", options.jobs},
        {"acknowledged", account.acknowledged},
        {"lost", account.lost},
        {"run_to_success_twice", account.run_to_success_twice},
        {"unexpected", account.unexpected},
        {"kills", figures.kills},
        {"kills_that_hit_held_leases", figures.kills_that_hit_held_leases},
        {"pauses", figures.pauses},
        {"leases_expired", account.leases_expired},
        {"stale_completions_refused", figures.stale_completions_refused},
        {"seconds", figures.seconds},
        {"jobs_per_second_until_90_percent", jobs_per_second(options, figures)},
        {"violations", account.violations},
        {"faults_missing", figures.missing},
    };
}

void print(const DrillOptions &options, const Figures &figures) {
    const Account &account = figures.account;
    std::cout << fmt::format(
        "drain {}: {} jobs acknowledged, {} lost, {} run to success twice, {} unexpected; "
        "{} kills ({} hit held leases), {} pauses, {} leases expired, {} stale completions "
        "refused; {:.1f} s, {:.0f} jobs/s until 90 %; {} invariant violations; seed {}\n",
        is_passed(figures) ? "passed" : "FAILED", account.acknowledged, account.lost,
        account.run_to_success_twice, account.unexpected, figures.kills,
        figures.kills_that_hit_held_leases, figures.pauses, account.leases_expired,
        figures.stale_completions_refused, figures.seconds, jobs_per_second(options, figures),
        account.violations.size(), options.seed);
    for (const std::string &reason : figures.missing)
        std::cout << "drain: " << reason << '\n';
    const std::size_t printed = std::min(account.violations.size(), violations_printed_max);
    for (std::size_t number = 0; number < printed; ++number)
        std::cout << "drain: violated: " << account.violations[number] << '\n';
}

void write_json(const std::string &path, const nlohmann::ordered_json &figures) {
    std::ofstream file(path);
    file << figures.dump(2) << '\n';
    file.close();
    if (!file)
        throw std::runtime_error(fmt::format("could not write {}", path));
}

bool run(const Options &options) {
    std::cout << fmt::format("drain: {} jobs, {} workers, {} kills, {} pauses, seed {}\n",
                             options.drill.jobs, options.drill.workers, options.drill.kills,
                             options.drill.pauses, options.drill.seed)
              << std::flush;
    DrainDatabase database(options.drill.conninfo);
    const std::vector<std::int64_t> acknowledged = database.enqueue(options.drill.jobs);
    Figures figures = DrainDrill(options.drill, database).run();
    figures.account = database.take_account(acknowledged);
    print(options.drill, figures);
    if (!options.json_path.empty())
        write_json(options.json_path, as_json(options.drill, figures));
    return is_passed(figures);
}

} // namespace

int main(int argument_count, char **arguments) {
    CLI::App app("Drains a full queue with worker processes of which some are killed.");
    Options options;
    add_options(app, options);
    CLI11_PARSE(app, argument_count, arguments);
    if (options.quick) {
        options.drill.jobs = quick_jobs;
        options.drill.batch = quick_batch;
    }
    if (options.drill.pauses >= options.drill.workers) {
        std::cerr << "drain: --pauses must be lower than --workers: someone has to go on\n";
        return 1;
    }
    try {
        return run(options) ? 0 : 1;
    } catch (const std::exception &error) {
        std::cerr << "drain: " << error.what() << " (seed " << options.drill.seed << ")\n";
        return 1;
    }
}
