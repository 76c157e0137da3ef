// Implements what all drills do.
#include "stage.hpp"

#include "../processes.hpp"

#include <fmt/format.h>
#include <unistd.h>

namespace faultline::lab {

LoadOptions Stage::load_options() const { return {.conninfo = conninfo, .queue = queue}; }

void Stage::start_server(const std::vector<std::string> &options) {
    std::string command =
        fmt::format("scripts/cluster start {} --fresh --owner {} --preload --database {}"
                    " --set faultline.lab=on",
                    drill_server_directory, getpid(), drill_database_name);
    for (const std::string &option : options)
        command += fmt::format(" \"{}\"", option);
    checked_command(command);
    server = std::make_unique<Server>(drill_server_directory);
    conninfo = server->conninfo(drill_database_name);
    client::Connection(conninfo).execute("CREATE EXTENSION faultline");
}

WorkerProcess Stage::held_worker(const std::string &point,
                                 const std::vector<std::string> &command) {
    const std::string name = fmt::format("drill-{}-{}", point, ++workers_started);
    std::vector<std::string> words = command;
    words.insert(words.end(), {worker_program, "--conninfo", conninfo, "--queue", queue, "--name",
                               name, "--hold", point});
    return {name, words.front(), {words.begin() + 1, words.end()}};
}

std::int64_t await_held(WorkerProcess &process) {
    std::int64_t job = 0;
    poll_until(fmt::format("{} to hold its job", process.name()), [&] {
        for (const Report &report : process.read_reports())
            job = report.moment == Moment::held ? report.count : 0;
        return job != 0;
    });
    return job;
}

void Stage::finish(Load &load, DrillDatabase &database) {
    load.stop_producers();
    database.reconnect(conninfo);
    try {
        database.await_end();
    } catch (const std::runtime_error &error) {
        figures.failures.emplace_back(error.what());
    }
    load.stop();
    database.take_account(load.record().all(), figures, grace);
}

void Stage::check_log() {
    const CommandResult checked = run_command(fmt::format(
        "scripts/cluster check {} --killed {}", drill_server_directory, server->killed()));
    figures.expect(may_crash || checked.status == 0, checked.output);
}

} // namespace faultline::lab
