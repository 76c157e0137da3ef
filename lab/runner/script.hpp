// Owns the step language of the failure modes: what a file of steps says, before anything runs.
// lab/README.md describes it.
#pragma once

#include <stdexcept>
#include <string>
#include <vector>

namespace faultline::lab {

enum class Action {
    statement, // who: SQL
    ends,      // who ends: the statement that waited
    leaves,    // who leaves: closes its connection
    is_killed, // who is killed: its server process, by signal 9
    is_frozen, // who is frozen: its server process, by signal STOP
    goes_on,   // who goes on: by signal CONT
    time,      // time passes: INTERVAL
    server,    // server: crashes | restarts
    until,     // until: SQL that returns true in the end
    shell,     // shell: COMMAND
    violated,  // violated: SENTENCE, and a query that must return rows
    holds,     // holds: SENTENCE, and a query that must return none
};

struct Step {
    Action action;
    int line;
    std::string who;                   // the session
    std::string text;                  // SQL, command, interval
    std::string sentence;              // of violated and holds
    std::vector<std::string> expected; // empty: it must succeed, with any result
    std::vector<std::string> into;     // variables that take the first row
};

struct Script {
    std::string path;
    bool is_faultline = false;
    std::vector<std::string> unsafe; // the files of lab/unsafe that make the queue
    bool crashes = false;            // it takes the server down
    bool needs_preload = false;      // what it shows is done by the library in shared memory
    std::vector<Step> steps;
};

// What a script says is wrong, or did not come true.
class ScriptError : public std::runtime_error {
  public:
    ScriptError(const std::string &path, int line, const std::string &what)
        : std::runtime_error(path + ":" + std::to_string(line) + ": " + what), line_(line) {}
    [[nodiscard]] int line() const { return line_; }

  private:
    int line_;
};

Script read_script(const std::string &path);

} // namespace faultline::lab
