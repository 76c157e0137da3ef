// The soak: two kinds of clients at a steady rate, a fault each minute, and in the end an account
// of every job. Each minute tells what struck, how long calls took, and whether every invariant
// holds.
#include "chaos.hpp"
#include "memory_watch.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <exception>
#include <fmt/format.h>
#include <fstream>
#include <iostream>

namespace {

using namespace faultline::lab;

constexpr double look_seconds = 5;
constexpr double watched_seconds_min = 60; // behind warming up
constexpr std::int64_t growth_kilobytes_max = 1024;
// The names of calls in the record, in the order in which they are told.
constexpr const char *told_calls[] = {"enqueue",  "enqueue_many", "claim",
                                      "complete", "apply",        "turn"};

struct Options {
    int minutes = 30;
    double minute_seconds = 60;
    double jobs_per_second = 40;
    double batched_jobs_per_second = 100;
    unsigned seed = std::random_device{}();
    std::string worker_program;
    std::string json;
};

using Times = std::map<std::string, std::vector<double>>;

void append(Times &all, const Times &more) {
    for (const auto &[call, seconds] : more)
        all[call].insert(all[call].end(), seconds.begin(), seconds.end());
}

std::string as_text(const Times &times) {
    std::string text;
    for (const char *call : told_calls)
        if (const auto found = times.find(call); found != times.end())
            text += fmt::format("{}{} {:.1f}/{:.1f}", text.empty() ? "" : ", ", call,
                                percentile(found->second, 0.50) * 1000,
                                percentile(found->second, 0.99) * 1000);
    return text;
}

class Soak {
  public:
    Soak(const Options &options, Stage &stage)
        : options_(options), stage_(stage), proxy_(stage.server->socket_path()),
          database_(stage.conninfo, stage.queue), load_(load_options()),
          turns_(database_, {.conninfo = stage.conninfo,
                             .queue = stage.queue + "-turns",
                             .jobs_per_second = options.batched_jobs_per_second}),
          chaos_(stage, database_, proxy_, load_, turns_, options.seed) {}

    void run() {
        for (int minute = 1; minute <= options_.minutes; ++minute)
            pass_minute(minute);
        take_account();
        judge_memory();
    }

    [[nodiscard]] const Times &times() const { return times_; }

  private:
    LoadOptions load_options() const {
        LoadOptions options = stage_.load_options();
        options.conninfo = conninfo_through(proxy_);
        options.jobs_per_second = options_.jobs_per_second / options.producers;
        return options;
    }

    void pass_minute(int minute) {
        const Clock::time_point start = Clock::now();
        const std::int64_t before = completed();
        const Chaos::Fault &fault = chaos_.next();
        const std::size_t recoveries = stage_.figures.recovery_seconds.size();
        chaos_.strike(fault);
        ++struck_[fault.name];
        while (seconds_since(start) < options_.minute_seconds) {
            memory_.look(database_.connection());
            const Clock::time_point looked_at = Clock::now();
            poll_until("the next look", [&] { return seconds_since(looked_at) >= look_seconds; });
            load_.record().throw_if_failed();
            turns_.record().throw_if_failed();
        }
        std::vector<double> recovery(stage_.figures.recovery_seconds.begin() +
                                         static_cast<std::ptrdiff_t>(recoveries),
                                     stage_.figures.recovery_seconds.end());
        Times times = load_.record().take_times();
        append(times, turns_.record().take_times());
        append(times_, times);
        const std::vector<std::string> violations = database_.violations();
        std::cout << fmt::format(
                         "minute {:2} {:28} at work again after {:5.2f} s · {:6} jobs · {:4} "
                         "behind · violations {} · ms p50/p99: {}\n",
                         minute, fault.name, percentile(recovery, 1), completed() - before,
                         load_.record().unfinished() + turns_.record().unfinished(),
                         violations.size(), as_text(times))
                  << std::flush;
        for (const std::string &violation : violations)
            stage_.figures.violations.push_back(fmt::format("minute {}: {}", minute, violation));
    }

    std::int64_t completed() { return load_.record().completed() + turns_.record().completed(); }

    void take_account() {
        load_.stop_producers();
        turns_.finish(database_);
        load_.connect_to(stage_.conninfo);
        stage_.finish(load_, database_);
        const TurnAccount account = turns_.take_account(database_);
        Figures &figures = stage_.figures;
        figures.acknowledged += account.acknowledged;
        figures.lost += account.lost;
        figures.unexpected += account.unexpected;
        figures.duplicate_effects += account.duplicates;
        figures.more["in_doubt"] += static_cast<double>(account.in_doubt);
        figures.more["jobs"] = static_cast<double>(completed());
        for (const std::string &error : turns_.record().all().errors)
            figures.failures.push_back("a client failed: " + error);
        for (const auto &[call, seconds] : times_)
            for (const int rank : {50, 99, 100})
                figures.more[fmt::format("{}_milliseconds_p{}", call, rank)] =
                    percentile(seconds, rank / 100.0) * 1000;
        for (const auto &[fault, times] : struck_)
            figures.more["minutes with " + fault] = times;
    }

    // Faults end many processes; of those that lived long enough none may go on growing.
    void judge_memory() {
        double longest = 0;
        std::int64_t most = 0;
        const std::vector<ProcessMemory> seen = memory_.seen_for(watched_seconds_min);
        for (const ProcessMemory &process : seen) {
            const std::int64_t growth = process.kilobytes - process.warm_kilobytes;
            longest = std::max(longest, process.seen_at_seconds);
            most = std::max(most, growth);
            stage_.figures.expect(growth <= growth_kilobytes_max,
                                  fmt::format("{} grew from {} to {} kB in {:.0f} s", process.name,
                                              process.warm_kilobytes, process.kilobytes,
                                              process.seen_at_seconds - process.warm_at_seconds));
        }
        stage_.figures.more["processes_watched"] = static_cast<double>(seen.size());
        stage_.figures.more["watched_seconds_max"] = longest;
        stage_.figures.more["growth_kilobytes_max"] = static_cast<double>(most);
        std::cout << fmt::format(
            "memory: {} processes of the server watched for over {:.0f} s, one "
            "of them for {:.0f} s; none grew by more than {} kB\n",
            seen.size(), watched_seconds_min, longest, most);
    }

    const Options &options_;
    Stage &stage_;
    TcpProxy proxy_;
    DrillDatabase database_;
    Load load_;
    TurnLoad turns_;
    Chaos chaos_;
    MemoryWatch memory_;
    Times times_;
    std::map<std::string, int> struck_;
};

bool run(const Options &options) {
    std::cout << fmt::format("soak: {} minutes, {} kinds of faults, seed {}\n", options.minutes,
                             Chaos::kinds(), options.seed)
              << std::flush;
    Stage stage{.conninfo = "", .queue = "soak", .worker_program = options.worker_program};
    stage.figures.drill = "soak";
    stage.figures.title = "a fault each minute";
    const Clock::time_point start = Clock::now();
    stage.start_server({"--durable", "--set", "max_prepared_transactions=4"});
    try {
        Soak soak(options, stage);
        soak.run();
        std::cout << "ms p50/p99 of all: " << as_text(soak.times()) << '\n';
    } catch (const std::exception &error) {
        stage.figures.failures.emplace_back(error.what());
    }
    stage.check_log();
    stage.figures.seconds = seconds_since(start);
    std::cout << as_line(stage.figures) << '\n';
    if (!options.json.empty())
        std::ofstream(options.json) << as_json(stage.figures) << '\n';
    return is_passed(stage.figures);
}

} // namespace

int main(int argument_count, char **arguments) {
    CLI::App app("Clients at work while something goes wrong each minute, and an account.");
    Options options;
    app.add_option("--minutes", options.minutes, "how many, and so many faults")
        ->check(CLI::Range(1, 1440));
    app.add_option("--minute-seconds", options.minute_seconds, "how long a minute is here")
        ->check(CLI::Range(1, 60));
    app.add_option("--jobs-per-second", options.jobs_per_second, "one at a time, with an effect");
    app.add_option("--batched-jobs-per-second", options.batched_jobs_per_second,
                   "in batches, by turn()");
    app.add_option("--seed", options.seed, "of the order of faults; random unless given");
    app.add_option("--worker-program", options.worker_program, "path of drain_worker")->required();
    app.add_option("--json", options.json, "file for the figures");
    CLI11_PARSE(app, argument_count, arguments);
    // There libpq writes the last words of each server process that dies.
    if (std::freopen("/dev/null", "w", stderr) == nullptr)
        return 1;
    try {
        return run(options) ? 0 : 1;
    } catch (const std::exception &error) {
        std::cout << "soak: " << error.what() << '\n';
        return 1;
    }
}
