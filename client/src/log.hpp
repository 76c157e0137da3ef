// Owns the way from both threads of a worker to its one log function.
#pragma once

#include <functional>
#include <mutex>
#include <string_view>
#include <utility>

namespace faultline::client {

class Log {
  public:
    explicit Log(std::function<void(std::string_view)> write) : write_(std::move(write)) {}

    void line(std::string_view text) {
        if (write_) {
            const std::lock_guard lock(mutex_);
            write_(text);
        }
    }

  private:
    std::function<void(std::string_view)> write_;
    std::mutex mutex_;
};

} // namespace faultline::client
