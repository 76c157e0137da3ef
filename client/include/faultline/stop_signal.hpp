// Owns the request to stop: a latch that a signal handler may set and that every wait listens to.
#pragma once

#include <chrono>

namespace faultline::client {

class StopSignal {
  public:
    StopSignal();
    ~StopSignal();
    StopSignal(const StopSignal &) = delete;
    StopSignal &operator=(const StopSignal &) = delete;

    // SIGTERM and SIGINT request the stop of this object, until it is destroyed. One object at a
    // time can do so.
    void catch_termination();

    void request() noexcept;
    bool requested() const noexcept;
    // Returns requested(), at the latest after the timeout.
    bool wait_for(std::chrono::milliseconds timeout) const noexcept;
    // Returns requested() as soon as the descriptor can be read, too.
    bool wait_for_input(int descriptor) const noexcept;

  private:
    // A pipe that holds a byte once the stop was requested; nobody ever reads it.
    int read_descriptor_ = -1;
    int write_descriptor_ = -1;
    bool catches_termination_ = false;
};

} // namespace faultline::client
