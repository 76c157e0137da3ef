// Implements the questions to the server and its restarts.
#include "cluster.hpp"

#include "../poll_until.hpp"

#include "faultline/error.hpp"

#include <cstdlib>
#include <stdexcept>

namespace faultline::simulator {

namespace {

constexpr int answer_milliseconds_max = 60'000;

} // namespace

Cluster::Cluster(std::string conninfo, std::string control)
    : conninfo_(std::move(conninfo)), control_(std::move(control)) {}

Session &Cluster::control_session() {
    if (!session_) {
        session_.emplace(conninfo_, "simulator");
    }
    return *session_;
}

std::string Cluster::fresh_database() {
    Session &session = control_session();
    session.execute("SET client_min_messages = error");
    if (!has_template_) {
        session.execute("DROP DATABASE IF EXISTS simulated_template WITH (FORCE)");
        session.execute("CREATE DATABASE simulated_template");
        Session(conninfo_ + " dbname=simulated_template", "simulator")
            .execute("CREATE EXTENSION faultline");
        has_template_ = true;
    }
    drop_database();
    session.execute("CREATE DATABASE simulated TEMPLATE simulated_template");
    return conninfo_ + " dbname=simulated";
}

void Cluster::drop_database() {
    const client::Result prepared =
        control_session().execute("SELECT gid FROM pg_prepared_xacts WHERE database = 'simulated'");
    for (int row = 0; row < prepared.row_count(); ++row) {
        Session(conninfo_ + " dbname=simulated", "simulator")
            .execute("ROLLBACK PREPARED '" + std::string(prepared.text(row, 0)) + "'");
    }
    control_session().execute("DROP DATABASE IF EXISTS simulated WITH (FORCE)");
}

std::vector<int> Cluster::blockers_of(int server_process) {
    std::vector<int> blockers;
    Session &session = control_session();
    session.send("SELECT DISTINCT unnest(pg_blocking_pids($1))", {server_process});
    session.wait(answer_milliseconds_max);
    // Lost: the server is going down, and the one that is asked about will hear it, too.
    if (session.is_lost() || !session.sqlstate().empty()) {
        return blockers;
    }
    const client::Result result = session.take_result();
    for (int row = 0; row < result.row_count(); ++row) {
        blockers.push_back(result.integer(row, 0));
    }
    return blockers;
}

bool Cluster::is_gone(int server_process) {
    return control_session()
               .execute("SELECT 1 FROM pg_stat_get_activity($1) WHERE pid IS NOT NULL",
                        {server_process})
               .row_count() == 0;
}

bool Cluster::wait_until_gone_or_blocked(int server_process) {
    bool gone = false;
    lab::poll_until("a session to end", [&] {
        gone = is_gone(server_process);
        return gone || !blockers_of(server_process).empty();
    });
    return gone;
}

void Cluster::restart(bool immediate) {
    const std::string command = control_ + (immediate ? " --immediate" : "") + " >/dev/null";
    session_.reset();
    if (std::system(command.c_str()) != 0) {
        throw std::runtime_error("the server does not restart: " + command);
    }
}

void Cluster::wait_for_crash_restart() {
    // It dies with the others; before that a new session might still be one of the old server.
    if (session_ && !session_->wait_for_loss(answer_milliseconds_max)) {
        throw std::runtime_error("the server did not end its sessions after a crash");
    }
    session_.reset();
    lab::poll_until("the server to be back after a crash", [&] {
        try {
            control_session();
            return true;
        } catch (const client::Error &) {
            return false;
        }
    });
}

} // namespace faultline::simulator
