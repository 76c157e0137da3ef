// Owns the thread that renews the leases in a LeaseBook, on a connection of its own.
#pragma once

#include <optional>
#include <string>
#include <thread>

#include "lease_book.hpp"
#include "log.hpp"
#include "retry_delay.hpp"

namespace faultline::client {

class Heartbeat {
  public:
    // The book and the log must live longer.
    Heartbeat(const WorkerOptions &options, LeaseBook &book, Log &log);
    ~Heartbeat();
    Heartbeat(const Heartbeat &) = delete;
    Heartbeat &operator=(const Heartbeat &) = delete;

  private:
    void run() noexcept;
    void renew();

    const std::string conninfo_;
    const std::string application_name_;
    const std::optional<Milliseconds> lease_;
    LeaseBook &book_;
    Log &log_;
    RetryDelay retry_delay_;
    std::optional<Connection> connection_;
    std::thread thread_; // last: it uses all of the above
};

} // namespace faultline::client
