// Owns a private cluster as the runner sees it: databases made for one script, and crashes.
#pragma once

#include <memory>
#include <string>

#include "../processes.hpp"
#include "session.hpp"

namespace faultline::lab {

class Server {
  public:
    // directory: of scripts/cluster, which started it.
    explicit Server(const std::string &directory);

    void create_database(const std::string &name);
    void drop_database(const std::string &name);
    [[nodiscard]] std::string conninfo(const std::string &database) const;
    [[nodiscard]] std::string socket_path() const;
    // Of what lab/standby or lab/pooler started.
    [[nodiscard]] static std::string conninfo_beside(const std::string &what,
                                                     const std::string &database);
    // Environment of commands, as assignments in the shell.
    [[nodiscard]] std::string environment(const std::string &database) const;

    // Whether the session of that server process waits for another one's lock.
    bool is_blocked(int process_id);
    // Ended by signal 9, as the kernel does it when memory runs out.
    void kill(int process_id);
    // Waits until the server has noticed a dead process, and takes sessions again.
    void await_crash();
    // As after a power cut, or in order.
    void restart(bool immediate);
    [[nodiscard]] int postmaster() const;
    // By signal 9, until nothing is left of it and of its children; restart() begins it anew.
    void kill_postmaster();
    [[nodiscard]] int killed() const { return killed_; }

  private:
    Session &control();
    void connect();

    std::string directory_;
    std::string exports_;
    std::string host_;
    std::unique_ptr<Session> control_;
    int killed_ = 0;
};

} // namespace faultline::lab
