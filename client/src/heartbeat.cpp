// Owns the loop of the heartbeat: wait until a lease is due, renew all, learn what was lost.
#include "heartbeat.hpp"

#include <algorithm>
#include <exception>

namespace faultline::client {

namespace {

// A lost heartbeat is worth hurrying for: the leases go on ending meanwhile.
constexpr Milliseconds heartbeat_retry_delay_max{500};
// Keeps a renewal that changes nothing from turning into a busy loop.
constexpr Milliseconds heartbeat_pause_min{10};

} // namespace

Heartbeat::Heartbeat(const WorkerOptions &options, LeaseBook &book, Log &log)
    : conninfo_(options.conninfo), application_name_(options.worker + " heartbeat"),
      lease_(options.lease), book_(book), log_(log), retry_delay_(heartbeat_retry_delay_max),
      thread_([this] { run(); }) {}

Heartbeat::~Heartbeat() {
    book_.close();
    thread_.join();
}

void Heartbeat::renew() {
    const std::vector<Lease> leases = book_.renewable();
    if (leases.empty()) {
        return;
    }
    if (!connection_ || !connection_->is_open()) {
        connection_.reset();
        connection_.emplace(conninfo_, application_name_);
    }
    const SteadyTime asked_at = std::chrono::steady_clock::now();
    book_.renewed(leases, Api(*connection_).extend_many(leases, lease_), asked_at);
}

void Heartbeat::run() noexcept {
    while (book_.wait_until_due()) {
        Milliseconds pause = heartbeat_pause_min;
        try {
            renew();
            retry_delay_.reset();
        } catch (const std::exception &error) {
            log_.line("heartbeat: " + std::string(error.what()));
            pause = std::max(pause, retry_delay_.next());
        }
        if (!book_.wait_for(pause)) {
            return;
        }
    }
}

} // namespace faultline::client
