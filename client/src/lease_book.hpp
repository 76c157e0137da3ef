// Owns what a worker knows about the leases it holds. Shared by the worker's thread, which adds and
// drops jobs, and the heartbeat's thread, which renews them; one mutex guards all of it.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <vector>

#include "faultline/api.hpp"
#include "faultline/worker.hpp"

namespace faultline::client {

using SteadyTime = std::chrono::steady_clock::time_point;

class LeaseBook {
  public:
    // Without an interval a lease is renewed after a third of its length.
    explicit LeaseBook(std::optional<Milliseconds> heartbeat_interval)
        : heartbeat_interval_(heartbeat_interval) {}

    // `asked_at` is from before the claim was sent: the server's lease began later than that, so
    // the end reckoned from it is never too late.
    void hold(const Job &job, SteadyTime asked_at);
    void drop(std::int64_t job_id);

    // Also lease_lost when the lease must have ended by now without being renewed, or when the job
    // is not held at all.
    Interruption interruption(std::int64_t job_id, SteadyTime now) const;

    std::vector<Lease> renewable() const;
    // Applies the server's verdicts to the leases that are still held under the same token.
    void renewed(const std::vector<Lease> &asked, const std::vector<VerdictRow> &verdicts,
                 SteadyTime asked_at);

    // Blocks until the next renewal is due; false = close() was called.
    bool wait_until_due();
    // Blocks for this long after a renewal that did not work; false = close() was called.
    bool wait_for(Milliseconds delay);
    void close();

  private:
    struct Held {
        std::int64_t lease_token;
        Milliseconds duration;
        SteadyTime renewed_at;
        Interruption interruption;
    };

    // When the first lease wants to be renewed; nothing when none is held.
    std::optional<SteadyTime> next_due() const;

    const std::optional<Milliseconds> heartbeat_interval_;
    mutable std::mutex mutex_;
    std::condition_variable changed_;
    std::map<std::int64_t, Held> held_;
    bool closed_ = false;
};

} // namespace faultline::client
