// Owns the reckoning of lease ends on the worker's monotonic clock.
#include "lease_book.hpp"

#include <algorithm>

namespace faultline::client {

void LeaseBook::hold(const Job &job, SteadyTime asked_at) {
    const std::lock_guard lock(mutex_);
    held_[job.job_id] = {job.lease_token, job.lease_remaining, asked_at, Interruption::none};
    changed_.notify_all();
}

void LeaseBook::drop(std::int64_t job_id) {
    const std::lock_guard lock(mutex_);
    held_.erase(job_id);
}

Interruption LeaseBook::interruption(std::int64_t job_id, SteadyTime now) const {
    const std::lock_guard lock(mutex_);
    const auto found = held_.find(job_id);
    if (found == held_.end() || now >= found->second.renewed_at + found->second.duration) {
        return Interruption::lease_lost;
    }
    return found->second.interruption;
}

std::vector<Lease> LeaseBook::renewable() const {
    const std::lock_guard lock(mutex_);
    std::vector<Lease> leases;
    for (const auto &[job_id, held] : held_) {
        if (held.interruption == Interruption::none) {
            leases.push_back({job_id, held.lease_token});
        }
    }
    return leases;
}

void LeaseBook::renewed(const std::vector<Lease> &asked, const std::vector<VerdictRow> &verdicts,
                        SteadyTime asked_at) {
    const std::lock_guard lock(mutex_);
    std::map<std::int64_t, std::int64_t> asked_tokens;
    for (const Lease &lease : asked) {
        asked_tokens[lease.job_id] = lease.lease_token;
    }
    for (const VerdictRow &row : verdicts) {
        const auto found = held_.find(row.job_id);
        const auto token = asked_tokens.find(row.job_id);
        // Ended in the meantime, or claimed anew under another token: the verdict is history.
        if (found == held_.end() || token == asked_tokens.end() ||
            found->second.lease_token != token->second) {
            continue;
        }
        Held &held = found->second;
        if (row.verdict == Verdict::extended) {
            held.renewed_at = asked_at;
        } else if (row.verdict == Verdict::cancel_requested) {
            // Not renewed, and not asked for again: the handler has until the end of this lease.
            held.interruption = Interruption::cancel_requested;
        } else {
            held.interruption = Interruption::lease_lost;
        }
    }
}

std::optional<SteadyTime> LeaseBook::next_due() const {
    std::optional<SteadyTime> earliest;
    for (const auto &[job_id, held] : held_) {
        if (held.interruption != Interruption::none) {
            continue;
        }
        const SteadyTime due = held.renewed_at + heartbeat_interval_.value_or(held.duration / 3);
        earliest = std::min(earliest.value_or(due), due);
    }
    return earliest;
}

bool LeaseBook::wait_until_due() {
    std::unique_lock lock(mutex_);
    while (!closed_) {
        const std::optional<SteadyTime> due = next_due();
        if (!due) {
            changed_.wait(lock);
        } else if (changed_.wait_until(lock, *due) == std::cv_status::timeout) {
            // The lease that was waited for may have ended meanwhile; then wait for the next one.
            const std::optional<SteadyTime> due_now = next_due();
            if (due_now && *due_now <= std::chrono::steady_clock::now()) {
                return !closed_;
            }
        }
    }
    return false;
}

bool LeaseBook::wait_for(Milliseconds delay) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, delay, [this] { return closed_; });
    return !closed_;
}

void LeaseBook::close() {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    changed_.notify_all();
}

} // namespace faultline::client
