// Implements the record, all of it under one mutex.
#include "record.hpp"

#include <algorithm>
#include <utility>

namespace faultline::lab {

using Guard = std::scoped_lock<std::mutex>;

void Record::attempt(const std::string &transaction_id) {
    const Guard guard(mutex_);
    all_.attempted.push_back(transaction_id);
}

void Record::enqueue(const std::string &transaction_id, std::int64_t job_id) {
    const Guard guard(mutex_);
    all_.enqueued.push_back({transaction_id, job_id});
}

void Record::apply(const std::string &transaction_id, std::int64_t entry_id) {
    const Guard guard(mutex_);
    all_.applied.push_back({transaction_id, entry_id});
}

void Record::complete(const std::string &transaction_id, std::int64_t job_id,
                      Clock::time_point claim_begun) {
    const Guard guard(mutex_);
    all_.completed.push_back({transaction_id, job_id});
    last_claim_completed_ = std::max(last_claim_completed_, claim_begun);
}

void Record::recover(std::int64_t count) {
    const Guard guard(mutex_);
    all_.recovered += count;
}

void Record::reject_stale() {
    const Guard guard(mutex_);
    ++all_.stale_rejected;
}

void Record::doubt() {
    const Guard guard(mutex_);
    ++all_.in_doubt;
}

void Record::fail(const std::string &error) {
    const Guard guard(mutex_);
    all_.errors.push_back(error);
}

void Record::add(const Recorded &others) {
    const Guard guard(mutex_);
    const auto append = [](auto &list, const auto &more) {
        list.insert(list.end(), more.begin(), more.end());
    };
    append(all_.attempted, others.attempted);
    append(all_.enqueued, others.enqueued);
    append(all_.applied, others.applied);
    append(all_.completed, others.completed);
    append(all_.errors, others.errors);
    all_.recovered += others.recovered;
    all_.stale_rejected += others.stale_rejected;
    all_.in_doubt += others.in_doubt;
}

void Record::time(const char *call, double seconds) {
    const Guard guard(mutex_);
    seconds_of_calls_[call].push_back(seconds);
}

std::map<std::string, std::vector<double>> Record::take_times() {
    const Guard guard(mutex_);
    return std::exchange(seconds_of_calls_, {});
}

void Record::throw_if_failed() const {
    const Guard guard(mutex_);
    if (!all_.errors.empty())
        throw std::runtime_error("a client failed: " + all_.errors.front());
}

Recorded Record::all() const {
    const Guard guard(mutex_);
    return all_;
}

std::int64_t Record::unfinished() const {
    const Guard guard(mutex_);
    return static_cast<std::int64_t>(all_.enqueued.size()) -
           static_cast<std::int64_t>(all_.completed.size());
}

std::int64_t Record::completed() const {
    const Guard guard(mutex_);
    return static_cast<std::int64_t>(all_.completed.size());
}

bool Record::is_working_since(Clock::time_point moment) const {
    const Guard guard(mutex_);
    return last_claim_completed_ > moment;
}

} // namespace faultline::lab
