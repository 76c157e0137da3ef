// Owns one benchmark client: a connection with the peer's prepared statements and its counters.
#pragma once

#include "faultline/connection.hpp"
#include "peer.hpp"

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace faultline::bench {

using Clock = std::chrono::steady_clock;
using Seconds = std::chrono::duration<double>;

double seconds_since(Clock::time_point start);
double milliseconds_since(Clock::time_point start);

// As text, as the server wrote them: not every peer's ids are numbers.
struct Claimed {
    std::vector<std::string> ids;
    std::vector<std::string> tokens;

    [[nodiscard]] bool empty() const { return tokens.empty(); }
};

class Client {
  public:
    Client(const std::string &conninfo, const Peer &peer, int batch, int number);

    void enqueue(); // one batch
    void tick();    // if the queue wants it and it is time
    Claimed claim();
    void complete(const Claimed &claimed);

    // A batch in, up to a batch claimed and completed: three transactions, or two with turn(). Of a
    // queue with one reader: a batch in.
    void cycle();
    // For such a queue: completes what is there to read; returns whether there was anything.
    bool read();

    [[nodiscard]] std::int64_t enqueued_count() const { return enqueued_count_; }
    [[nodiscard]] std::int64_t completed_count() const { return completed_count_; }
    client::Connection &connection() { return connection_; }

  private:
    void prepare(const char *name, const std::string &types, const std::string &statement);
    void turn();

    const Peer &peer_;
    const int batch_;
    const client::Parameters enqueue_parameters_;
    const client::Parameters claim_parameters_;
    client::Connection connection_;
    Claimed held_; // between two turns
    Clock::time_point last_tick_;
    std::int64_t enqueued_count_ = 0;
    std::int64_t completed_count_ = 0;
};

} // namespace faultline::bench
