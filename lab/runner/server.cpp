// Implements the server by scripts/cluster and one connection to its database postgres.
#include "server.hpp"

#include <array>
#include <csignal>
#include <cstdio>
#include <fmt/format.h>
#include <stdexcept>
#include <sys/wait.h>
#include <thread>

namespace faultline::lab {

namespace {

// As one word of the shell.
std::string quoted(const std::string &text) {
    std::string word = "'";
    for (const char c : text)
        word += c == '\'' ? std::string("'\\''") : std::string(1, c);
    return word + "'";
}

std::string checked_command(const std::string &command) {
    const CommandResult result = run_command(command);
    if (result.status != 0)
        throw std::runtime_error(command + " failed: " + result.output);
    return result.output;
}

std::string socket_folder(const std::string &directory) {
    std::string folder = checked_command("cat " + directory + "/socket_folder");
    folder.pop_back();
    return folder;
}

std::string conninfo_of(const std::string &host, const std::string &database) {
    return fmt::format("host={} port=5432 user=postgres dbname={}", host, database);
}

} // namespace

CommandResult run_command(const std::string &command) {
    FILE *pipe =
        popen(("exec bash -c " + quoted("exec 2>&1; set -euo pipefail\n" + command)).c_str(), "re");
    if (pipe == nullptr)
        throw std::runtime_error("could not run bash");
    std::string output;
    std::array<char, 4096> part{};
    for (std::size_t length = 0; (length = fread(part.data(), 1, part.size(), pipe)) > 0;)
        output.append(part.data(), length);
    const int status = pclose(pipe);
    return {WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), output};
}

Server::Server(const std::string &directory)
    : directory_(directory), exports_(checked_command("scripts/cluster env " + directory)),
      host_(socket_folder(directory)) {
    connect();
}

std::string Server::conninfo(const std::string &database) const {
    return conninfo_of(host_, database);
}

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
    const auto deadline = std::chrono::steady_clock::now() + patience;
    while (!control().run("SELECT 1").connection_lost) {
        if (std::chrono::steady_clock::now() > deadline)
            throw std::runtime_error("the server did not notice that a process died");
        std::this_thread::yield();
    }
    while (true) {
        try {
            connect();
            return;
        } catch (const std::runtime_error &) {
            if (std::chrono::steady_clock::now() > deadline)
                throw;
            std::this_thread::yield();
        }
    }
}

void Server::restart(bool immediate) {
    control_.reset();
    checked_command(
        fmt::format("scripts/cluster restart {}{}", directory_, immediate ? " --immediate" : ""));
    connect();
}

} // namespace faultline::lab
