// Owns the queue as it is meant to be: in memory, one call at a time, on the rules of core/ and
// nothing else of the product.
#pragma once

#include "core/backoff.hpp"
#include "core/job_state.hpp"
#include "core/settle.hpp"
#include "verb.hpp"

#include <map>
#include <set>
#include <stack>

namespace faultline::conformance {

class ReferenceQueue final : public QueuePort {
  public:
    const char *name() const override { return "reference"; }
    void start_over() override;
    std::string call(const Verb &verb) override;
    std::string rows() override;

  private:
    struct Policy {
        std::int64_t lease_us = 0;
        int max_attempts = 0;
        core::BackoffPolicy backoff{};
        std::int64_t max_runtime_us = 0;
        std::int64_t keep_keys_us = 0;
        bool paused = false;
    };
    struct EndedAttempt {
        int attempt = 0;
        core::AttemptOutcome outcome{};
        bool final = false;
        std::string error;
    };
    struct Job {
        int number = 0;
        std::string queue, payload, key;
        int priority = 0;
        core::JobState state = core::JobState::queued;
        std::int64_t next_run_at = 0, claimed_at = 0, expires_at = 0, ended_at = 0;
        int attempt = 0, attempts_uncounted = 0, max_attempts = 0;
        bool cancel_requested = false;
        std::string owner, cancel_reason, last_error;
    };
    struct Key {
        int job = 0;
        std::string fingerprint;
        std::optional<std::int64_t> expires_at;
    };
    // All that a rollback takes back.
    struct State {
        std::map<std::string, Policy> policies;
        std::map<int, Job> jobs;
        std::map<int, std::vector<EndedAttempt>> attempts; // outlive purged jobs
        std::map<std::pair<std::string, std::string>, Key> keys;
        std::int64_t now = 0;
    };
    struct Refused {
        std::string_view sqlstate;
    };

    std::string perform(const Verb &verb);
    std::string change_transaction(const Verb &verb);
    std::string create_queue(const Verb &verb);
    std::string enqueue(const Verb &verb);
    int enqueue_one(const Verb &verb, const std::string &payload, const std::string &key);
    std::string claim(const std::vector<std::string> &queues, const Verb &verb);
    void claim_from(const std::string &queue, const Verb &verb, std::size_t jobs_max,
                    std::vector<std::string> &claimed);
    void start_running(Job &job, const Verb &verb);
    std::string complete(const Held &held);
    std::string fail(const Held &held, const Verb &verb);
    std::string extend(const Held &held, const Verb &verb);
    std::string release(const Held &held, const Verb &verb);
    std::string cancel(int number);
    std::string redrive(int number, const Verb &verb);
    std::string redrive_queue(const Verb &verb);
    std::string expire();
    void purge(const Verb &verb);
    void expire_keys();

    Policy &policy_of(const std::string &queue);
    // The job, if it runs under this very lease.
    Job *held_job(const Held &held);
    const EndedAttempt *ended_attempt(const Held &held) const;
    std::string lost(const Held &held) const;
    bool lease_ended(const Job &job) const;
    void expire_job(Job &job);
    std::string settle(Job &job, core::AttemptOutcome outcome, const std::string &error,
                       bool discard, std::optional<std::int64_t> retry_us);
    void finish(Job &job, core::JobState state);
    template <typename Act> std::string each(const Verb &verb, const char *raised, Act act);

    State state_;
    std::optional<State> before_transaction_, at_savepoint_;
    std::set<std::pair<int, int>> claimed_in_transaction_;
    int jobs_numbered_ = 0; // a rollback gives no number back
};

} // namespace faultline::conformance
