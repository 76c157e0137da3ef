// Owns the playing of one script in a database of its own: sessions, variables, expectations.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "script.hpp"
#include "server.hpp"
#include "session.hpp"

namespace faultline::lab {

class Player {
  public:
    // verbose: each step is printed as it is played.
    Player(const Script &script, Server &server, bool verbose);

    // Throws ScriptError at the first step that comes out differently.
    void play();

  private:
    void prepare_queue();
    void load_unsafe(const std::string &name);
    void play_step(const Step &step);
    void play_statement(const Step &step);
    void await_end(const Step &step);
    void await_block(const Step &step, Session &session);
    void await_freeze(const Step &step, const Session &session);
    void poll_until(const Step &step);
    void run_shell(const Step &step);
    void judge(const Step &step);
    void compare(const Step &step, const std::vector<std::string> &got,
                 const std::string &message = "");
    void take_variables(const Step &step, const Answer &answer);

    [[noreturn]] void fail(const Step &step, const std::string &what) const;
    [[nodiscard]] std::string filled_in(const std::string &text) const;
    Session &session(const std::string &name);
    [[nodiscard]] std::string conninfo_of_session(const std::string &name) const;
    Session &known_session(const Step &step);
    Answer run_in_control(const std::string &sql);
    void forget_sessions();

    const Script &script_;
    Server &server_;
    bool verbose_;
    std::string database_;
    std::unique_ptr<Session> control_;
    std::map<std::string, std::unique_ptr<Session>> sessions_;
    std::map<std::string, std::string> variables_;
};

} // namespace faultline::lab
