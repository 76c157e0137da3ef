// Owns one claimed job from its start to its end: the transaction with the handler, and every way
// in which that can fail.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>

#include "lease_book.hpp"
#include "link.hpp"
#include "log.hpp"

namespace faultline::client {

class JobRunner {
  public:
    JobRunner(const WorkerOptions &options, Link &link, LeaseBook &book, Log &log,
              WorkerReport &report)
        : options_(options), link_(link), book_(book), log_(log), report_(report) {}

    // The job must be in the lease book; afterwards it is not.
    void run(const Job &job, const Handler &handler);
    // Gives back a job that was not started.
    void release(const Job &job);

    Interruption interruption() const;

  private:
    enum class Step { settled, run_again };
    // The end of one run of the handler that brought an Error.
    struct Trouble {
        const Error &error;
        bool while_committing;
    };

    void execute(const Job &job, const Handler &handler);
    Step run_once(const Job &job, const Handler &handler);
    void commit_success(const Job &job, const Outcome &outcome, Connection &connection);
    Step after_trouble(const Job &job, const Outcome &outcome, Connection &connection,
                       Trouble trouble);
    static bool committed_before(const Job &job, const Outcome &outcome, Connection &connection);
    void resolve_doubt(const Job &job, const Outcome &outcome);
    void fail(const Job &job, const Outcome &outcome);
    // Calls a verb that may be repeated until it took effect, was refused, or cannot be reached.
    bool settle(const Job &job, const char *verb_name,
                const std::function<void(Connection &)> &verb);

    const WorkerOptions &options_;
    Link &link_;
    LeaseBook &book_;
    Log &log_;
    WorkerReport &report_;
    std::atomic<std::int64_t> job_at_hand_{0};
};

} // namespace faultline::client
