// Implements the threads of a measured run.
#include "crew.hpp"

#include <algorithm>

namespace faultline::bench {

void Crew::add(std::function<void()> work) {
    threads_.emplace_back([this, work = std::move(work)] {
        try {
            work();
        } catch (...) {
            const std::lock_guard lock(failure_mutex_);
            if (!failure_)
                failure_ = std::current_exception();
            stop_ = true;
        }
    });
}

void Crew::sleep_until(std::chrono::steady_clock::time_point deadline) const {
    constexpr std::chrono::milliseconds look_again{20};
    for (auto now = deadline - look_again; !stop_ && now < deadline;) {
        std::this_thread::sleep_until(
            std::min(deadline, std::chrono::steady_clock::now() + look_again));
        now = std::chrono::steady_clock::now();
    }
}

void Crew::join() {
    threads_.clear();
    if (failure_)
        std::rethrow_exception(failure_);
}

void Crew::stop_and_join() {
    stop_ = true;
    join();
}

} // namespace faultline::bench
