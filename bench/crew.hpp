// Owns the threads of a measured run. One that throws stops them all.
#pragma once

#include <atomic>
#include <chrono>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace faultline::bench {

class Crew {
  public:
    Crew() = default;
    Crew(const Crew &) = delete;
    Crew &operator=(const Crew &) = delete;
    ~Crew() { stop_ = true; }

    void add(std::function<void()> work);
    [[nodiscard]] bool stopping() const { return stop_; }
    // Returns early when a thread has failed.
    void sleep_until(std::chrono::steady_clock::time_point deadline) const;
    // Waits for all to end by themselves, and throws what the first of them threw.
    void join();
    void stop_and_join();

  private:
    std::atomic<bool> stop_{false};
    std::mutex failure_mutex_;
    std::exception_ptr failure_;
    std::vector<std::jthread> threads_; // last: ended before what they use
};

} // namespace faultline::bench
