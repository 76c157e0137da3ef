// Implements what operators and maintenance ask of the reference queue, and its rows.
#include "reference_queue.hpp"

#include "core/sqlstate.hpp"
#include "core/verdict.hpp"

#include <fmt/format.h>

namespace faultline::conformance {

namespace {

using core::JobState;
using core::Verdict;

constexpr const char *cancel_text = "cancelled by hand";

std::string word(Verdict verdict) { return std::string(core::verdict_name(verdict)); }

} // namespace

std::string ReferenceQueue::cancel(int number) {
    const auto found = state_.jobs.find(number);
    if (found == state_.jobs.end()) {
        return word(Verdict::unknown_job);
    }
    Job &job = found->second;
    if (job.state == JobState::running) {
        job.cancel_requested = true;
        job.cancel_reason = cancel_text;
        return word(Verdict::cancel_requested);
    }
    if (job.state != JobState::queued) {
        return word(Verdict::already_finished);
    }
    job.cancel_reason = cancel_text;
    finish(job, JobState::cancelled);
    return word(Verdict::cancelled);
}

std::string ReferenceQueue::redrive(int number, const Verb &verb) {
    const auto found = state_.jobs.find(number);
    if (found == state_.jobs.end()) {
        return word(Verdict::unknown_job);
    }
    Job &job = found->second;
    if (job.state != JobState::failed) {
        return word(Verdict::not_failed);
    }
    job.state = JobState::queued;
    job.attempts_uncounted = job.attempt;
    job.next_run_at = state_.now + verb.microseconds("delay").value_or(0);
    return word(Verdict::queued);
}

// The oldest dead letters of a queue.
std::string ReferenceQueue::redrive_queue(const Verb &verb) {
    policy_of(verb.words.at(0));
    const auto jobs_max = static_cast<std::size_t>(verb.number("max").value_or(1000));
    std::vector<std::string> verdicts;
    for (auto &[number, job] : state_.jobs) {
        if (verdicts.size() < jobs_max && job.queue == verb.words.at(0) &&
            job.state == JobState::failed) {
            verdicts.push_back(fmt::format("{}:{}", number, redrive(number, verb)));
        }
    }
    return fmt::format("{}", fmt::join(verdicts, " "));
}

void ReferenceQueue::purge(const Verb &verb) {
    const std::string &queue = verb.words.at(0);
    const Policy &policy = policy_of(queue);
    std::erase_if(state_.jobs, [&](const auto &entry) {
        const Job &job = entry.second;
        const bool gone = job.queue == queue && job.state == JobState::failed &&
                          job.ended_at <= state_.now - *verb.microseconds("older");
        const auto key = state_.keys.find({queue, job.key});
        if (gone && key != state_.keys.end()) {
            key->second.expires_at = state_.now + policy.keep_keys_us;
        }
        return gone;
    });
}

void ReferenceQueue::expire_keys() {
    std::erase_if(state_.keys, [&](const auto &entry) {
        return entry.second.expires_at && *entry.second.expires_at <= state_.now;
    });
}

std::string ReferenceQueue::rows() {
    std::string rows;
    for (const auto &[number, job] : state_.jobs) {
        const bool live = job.state == JobState::queued || job.state == JobState::running;
        const bool runs = job.state == JobState::running;
        rows +=
            fmt::format("{} {} {} {} priority {} attempt {}/{} next {} until {} by {} ended {} "
                        "key {} error {}\n",
                        number, job.queue, job.payload, core::state_name(job.state), job.priority,
                        job.attempt, job.max_attempts, live ? seconds_text(job.next_run_at) : "-",
                        runs ? seconds_text(job.expires_at) : "-", runs ? job.owner : "-",
                        live ? "-" : seconds_text(job.ended_at), job.key.empty() ? "-" : job.key,
                        job.last_error.empty() ? "-" : job.last_error);
    }
    for (const auto &[number, attempts] : state_.attempts) {
        for (const EndedAttempt &ended : attempts) {
            rows += fmt::format("{}/{} {}{} error {}\n", number, ended.attempt,
                                core::outcome_name(ended.outcome), ended.final ? " final" : "",
                                ended.error.empty() ? "-" : ended.error);
        }
    }
    return rows;
}

} // namespace faultline::conformance
