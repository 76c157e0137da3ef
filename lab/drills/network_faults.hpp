// Owns what a network does to the clients of a load that are connected through a proxy. Each fault
// counts in the figures of the stage, with the time until work went on.
#pragma once

#include "stage.hpp"
#include "tcp_proxy.hpp"

#include <string>

namespace faultline::lab {

std::string conninfo_through(const TcpProxy &proxy);

class NetworkFaults {
  public:
    NetworkFaults(Stage &stage, TcpProxy &proxy, Load &load)
        : stage_(stage), proxy_(proxy), load_(load) {}

    // Before the server has heard of it, and before the client hears that it was done.
    void cut_at_commits();
    void delay(std::int64_t completions);
    // One direction is dead for a while, then the connections end, as keepalives would end them.
    void lose_requests();
    void lose_answers();
    // The server's sessions stay, with the transactions that were open in them, while clients come
    // back on new connections; then they hear of it.
    void leave_half_open(std::int64_t completions);
    void cut_all() { cut(false); }

  private:
    void count(int faults, Clock::time_point struck_at);
    void lose_some(int lost_before);
    void cut(bool half_open);

    Stage &stage_;
    TcpProxy &proxy_;
    Load &load_;
};

} // namespace faultline::lab
