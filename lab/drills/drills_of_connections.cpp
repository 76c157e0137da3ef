// Drills between clients and server: D06 a network that delays, drops and cuts, D07 a pooler that
// exchanges the server's sessions and is restarted.
#include "stage.hpp"
#include "tcp_proxy.hpp"

#include "../processes.hpp"

#include <fmt/format.h>
#include <set>

namespace faultline::lab {

namespace {

class NetworkDrill {
  public:
    NetworkDrill(Stage &stage, TcpProxy &proxy)
        : stage_(stage), proxy_(proxy), database_(stage.conninfo, stage.queue), load_(options()) {}

    void play() {
        cut_at_commits();
        delay();
        drop(true);
        drop(false);
        leave_half_open();
        stage_.finish(load_, database_);
        stage_.figures.expect(stage_.figures.recovered > 0,
                              "no call was found to have taken effect unheard");
        stage_.figures.expect(stage_.figures.more["in_doubt"] >
                                  static_cast<double>(stage_.figures.recovered),
                              "no call was found not to have taken effect");
    }

  private:
    LoadOptions options() const {
        LoadOptions options = stage_.load_options();
        options.conninfo = fmt::format("host=127.0.0.1 port={} user=postgres dbname={}"
                                       " sslmode=disable gssencmode=disable",
                                       proxy_.port(), drill_database_name);
        return options;
    }

    void count(int faults, Clock::time_point struck_at) {
        stage_.figures.faults += faults;
        stage_.figures.recovery_seconds.push_back(load_.seconds_until_working(struck_at));
    }

    void cut_at_commits() {
        for (int round = 0; round < stage_.times(20, 4); ++round) {
            load_.await_completions(20);
            const int before = proxy_.cut_at_commit();
            constexpr int at_once = 2;
            proxy_.cut_before_commit(at_once);
            proxy_.cut_after_commit(at_once);
            poll_until("commits to be cut off",
                       [&] { return proxy_.cut_at_commit() >= before + 2 * at_once; });
            count(2 * at_once, Clock::now());
        }
    }

    void delay() {
        constexpr int milliseconds = 50;
        const Clock::time_point struck_at = Clock::now();
        proxy_.delay(milliseconds);
        load_.await_completions(stage_.times(50, 10));
        proxy_.delay(0);
        stage_.figures.more["pieces_delayed"] = proxy_.delayed();
        count(proxy_.delayed() > 0 ? 1 : 0, struck_at);
    }

    // One direction is dead for a while, then the connections end, as keepalives would end them.
    void drop(bool requests) {
        load_.await_completions(20);
        const int before = proxy_.dropped();
        requests ? proxy_.drop_requests(true) : proxy_.drop_answers(true);
        poll_until("something to be dropped", [&] { return proxy_.dropped() > before; });
        poll_until("the clients to have nothing to say", [&] {
            const int seen = proxy_.dropped();
            poll(nullptr, 0, 100);
            return seen == proxy_.dropped();
        });
        requests ? proxy_.drop_requests(false) : proxy_.drop_answers(false);
        cut_all(false);
    }

    void cut_all(bool half_open) {
        const int before = proxy_.cut();
        const Clock::time_point struck_at = Clock::now();
        proxy_.cut_all(half_open);
        poll_until("connections to be cut", [&] { return proxy_.cut() > before; });
        count(proxy_.cut() - before, struck_at);
    }

    // The server's sessions stay, with the transactions that were open in them, while clients come
    // back on new connections; then they hear of it.
    void leave_half_open() {
        load_.await_completions(20);
        cut_all(true);
        load_.await_completions(stage_.times(500, 50));
        stage_.figures.more["sessions_left_half_open"] = proxy_.half_open();
        stage_.figures.expect(proxy_.half_open() > 0, "no session was left half open");
        cut_all(false);
    }

    Stage &stage_;
    TcpProxy &proxy_;
    DrillDatabase database_;
    Load load_;
};

std::string through_pooler() { return Server::conninfo_beside("pooler", drill_database_name); }

void start_pooler(const Stage &stage) {
    checked_command(stage.server->environment(drill_database_name) +
                    "lab/pooler start default_pool_size=2 server_lifetime=1");
}

} // namespace

void disturb_network(Stage &stage) {
    TcpProxy proxy(stage.server->socket_path());
    NetworkDrill(stage, proxy).play();
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
