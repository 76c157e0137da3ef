// Owns what strikes a server and its clients during a soak, one fault at a time, each seen to
// happen and waited for until work goes on.
#pragma once

#include "network_faults.hpp"
#include "turn_load.hpp"

#include <random>
#include <string>
#include <vector>

namespace faultline::lab {

class Chaos {
  public:
    struct Fault {
        const char *name;
        void (Chaos::*strike)();
    };

    Chaos(Stage &stage, DrillDatabase &database, TcpProxy &proxy, Load &load, TurnLoad &turns,
          unsigned seed);

    // Each fault once in an order of the seed's, then again in another.
    const Fault &next();
    void strike(const Fault &fault);
    // How many kinds there are.
    static std::size_t kinds();

  private:
    static const std::vector<Fault> faults;

    void kill_worker();
    void freeze_worker();
    void cut_at_commits();
    void delay_network();
    void lose_requests();
    void lose_answers();
    void leave_half_open();
    void terminate_sessions();
    void kill_session();
    void kill_postmaster();
    void cut_power();
    void restart_server();
    void terminate_background();
    void hold_horizon();
    void hold_rows();
    void hold_prepared();
    void fail_attempts();
    void rewrite_tables();
    void drop_other_database();
    void pause_queues();
    void take_plain_path();

    std::int64_t await_held_job(WorkerProcess &worker);
    void await_success(std::int64_t job);
    // Until jobs of both loads were claimed after the moment, and completed.
    void count(std::int64_t times, Clock::time_point struck_at);
    void let_pass(double seconds);
    void lock_rows(client::Connection &holder);

    Stage &stage_;
    DrillDatabase &database_;
    Load &load_;
    TurnLoad &turns_;
    NetworkFaults network_;
    std::mt19937 random_;
    std::vector<std::size_t> left_;
};

} // namespace faultline::lab
