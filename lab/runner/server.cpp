// Implements the server by scripts/cluster and one connection to its database postgres.
#include "server.hpp"

#include "../poll_until.hpp"

#include <algorithm>
#include <csignal>
#include <fmt/format.h>
#include <stdexcept>
#include <vector>

namespace faultline::lab {

namespace {

std::string socket_folder(const std::string &directory) {
    std::string folder = checked_command("cat " + directory + "/socket_folder");
    folder.pop_back();
    return folder;
}

std::string conninfo_of(const std::string &host, const std::string &database) {
    return fmt::format("host={} port=5432 user=postgres dbname={}", host, database);
}

} // namespace

Server::Server(const std::string &directory)
    : directory_(directory), exports_(checked_command("scripts/cluster env " + directory)),
      host_(socket_folder(directory)) {
    connect();
}

std::string Server::conninfo(const std::string &database) const {
    return conninfo_of(host_, database);
}

std::string Server::socket_path() const { return host_ + "/.s.PGSQL.5432"; }

std::string Server::conninfo_beside(const std::string &what, const std::string &database) {
    return conninfo_of(socket_folder("build/lab/" + what), database);
}

std::string Server::environment(const std::string &database) const {
    return exports_ + "export PGDATABASE=" + database + "\n";
}

void Server::connect() {
    control_ = std::make_unique<Session>(conninfo("postgres"), "lab_control");
}

Session &Server::control() { return *control_; }

void Server::create_database(const std::string &name) {
    drop_database(name);
    const Answer answer = control().run("CREATE DATABASE " + name);
    if (!answer.sqlstate.empty())
        throw std::runtime_error(answer.message);
}

void Server::drop_database(const std::string &name) {
    const Answer answer = control().run("DROP DATABASE IF EXISTS " + name + " WITH (FORCE)");
    if (!answer.sqlstate.empty())
        throw std::runtime_error(answer.message);
}

bool Server::is_blocked(int process_id) {
    const Answer answer =
        control().run(fmt::format("SELECT 1 WHERE pg_blocking_pids({}) <> '{{}}'", process_id));
    return !answer.rows.empty();
}

void Server::kill(int process_id) {
    if (::kill(process_id, SIGKILL) != 0)
        throw std::runtime_error(fmt::format("process {} is not there to be killed", process_id));
    await_crash();
}

// The control session is ended by the crash as well.
void Server::await_crash() {
    killed_++;
    poll_until("the server to notice that a process died",
               [&] { return control().run("SELECT 1").connection_lost; });
    poll_until("the server to take sessions again", [&] {
        try {
            connect();
            return true;
        } catch (const std::runtime_error &) {
            return false;
        }
    });
}

void Server::restart(bool immediate) {
    control_.reset();
    checked_command(
        fmt::format("scripts/cluster restart {}{}", directory_, immediate ? " --immediate" : ""));
    connect();
}

int Server::postmaster() const {
    return std::stoi(checked_command("scripts/cluster pid " + directory_));
}

void Server::kill_postmaster() {
    const int process = postmaster();
    std::vector<int> processes = children_of(process);
    processes.push_back(process);
    control_.reset();
    if (::kill(process, SIGKILL) != 0)
        throw std::runtime_error(fmt::format("postmaster {} is not there to be killed", process));
    // Children notice it and leave; but one that stands still at a debug point cannot.
    for (const int child : processes)
        if (process_state(child) == 'T')
            ::kill(child, SIGKILL);
    poll_until("the processes of the killed server to leave", [&] {
        return std::all_of(processes.begin(), processes.end(),
                           [](int each) { return process_state(each) == process_gone; });
    });
}

} // namespace faultline::lab
