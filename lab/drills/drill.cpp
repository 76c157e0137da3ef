// The program of the drills: options, the list, and the figures as lines, as JSON and as a table.
#include "stage.hpp"

#include "../processes.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <exception>
#include <fmt/format.h>
#include <fstream>
#include <iostream>
#include <optional>

namespace {

using namespace faultline::lab;

constexpr const char *ends_sessions = "it ends sessions of other clients";
constexpr const char *crashes = "it crashes the server";
constexpr const char *virtual_clock = "it moves the clock of the database";

const std::vector<Drill> all_drills = {
    {"D01", "kill -9 of workers at 8 points", nullptr, {}, kill_workers},
    {"D02", "kill -9 of sessions at 7 points", crashes, {}, kill_sessions},
    {"D03", "kill -9 of the postmaster at 7 points", crashes, {}, kill_servers},
    {"D04", "power cuts, indexes checked after each", crashes, {"--durable"}, cut_power},
    {"D05", "workers frozen for three leases", nullptr, {}, freeze_workers},
    {"D06",
     "network: cut at commit, delayed, one-way, half open",
     ends_sessions,
     {},
     disturb_network},
    {"D07",
     "pooler with two sessions, exchanged and restarted",
     ends_sessions,
     {},
     pool_connections},
    {"D08",
     "disk full, under tables and under the log",
     crashes,
     {"--durable", "--set", "min_wal_size=32MB", "--set", "max_wal_size=48MB"},
     fill_disks},
    {"D09a", "promotion of a standby that lags behind", crashes, {}, promote_late_standby},
    {"D09s", "promotion of a synchronous standby", crashes, {}, promote_synchronous_standby},
    {"D10",
     "background worker and launcher killed, ended, frozen",
     crashes,
     {},
     attack_background_worker},
    {"D11", "memory runs out, one session is killed", crashes, {}, run_out_of_memory},
    {"D12",
     "clocks an hour and a day off, forward and back",
     virtual_clock,
     {"--set", "faultline.allow_virtual_clock=on"},
     move_clocks},
    {"D13",
     "rows held by an idle and a prepared transaction",
     "it makes other sessions wait",
     {"--set", "max_prepared_transactions=4"},
     hold_rows},
    {"D14", "extension and database dropped under load", "it drops databases", {}, drop_extension},
    {"D15",
     "dump restored, base backup recovered to a moment",
     "it starts a second server",
     {"--set", "archive_mode=on", "--set", "archive_command=cp %p $PWD/build/drills/archive/%f"},
     restore_copies},
    {"D16", "thousands of leases end at once, all attempts fail", nullptr, {}, storm_of_retries},
};

struct Options {
    std::vector<std::string> names;
    std::string database;
    std::string worker_program;
    std::string json_directory;
    bool is_quick = false;
};

// D5 is D05, and D9 is D09a and D09s.
std::vector<Drill> chosen(const Options &options) {
    std::vector<Drill> drills;
    if (options.names.empty()) {
        std::copy_if(
            all_drills.begin(), all_drills.end(), std::back_inserter(drills),
            [&](const Drill &drill) { return options.database.empty() || drill.harm == nullptr; });
        return drills;
    }
    for (std::string name : options.names) {
        if (name.size() == 2)
            name.insert(1, "0");
        const std::size_t before = drills.size();
        for (const Drill &drill : all_drills)
            if (std::string(drill.name).starts_with(name) && name.size() >= 3)
                drills.push_back(drill);
        if (drills.size() == before)
            throw std::runtime_error(
                fmt::format("there is no drill {}; there are D01 to D16", name));
    }
    for (const Drill &drill : drills)
        if (!options.database.empty() && drill.harm != nullptr)
            throw std::runtime_error(fmt::format(
                "{} is not for a database of yours: {}. Without --database it runs on a "
                "private server",
                drill.name, drill.harm));
    return drills;
}

std::string unused_queue(const char *drill) {
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    return fmt::format("drill-{}-{}", drill,
                       std::chrono::duration_cast<std::chrono::milliseconds>(now).count());
}

void play(const Drill &drill, Stage &stage) {
    try {
        drill.play(stage);
        if (stage.server)
            stage.check_log();
    } catch (const Unplayable &reason) {
        stage.figures.skipped = reason.what();
    } catch (const std::exception &error) {
        stage.figures.failures.emplace_back(error.what());
    }
}

// Somebody's own database is left as it was found.
void clean_up(Stage &stage) {
    try {
        DrillDatabase::of_copy(stage.conninfo, stage.queue).remove();
    } catch (const std::exception &error) {
        stage.figures.failures.emplace_back(error.what());
    }
}

Figures play_on_stage(const Drill &drill, const Options &options) {
    Stage stage{.conninfo = options.database,
                .queue = unused_queue(drill.name),
                .worker_program = options.worker_program,
                .is_quick = options.is_quick};
    stage.figures.drill = drill.name;
    stage.figures.title = drill.title;
    const Clock::time_point start = Clock::now();
    if (options.database.empty())
        stage.start_server(drill.server_options);
    play(drill, stage);
    if (!stage.server)
        clean_up(stage);
    stage.figures.seconds = seconds_since(start);
    if (stage.server) {
        if (!is_passed(stage.figures) && stage.figures.skipped.empty())
            std::cout << run_command(fmt::format("tail -n 20 $(scripts/cluster log {})",
                                                 drill_server_directory))
                             .output;
        run_command(fmt::format("scripts/cluster remove {}", drill_server_directory));
    }
    return stage.figures;
}

// What is wrong before a drill is not told as its fault.
void require_sound_database(const std::string &conninfo) {
    faultline::client::Connection connection(conninfo, "drill");
    const auto violations = faultline::client::Api(connection).check_invariants();
    if (!violations.empty())
        throw std::runtime_error(
            "check_invariants() of this database returns rows already; look at "
            "them before you play a drill");
}

void write_json(const std::string &directory, const Figures &figures) {
    const std::string path = fmt::format("{}/{}.json", directory, figures.drill);
    std::ofstream file(path);
    file << as_json(figures) << '\n';
    file.close();
    if (!file)
        throw std::runtime_error("could not write " + path);
}

bool run(const Options &options) {
    const std::vector<Drill> drills = chosen(options);
    if (!options.database.empty())
        require_sound_database(options.database);
    std::vector<Figures> played;
    for (const Drill &drill : drills) {
        played.push_back(play_on_stage(drill, options));
        std::cout << as_line(played.back()) << '\n' << std::flush;
        if (!options.json_directory.empty())
            write_json(options.json_directory, played.back());
    }
    if (played.size() > 1)
        std::cout << '\n' << as_table(played);
    return std::all_of(played.begin(), played.end(), [](const Figures &figures) {
        return is_passed(figures) || !figures.skipped.empty();
    });
}

} // namespace

int main(int argument_count, char **arguments) {
    CLI::App app("Drills: something goes wrong on purpose, and every job is accounted for.");
    Options options;
    app.add_option("DRILL", options.names, "D01 to D16; all when none is named");
    app.add_option("--database", options.database,
                   "a database of yours, by libpq connection string; for drills that do no harm");
    app.add_flag("--quick", options.is_quick, "fewer faults, shorter storms");
    app.add_option("--worker-program", options.worker_program, "path of drain_worker")->required();
    app.add_option("--json-directory", options.json_directory, "where D05.json and others go");
    CLI11_PARSE(app, argument_count, arguments);
    // There libpq writes the last words of each server process that dies.
    if (std::freopen("/dev/null", "w", stderr) == nullptr)
        return 1;
    try {
        return run(options) ? 0 : 1;
    } catch (const std::exception &error) {
        std::cout << "drill: " << error.what() << '\n';
        return 1;
    }
}
