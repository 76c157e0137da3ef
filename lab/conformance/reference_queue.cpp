// Implements the reference queue.
#include "reference_queue.hpp"

#include "core/lease.hpp"
#include "core/sqlstate.hpp"
#include "core/verdict.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace faultline::conformance {

namespace {

using core::AttemptOutcome;
using core::JobState;
using core::Verdict;

constexpr const char *failure_text = "failed";

std::string word(Verdict verdict) { return std::string(core::verdict_name(verdict)); }

std::string joined(const std::vector<std::string> &parts) {
    return fmt::format("{}", fmt::join(parts, " "));
}

} // namespace

void ReferenceQueue::start_over() { *this = ReferenceQueue(); }

std::string ReferenceQueue::call(const Verb &verb) {
    try {
        return perform(verb);
    } catch (const Refused &refused) {
        // An error ends a transaction.
        if (before_transaction_) {
            change_transaction(parse_verb("rollback"));
        }
        return std::string(refused.sqlstate);
    }
}

std::string ReferenceQueue::perform(const Verb &verb) {
    const auto one = [&] { return verb.held().at(0); };
    const auto of_each = [&](auto act) {
        std::vector<std::string> verdicts;
        std::set<int> numbers;
        for (const std::string &number : verb.list()) {
            numbers.insert(std::stoi(number));
        }
        for (const int number : numbers) {
            verdicts.push_back(fmt::format("{}:{}", number, act(number)));
        }
        return joined(verdicts);
    };
    if (verb.name == "queue")
        return create_queue(verb);
    if (verb.name == "enqueue" || verb.name == "enqueue_many")
        return enqueue(verb);
    if (verb.name == "claim" || verb.name == "claim_any")
        return claim(verb.list(), verb);
    if (verb.name == "complete" || verb.name == "complete_many")
        return each(verb, "complete", [&](const Held &held) { return complete(held); });
    if (verb.name == "fail" || verb.name == "fail_many")
        return each(verb, "fail", [&](const Held &held) { return fail(held, verb); });
    if (verb.name == "extend" || verb.name == "extend_many")
        return each(verb, "extend", [&](const Held &held) { return extend(held, verb); });
    if (verb.name == "release")
        return release(one(), verb);
    if (verb.name == "cancel")
        return of_each([&](int number) { return cancel(number); });
    if (verb.name == "redrive")
        return of_each([&](int number) { return redrive(number, verb); });
    if (verb.name == "redrive_queue")
        return redrive_queue(verb);
    if (verb.name == "pause" || verb.name == "resume") {
        policy_of(verb.words.at(0)).paused = verb.name == "pause";
        return {};
    }
    if (verb.name == "expire")
        return expire();
    if (verb.name == "purge") {
        purge(verb);
        return {};
    }
    if (verb.name == "expire_keys") {
        expire_keys();
        return {};
    }
    if (verb.name == "advance") {
        state_.now += std::stoll(verb.words.at(0)) * core::microseconds_per_second;
        return {};
    }
    return change_transaction(verb);
}

// Without a transaction, because an error has ended it, the other words mean nothing.
std::string ReferenceQueue::change_transaction(const Verb &verb) {
    if (verb.name == "begin") {
        before_transaction_ = state_;
    } else if (verb.name == "savepoint" && before_transaction_) {
        at_savepoint_ = state_;
    } else if (verb.name == "rollback_to" && at_savepoint_) {
        state_ = *at_savepoint_;
    } else if ((verb.name == "commit" || verb.name == "rollback") && before_transaction_) {
        if (verb.name == "rollback") {
            state_ = *before_transaction_;
        }
        before_transaction_.reset();
        at_savepoint_.reset();
        claimed_in_transaction_.clear();
    }
    return {};
}

std::string ReferenceQueue::create_queue(const Verb &verb) {
    state_.policies[verb.words.at(0)] = {
        .lease_us = *verb.microseconds("lease"),
        .max_attempts = static_cast<int>(*verb.number("attempts")),
        .backoff = {.base_microseconds = *verb.microseconds("backoff"),
                    .max_microseconds = *verb.microseconds("backoff_max"),
                    .factor = 2,
                    .jitter = 0},
        .max_runtime_us = verb.microseconds("max_runtime").value_or(0),
        .keep_keys_us = *verb.microseconds("keep_keys"),
        .paused = false};
    return {};
}

ReferenceQueue::Policy &ReferenceQueue::policy_of(const std::string &queue) {
    const auto found = state_.policies.find(queue);
    if (found == state_.policies.end()) {
        throw Refused{core::sqlstate_unknown_queue};
    }
    return found->second;
}

// enqueue QUEUE PAYLOAD key=K, or enqueue_many QUEUE PAYLOAD:K,PAYLOAD,...
std::string ReferenceQueue::enqueue(const Verb &verb) {
    policy_of(verb.words.at(0));
    if (verb.name == "enqueue") {
        const auto key = verb.options.find("key");
        return std::to_string(
            enqueue_one(verb, verb.words.at(1), key == verb.options.end() ? "" : key->second));
    }
    // All or nothing; a conflict of the second takes the first with it.
    const State before = state_;
    const int numbered_before = jobs_numbered_;
    std::vector<std::string> numbers;
    try {
        for (const std::string &item : split(verb.words.at(1), ',')) {
            const std::vector<std::string> parts = split(item, ':');
            numbers.push_back(
                std::to_string(enqueue_one(verb, parts[0], parts.size() > 1 ? parts[1] : "")));
        }
    } catch (const Refused &) {
        state_ = before;
        jobs_numbered_ = numbered_before;
        throw;
    }
    return joined(numbers);
}

int ReferenceQueue::enqueue_one(const Verb &verb, const std::string &payload,
                                const std::string &key) {
    const std::string &queue = verb.words.at(0);
    const std::int64_t attempts_given = verb.number("attempts").value_or(0);
    const std::int64_t priority = verb.number("priority").value_or(0);
    if (!key.empty()) {
        const std::string fingerprint = fmt::format("{} {} {}", payload, priority, attempts_given);
        const auto [known, is_new] = state_.keys.try_emplace(
            {queue, key}, Key{jobs_numbered_ + 1, fingerprint, std::nullopt});
        if (!is_new && known->second.fingerprint != fingerprint) {
            throw Refused{core::sqlstate_idempotency_conflict};
        }
        if (!is_new) {
            return known->second.job;
        }
    }
    Job job;
    job.number = ++jobs_numbered_;
    job.queue = queue;
    job.payload = payload;
    job.key = key;
    job.priority = static_cast<int>(priority);
    job.next_run_at = state_.now + verb.microseconds("delay").value_or(0);
    job.max_attempts =
        attempts_given != 0 ? static_cast<int>(attempts_given) : policy_of(queue).max_attempts;
    state_.jobs[job.number] = job;
    return job.number;
}

std::string ReferenceQueue::claim(const std::vector<std::string> &queues, const Verb &verb) {
    for (const std::string &queue : queues) {
        policy_of(queue);
    }
    std::vector<std::string> claimed;
    const auto jobs_max = static_cast<std::size_t>(verb.number("max").value_or(1));
    for (const std::string &queue : queues) {
        if (claimed.size() < jobs_max && !policy_of(queue).paused) {
            claim_from(queue, verb, jobs_max, claimed);
        }
    }
    return joined(claimed);
}

// In order, by priority, time and number; a job that is not due ends its priority. Leases found
// ended on the way are settled afterwards.
void ReferenceQueue::claim_from(const std::string &queue, const Verb &verb, std::size_t jobs_max,
                                std::vector<std::string> &claimed) {
    std::vector<Job *> order;
    for (auto &[number, job] : state_.jobs) {
        if (job.queue == queue &&
            (job.state == JobState::queued || job.state == JobState::running)) {
            order.push_back(&job);
        }
    }
    std::sort(order.begin(), order.end(), [](const Job *left, const Job *right) {
        return std::tie(left->priority, left->next_run_at, left->number) <
               std::tie(right->priority, right->next_run_at, right->number);
    });
    std::vector<Job *> ended;
    std::optional<int> priority_passed;
    for (Job *job : order) {
        if (claimed.size() >= jobs_max) {
            break;
        }
        if (priority_passed == job->priority) {
            continue;
        }
        if (job->next_run_at > state_.now) {
            priority_passed = job->priority;
        } else if (job->state == JobState::queued) {
            start_running(*job, verb);
            claimed.push_back(
                fmt::format("{}/{}@{}", job->number, job->attempt, seconds_text(job->expires_at)));
        } else if (lease_ended(*job) && ended.size() < core::claim_takeovers_max) {
            ended.push_back(job);
        }
    }
    for (Job *job : ended) {
        expire_job(*job);
    }
}

void ReferenceQueue::start_running(Job &job, const Verb &verb) {
    const Policy &policy = policy_of(job.queue);
    job.state = JobState::running;
    job.attempt++;
    job.claimed_at = state_.now;
    job.owner = verb.words.at(1);
    job.expires_at = core::granted_lease_end(
        {.claimed_at = state_.now,
         .expires_at = state_.now + verb.microseconds("lease").value_or(policy.lease_us),
         .max_runtime = policy.max_runtime_us});
    if (before_transaction_) {
        claimed_in_transaction_.insert({job.number, job.attempt});
    }
}

bool ReferenceQueue::lease_ended(const Job &job) const {
    return core::lease_has_ended(job.expires_at, state_.now);
}

ReferenceQueue::Job *ReferenceQueue::held_job(const Held &held) {
    const auto found = state_.jobs.find(held.job);
    return found != state_.jobs.end() && found->second.state == JobState::running &&
                   found->second.attempt == held.attempt
               ? &found->second
               : nullptr;
}

const ReferenceQueue::EndedAttempt *ReferenceQueue::ended_attempt(const Held &held) const {
    const auto attempts = state_.attempts.find(held.job);
    if (attempts != state_.attempts.end()) {
        for (const EndedAttempt &ended : attempts->second) {
            if (ended.attempt == held.attempt) {
                return &ended;
            }
        }
    }
    return nullptr;
}

std::string ReferenceQueue::lost(const Held &held) const {
    return word(state_.jobs.contains(held.job) ? Verdict::stale_lease : Verdict::unknown_job);
}

// A verb for one lease raises what its twin for many says in a word.
template <typename Act>
std::string ReferenceQueue::each(const Verb &verb, const char *raised, Act act) {
    std::vector<std::string> verdicts;
    for (const Held &held : verb.held()) {
        const std::string verdict = act(held);
        if (verb.name == raised) {
            for (const auto &[name, sqlstate] :
                 {std::pair(Verdict::stale_lease, core::sqlstate_stale_lease),
                  std::pair(Verdict::unknown_job, core::sqlstate_unknown_job),
                  std::pair(Verdict::same_transaction, core::sqlstate_same_transaction),
                  std::pair(Verdict::cancel_requested, core::sqlstate_cancel_requested)}) {
                if (verdict == word(name)) {
                    throw Refused{sqlstate};
                }
            }
            return verb.name == "extend" ? seconds_text(state_.jobs[held.job].expires_at) : verdict;
        }
        verdicts.push_back(fmt::format("{}:{}", held.job, verdict));
    }
    return joined(verdicts);
}

std::string ReferenceQueue::complete(const Held &held) {
    if (claimed_in_transaction_.contains({held.job, held.attempt})) {
        return word(Verdict::same_transaction);
    }
    if (Job *job = held_job(held)) {
        finish(*job, JobState::succeeded);
        return word(Verdict::succeeded);
    }
    const auto found = state_.jobs.find(held.job);
    const bool by_this_lease = found != state_.jobs.end() &&
                               found->second.state == JobState::succeeded &&
                               found->second.attempt == held.attempt;
    return by_this_lease ? word(Verdict::already_succeeded) : lost(held);
}

std::string ReferenceQueue::fail(const Held &held, const Verb &verb) {
    if (Job *job = held_job(held)) {
        return settle(*job, AttemptOutcome::failed, failure_text, verb.has("discard"),
                      verb.microseconds("retry"));
    }
    const EndedAttempt *ended = ended_attempt(held);
    if (ended != nullptr && ended->outcome == AttemptOutcome::failed) {
        return word(ended->final ? Verdict::failed : Verdict::retrying);
    }
    if (ended != nullptr && ended->outcome == AttemptOutcome::cancelled) {
        return word(Verdict::cancelled);
    }
    return lost(held);
}

std::string ReferenceQueue::extend(const Held &held, const Verb &verb) {
    Job *job = held_job(held);
    if (job == nullptr) {
        return lost(held);
    }
    if (job->cancel_requested) {
        return word(Verdict::cancel_requested);
    }
    const Policy &policy = policy_of(job->queue);
    job->expires_at = core::granted_lease_end(
        {.claimed_at = job->claimed_at,
         .expires_at = state_.now + verb.microseconds("lease").value_or(policy.lease_us),
         .max_runtime = policy.max_runtime_us});
    return word(Verdict::extended);
}

std::string ReferenceQueue::release(const Held &held, const Verb &verb) {
    if (Job *job = held_job(held)) {
        settle(*job, AttemptOutcome::released, "", false, verb.microseconds("delay"));
        return {};
    }
    const EndedAttempt *ended = ended_attempt(held);
    if (ended != nullptr && (ended->outcome == AttemptOutcome::released ||
                             ended->outcome == AttemptOutcome::cancelled)) {
        return {};
    }
    throw Refused{state_.jobs.contains(held.job) ? core::sqlstate_stale_lease
                                                 : core::sqlstate_unknown_job};
}

std::string ReferenceQueue::settle(Job &job, AttemptOutcome outcome, const std::string &error,
                                   bool discard, std::optional<std::int64_t> retry_us) {
    const bool released = outcome == AttemptOutcome::released;
    const int counted = job.attempt - job.attempts_uncounted;
    const core::NextStep step = core::next_step({.effect_exists = false,
                                                 .cancel_requested = job.cancel_requested,
                                                 .released = released,
                                                 .discard = discard,
                                                 .attempts_counted = counted,
                                                 .attempts_max = job.max_attempts});
    state_.attempts[job.number].push_back(
        {job.attempt, step == core::NextStep::cancel ? AttemptOutcome::cancelled : outcome,
         step != core::NextStep::retry, error});
    if (step == core::NextStep::cancel) {
        finish(job, JobState::cancelled);
        return word(Verdict::cancelled);
    }
    if (!error.empty()) {
        job.last_error = error;
    }
    if (step == core::NextStep::dead_letter) {
        // It may be redriven, so its key stays.
        job.state = JobState::failed;
        job.ended_at = state_.now;
        return word(Verdict::failed);
    }
    job.state = JobState::queued;
    job.attempts_uncounted += released ? 1 : 0;
    if (retry_us || !released) {
        job.next_run_at =
            state_.now +
            retry_us.value_or(core::backoff_microseconds(policy_of(job.queue).backoff, counted, 0));
    }
    return word(Verdict::retrying);
}

void ReferenceQueue::finish(Job &job, JobState state) {
    job.state = state;
    job.ended_at = state_.now;
    if (state == JobState::cancelled && !job.cancel_reason.empty()) {
        job.last_error = job.cancel_reason;
    }
    const auto key = state_.keys.find({job.queue, job.key});
    if (key != state_.keys.end() && key->second.job == job.number) {
        key->second.expires_at = state_.now + policy_of(job.queue).keep_keys_us;
    }
}

void ReferenceQueue::expire_job(Job &job) {
    const std::string_view error =
        core::lease_end_error({.claimed_at = job.claimed_at,
                               .expires_at = job.expires_at,
                               .max_runtime = policy_of(job.queue).max_runtime_us},
                              state_.now);
    settle(job, AttemptOutcome::lease_expired, std::string(error), false, std::nullopt);
}

std::string ReferenceQueue::expire() {
    int expired = 0;
    for (auto &[number, job] : state_.jobs) {
        if (job.state == JobState::running && lease_ended(job)) {
            expire_job(job);
            expired++;
        }
    }
    return std::to_string(expired);
}

} // namespace faultline::conformance
