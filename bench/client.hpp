// Owns one benchmark client: a connection with the peer's prepared statements and its counters.
#pragma once

#include "faultline/connection.hpp"
#include "peer.hpp"

#include <cstdint>
#include <string>

namespace faultline::bench {

class Client {
  public:
    Client(const std::string &conninfo, const Peer &peer, int batch, int number);

    // Enqueues one batch, claims one batch and completes what was claimed: three transactions.
    void cycle();

    [[nodiscard]] std::int64_t enqueued_count() const { return enqueued_count_; }
    [[nodiscard]] std::int64_t completed_count() const { return completed_count_; }

  private:
    void enqueue();
    void complete(const client::Result &claimed);

    const Peer &peer_;
    const int batch_;
    const client::Parameters enqueue_parameters_;
    const client::Parameters claim_parameters_;
    client::Connection connection_;
    std::int64_t enqueued_count_ = 0;
    std::int64_t completed_count_ = 0;
};

} // namespace faultline::bench
