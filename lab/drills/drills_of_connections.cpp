// Drills between clients and server: D06 a network that delays, drops and cuts, D07 a pooler that
// exchanges the server's sessions and is restarted.
#include "network_faults.hpp"

#include "../processes.hpp"

#include <fmt/format.h>
#include <set>

namespace faultline::lab {

namespace {

std::string through_pooler() { return Server::conninfo_beside("pooler", drill_database_name); }

void start_pooler(const Stage &stage) {
    checked_command(stage.server->environment(drill_database_name) +
                    "lab/pooler start default_pool_size=2 server_lifetime=1");
}

} // namespace

void disturb_network(Stage &stage) {
    TcpProxy proxy(stage.server->socket_path());
    DrillDatabase database(stage.conninfo, stage.queue);
    LoadOptions options = stage.load_options();
    options.conninfo = conninfo_through(proxy);
    Load load(options);
    NetworkFaults faults(stage, proxy, load);
    for (int round = 0; round < stage.times(20, 4); ++round)
        faults.cut_at_commits();
    faults.delay(stage.times(50, 10));
    faults.lose_requests();
    faults.lose_answers();
    faults.leave_half_open(stage.times(500, 50));
    stage.finish(load, database);
    stage.figures.expect(stage.figures.recovered > 0,
                         "no call was found to have taken effect unheard");
    stage.figures.expect(stage.figures.more["in_doubt"] >
                             static_cast<double>(stage.figures.recovered),
                         "no call was found not to have taken effect");
}

void pool_connections(Stage &stage) {
    DrillDatabase database(stage.conninfo, stage.queue);
    start_pooler(stage);
    LoadOptions options = stage.load_options();
    options.conninfo = through_pooler();
    Load load(options);
    std::set<std::int64_t> sessions;
    const int restarts = stage.times(5, 1);
    for (int restart = 0; restart < restarts; ++restart) {
        // Pids may come again, moments of birth do not.
        const std::size_t enough = sessions.size() + 6;
        poll_until("the pooler to exchange its sessions", [&] {
            const client::Result seen = database.connection().execute(
                "SELECT (extract(epoch FROM backend_start) * 1000000)::bigint FROM pg_stat_activity"
                " WHERE application_name LIKE 'drill-%'");
            for (int row = 0; row < seen.row_count(); ++row)
                sessions.insert(seen.bigint(row, 0));
            stage.figures.expect(seen.row_count() <= 2, "the pool had more than two sessions");
            return sessions.size() >= enough;
        });
        load.await_completions(50);
        const Clock::time_point struck_at = Clock::now();
        start_pooler(stage); // ends the one that runs
        load.connect_to(through_pooler());
        stage.figures.recovery_seconds.push_back(load.seconds_until_working(struck_at));
        ++stage.figures.faults;
    }
    stage.figures.more["sessions_exchanged"] = static_cast<double>(sessions.size() - 2);
    stage.figures.faults += static_cast<std::int64_t>(sessions.size()) - 2;
    stage.finish(load, database);
    checked_command("lab/pooler stop");
}

} // namespace faultline::lab
