// Implements the playing of scripts.  Nothing here waits for a fixed time: a step waits for the
// state that it must bring about, with a deadline.
#include "player.hpp"

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <sstream>
#include <thread>

namespace faultline::lab {

namespace {

// Where the time of every script begins; it moves by "time passes" only.
constexpr const char *first_moment = "2030-01-01 12:00:00+00";

std::string content_of(const std::string &path) {
    std::ifstream file(path);
    if (!file)
        throw std::runtime_error("could not read " + path);
    std::stringstream content;
    content << file.rdbuf();
    return content.str();
}

std::string joined(const std::vector<std::string> &lines) {
    std::string text;
    for (const std::string &line : lines)
        text += "\n    -> " + line;
    return text;
}

std::vector<std::string> lines_of(const std::string &text) {
    std::istringstream stream(text);
    std::vector<std::string> lines;
    for (std::string line; std::getline(stream, line);)
        lines.push_back(line);
    return lines;
}

bool expects(const Step &step, const char *what) {
    return step.expected.size() == 1 && step.expected.front() == what;
}

// Letters of either case that a variable's name may have.
std::size_t name_length(const std::string &text, std::size_t begin) {
    std::size_t end = begin;
    while (end < text.size() &&
           (std::isalnum(static_cast<unsigned char>(text[end])) != 0 || text[end] == '_'))
        end++;
    return end - begin;
}

} // namespace

Player::Player(const Script &script, Server &server, bool verbose)
    : script_(script), server_(server), verbose_(verbose) {
    const std::filesystem::path path(script.path);
    database_ =
        "lab_" + path.parent_path().filename().string().substr(0, 6) + "_" + path.stem().string();
    for (char &c : database_)
        c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
}

void Player::play() {
    server_.create_database(database_);
    prepare_queue();
    for (const Step &step : script_.steps) {
        try {
            play_step(step);
        } catch (const ScriptError &) {
            throw;
        } catch (const std::runtime_error &error) {
            fail(step, error.what());
        }
    }
    if (script_.is_faultline) {
        const Answer answer = run_in_control("SELECT * FROM faultline.check_invariants()");
        if (!answer.rows.empty())
            fail(script_.steps.back(),
                 "check_invariants() is not content:" + joined(as_lines(answer)));
    }
    forget_sessions();
    server_.drop_database(database_);
}

void Player::prepare_queue() {
    if (script_.is_faultline) {
        run_in_control("CREATE EXTENSION faultline");
        run_in_control(fmt::format("SELECT faultline.set_clock('{}')", first_moment));
        return;
    }
    load_unsafe("queue");
    run_in_control(fmt::format("INSERT INTO q.clock VALUES ('{}')", first_moment));
    for (const std::string &name : script_.unsafe) {
        if (name != "queue")
            load_unsafe(name);
    }
}

void Player::load_unsafe(const std::string &name) {
    const std::string path = "lab/unsafe/" + name + ".sql";
    try {
        run_in_control(content_of(path));
    } catch (const std::runtime_error &error) {
        throw std::runtime_error(path + " " + error.what());
    }
}

void Player::play_step(const Step &step) {
    if (verbose_)
        fmt::print("{}:{}: {} {}{}\n", script_.path, step.line, step.who, step.text, step.sentence);
    switch (step.action) {
    case Action::statement:
        return play_statement(step);
    case Action::ends:
        return await_end(step);
    case Action::leaves:
        known_session(step);
        sessions_.erase(step.who);
        return;
    case Action::is_killed:
        server_.kill(known_session(step).server_process_id());
        return forget_sessions();
    case Action::is_frozen:
        ::kill(known_session(step).server_process_id(), SIGSTOP);
        return await_freeze(step, known_session(step));
    case Action::goes_on:
        ::kill(known_session(step).server_process_id(), SIGCONT);
        return;
    case Action::time:
        run_in_control((script_.is_faultline ? "SELECT faultline.advance_clock('"
                                             : "SELECT q.advance_clock('") +
                       filled_in(step.text) + "')");
        return;
    case Action::server:
        if (step.text != "crashes" && step.text != "restarts")
            fail(step, "a server \"crashes\" or \"restarts\"");
        server_.restart(step.text == "crashes");
        return forget_sessions();
    case Action::until:
        return poll_until(step);
    case Action::shell:
        return run_shell(step);
    case Action::violated:
    case Action::holds:
        return judge(step);
    }
}

void Player::play_statement(const Step &step) {
    Session &actor = session(step.who);
    if (actor.is_busy())
        fail(step, step.who + " is still at its last statement");
    actor.send(filled_in(step.text));
    if (expects(step, "pending"))
        return;
    if (expects(step, "waits"))
        await_block(step, actor);
    else if (expects(step, "stops"))
        await_freeze(step, actor);
    else
        await_end(step);
}

void Player::await_end(const Step &step) {
    Session &actor = known_session(step);
    if (!actor.is_busy())
        fail(step, step.who + " is at no statement");
    const std::optional<Answer> answer = actor.answer_within(patience);
    if (!answer)
        fail(step, "the statement does not end");
    if (answer->connection_lost)
        sessions_.erase(step.who);
    if (expects(step, "crash")) {
        if (!answer->connection_lost)
            fail(step, "the server did not crash");
        server_.await_crash();
        return forget_sessions();
    }
    if (!step.expected.empty())
        compare(step, as_lines(*answer), answer->message);
    else if (answer->connection_lost || !answer->sqlstate.empty())
        fail(step, "fails: " + answer->message);
    take_variables(step, *answer);
}

void Player::await_block(const Step &step, Session &actor) {
    const auto deadline = std::chrono::steady_clock::now() + patience;
    while (!server_.is_blocked(actor.server_process_id())) {
        const std::optional<Answer> answer = actor.answer_within(pause_between_looks);
        if (answer)
            fail(step, "does not wait, but:" + joined(as_lines(*answer)) + "\n" + answer->message);
        if (std::chrono::steady_clock::now() > deadline)
            fail(step, "neither ends nor waits for a lock");
    }
}

void Player::await_freeze(const Step &step, const Session &actor) {
    const auto deadline = std::chrono::steady_clock::now() + patience;
    while (process_state(actor.server_process_id()) != 'T') {
        if (std::chrono::steady_clock::now() > deadline)
            fail(step, "does not stop");
        std::this_thread::yield();
    }
}

void Player::poll_until(const Step &step) {
    const auto deadline = std::chrono::steady_clock::now() + patience;
    while (as_lines(run_in_control(filled_in(step.text))).front() != "t") {
        if (std::chrono::steady_clock::now() > deadline)
            fail(step, "does not become true");
        std::this_thread::yield();
    }
}

void Player::run_shell(const Step &step) {
    const std::string folder = std::filesystem::path(script_.path).parent_path().string();
    const CommandResult result = run_command(
        server_.environment(database_) + "export LAB_MODE=" + folder + "\n" + filled_in(step.text));
    if (expects(step, "fails")) {
        if (result.status == 0)
            fail(step, "does not fail, but prints: " + result.output);
        return;
    }
    if (result.status != 0)
        fail(step, fmt::format("ends with status {}: {}", result.status, result.output));
    if (!step.expected.empty())
        compare(step, lines_of(result.output));
}

// A sentence without a query stands for what the steps before it expected, and got.
void Player::judge(const Step &step) {
    if (step.text.empty())
        return;
    const Answer answer = run_in_control(filled_in(step.text));
    if (step.action == Action::violated && answer.rows.empty())
        fail(step, "is not violated: " + step.sentence);
    if (step.action == Action::holds && !answer.rows.empty())
        fail(step, "does not hold: " + step.sentence + joined(as_lines(answer)));
    if (!step.expected.empty())
        compare(step, as_lines(answer));
}

void Player::compare(const Step &step, const std::vector<std::string> &got,
                     const std::string &message) {
    std::vector<std::string> expected;
    for (const std::string &line : step.expected)
        expected.push_back(filled_in(line));
    if (expected != got)
        fail(step, "expected" + joined(expected) + "\n  got" + joined(got) + "\n" + message);
}

void Player::take_variables(const Step &step, const Answer &answer) {
    if (step.into.empty())
        return;
    if (answer.rows.empty() || answer.rows.front().size() != step.into.size())
        fail(step, "no row with a value for each variable:" + joined(as_lines(answer)));
    for (std::size_t i = 0; i < step.into.size(); i++)
        variables_[step.into[i]] = answer.rows.front()[i];
}

void Player::fail(const Step &step, const std::string &what) const {
    throw ScriptError(script_.path, step.line, what);
}

// $name is a variable where there is one of that name; $$ and the like stay.
std::string Player::filled_in(const std::string &text) const {
    std::string filled;
    for (std::size_t i = 0; i < text.size(); i++) {
        const std::size_t length = text[i] == '$' ? name_length(text, i + 1) : 0;
        const auto variable = variables_.find(text.substr(i + 1, length));
        if (length == 0 || variable == variables_.end()) {
            filled += text[i];
            continue;
        }
        filled += variable->second;
        i += length;
    }
    return filled;
}

Session &Player::session(const std::string &name) {
    std::unique_ptr<Session> &found = sessions_[name];
    if (!found)
        found = std::make_unique<Session>(conninfo_of_session(name), name);
    return *found;
}

std::string Player::conninfo_of_session(const std::string &name) const {
    if (name.ends_with("_standby"))
        return Server::conninfo_beside("standby", database_);
    if (name.ends_with("_pooled"))
        return Server::conninfo_beside("pooler", database_);
    return server_.conninfo(database_);
}

Session &Player::known_session(const Step &step) {
    const auto found = sessions_.find(step.who);
    if (found == sessions_.end())
        fail(step, "there is no session " + step.who);
    return *found->second;
}

Answer Player::run_in_control(const std::string &sql) {
    if (!control_)
        control_ = std::make_unique<Session>(server_.conninfo(database_), "lab_judge");
    const Answer answer = control_->run(sql);
    if (!answer.sqlstate.empty() || answer.connection_lost)
        throw std::runtime_error("fails: " + answer.message);
    return answer;
}

void Player::forget_sessions() {
    sessions_.clear();
    control_.reset();
}

} // namespace faultline::lab
