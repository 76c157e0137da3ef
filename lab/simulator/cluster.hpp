// Owns the private server as the simulator sees it: a database for each run, made from a template,
// who waits for whom, and the server's end and return.
#pragma once

#include "session.hpp"

#include <optional>
#include <string>
#include <vector>

namespace faultline::simulator {

class Cluster {
  public:
    // control: the program that restarts the server, its directory and options as arguments.
    Cluster(std::string conninfo, std::string control);

    // A new database with the extension; that of the run before is dropped.
    std::string fresh_database();
    std::vector<int> blockers_of(int server_process);
    bool is_gone(int server_process);
    // Waits until the process has left, or waits for a lock itself: true if it has left.
    bool wait_until_gone_or_blocked(int server_process);
    // immediate: without a shutdown checkpoint, as after a power cut.
    void restart(bool immediate);
    // After a process of the server was killed: until all sessions are gone and it is back.
    void wait_for_crash_restart();

  private:
    Session &control_session();
    void drop_database();

    const std::string conninfo_;
    const std::string control_;
    std::optional<Session> session_;
    bool has_template_ = false;
};

} // namespace faultline::simulator
