// Owns a worker's main connection across restarts of the server.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "faultline/connection.hpp"
#include "faultline/worker.hpp"
#include "log.hpp"
#include "retry_delay.hpp"

namespace faultline::client {

class Link {
  public:
    Link(const WorkerOptions &options, const StopSignal &stop, Log &log);

    // The first connection. Throws when it fails: a wrong address must show at once.
    void open();
    // The open connection, after reconnecting if need be. nullptr = there is none and a stop was
    // requested, so nobody waits for the server any longer.
    Connection *connected();
    // The next connected() starts over; another server may have become the primary.
    void disconnect() { connection_.reset(); }
    // Returns whether a stop was requested meanwhile.
    bool pause() { return stop_.wait_for(retry_delay_.next()); }
    void worked() { retry_delay_.reset(); }

    std::int64_t reconnects() const { return reconnects_; }

  private:
    const std::string conninfo_;
    const std::string application_name_;
    const StopSignal &stop_;
    Log &log_;
    RetryDelay retry_delay_;
    std::optional<Connection> connection_;
    std::int64_t reconnects_ = 0;
};

} // namespace faultline::client
