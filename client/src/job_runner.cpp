// Owns the decisions after each way a job's transaction can end. The rule behind them: a job
// counts as done only when the transaction with the handler's writes is known to be committed.
#include "job_runner.hpp"

#include <algorithm>
#include <exception>

#include <fmt/core.h>

#include "core/limits.hpp"

namespace faultline::client {

namespace {

// Runs of one handler within one attempt: deadlocks, serialization failures, and connections that
// were found dead before the handler started.
constexpr int transaction_runs_max = 5;
constexpr int settle_tries_max = 8;
// What of an error goes into a log line; the server gets more of it.
constexpr std::size_t log_error_bytes_max = 300;

Lease lease_of(const Job &job) { return {job.job_id, job.lease_token}; }

bool transaction_conflict(const Error &error) {
    return error.sqlstate() == "40001" || error.sqlstate() == "40P01";
}

bool lease_is_gone(const Error &error) {
    return error.code() == ErrorCode::stale_lease || error.code() == ErrorCode::unknown_job;
}

std::string error_text(const Outcome &outcome) {
    const std::string text = printable_text(outcome.error(), core::error_bytes_max);
    return text.empty() ? "the handler failed without giving a reason" : text;
}

std::string for_log(const std::string &text) {
    std::string line = printable_text(text, log_error_bytes_max);
    std::replace(line.begin(), line.end(), '\n', ' ');
    return line;
}

} // namespace

Interruption JobRunner::interruption() const {
    return book_.interruption(job_at_hand_.load(), std::chrono::steady_clock::now());
}

void JobRunner::run(const Job &job, const Handler &handler) {
    job_at_hand_.store(job.job_id);
    switch (interruption()) {
    case Interruption::lease_lost:
        ++report_.leases_lost;
        log_.line(fmt::format("job {}: its lease ended before it was started", job.job_id));
        break;
    case Interruption::cancel_requested:
        fail(job, Outcome::discard("cancelled before the handler started"));
        break;
    case Interruption::none:
        execute(job, handler);
        break;
    }
    book_.drop(job.job_id);
}

void JobRunner::execute(const Job &job, const Handler &handler) {
    for (int run = 1; run <= transaction_runs_max; ++run) {
        if (run_once(job, handler) == Step::settled) {
            return;
        }
    }
    fail(job, Outcome::failure(fmt::format("the job's transaction failed {} times in a row by "
                                           "conflicts with others or lost connections",
                                           transaction_runs_max)));
}

JobRunner::Step JobRunner::run_once(const Job &job, const Handler &handler) {
    Connection *connection = link_.connected();
    if (connection == nullptr) {
        log_.line(fmt::format("job {}: left to the end of its lease", job.job_id));
        return Step::settled;
    }
    try {
        connection->begin();
    } catch (const Error &error) {
        // Nothing ran yet: a restart of the server between two jobs costs no attempt.
        log_.line(fmt::format("job {}: {}", job.job_id, error.what()));
        return Step::run_again;
    }
    Outcome outcome = Outcome::failure("");
    bool while_committing = false;
    try {
        outcome = handler(job, *connection);
        if (outcome.succeeded()) {
            while_committing = true;
            commit_success(job, outcome, *connection);
            return Step::settled;
        }
    } catch (const Error &error) {
        return after_trouble(job, outcome, *connection, {error, while_committing});
    } catch (const std::exception &error) {
        outcome = Outcome::failure(error.what());
    } catch (...) {
        outcome = Outcome::failure("the handler threw something that is no std::exception");
    }
    connection->rollback();
    fail(job, outcome);
    return Step::settled;
}

void JobRunner::commit_success(const Job &job, const Outcome &outcome, Connection &connection) {
    if (connection.transaction_state() == TransactionState::none) {
        throw protocol_error("the handler ended the transaction that belongs to the worker");
    }
    if (connection.transaction_state() == TransactionState::failed) {
        throw protocol_error("the handler reported success after a statement of it had failed");
    }
    Api api(connection);
    // "exists" is also what a worker hears that lost its lease to the one who wrote the entry, and
    // then the writes of this handler must not stay. complete() knows whose job it is.
    const bool applied_here =
        outcome.applies() &&
        api.apply_and_complete(lease_of(job), outcome.effect(), outcome.result()).verdict ==
            Verdict::applied;
    if (!applied_here) {
        api.complete(lease_of(job), outcome.result());
    }
    connection.commit();
    link_.worked();
    ++report_.succeeded;
}

JobRunner::Step JobRunner::after_trouble(const Job &job, const Outcome &outcome,
                                         Connection &connection, Trouble trouble) {
    const Error &error = trouble.error;
    // Only this worker's own commit can be in doubt here; a handler may have other connections.
    if (trouble.while_committing && error.in_doubt()) {
        resolve_doubt(job, outcome);
        return Step::settled;
    }
    if (!connection.is_open()) {
        // This run counts as an attempt: a job that brings the server down must not run for ever.
        fail(job, Outcome::failure(
                      fmt::format("the connection was lost while the job ran: {}", error.what())));
        return Step::settled;
    }
    connection.rollback();
    if (transaction_conflict(error)) {
        log_.line(fmt::format("job {}: runs again: {}", job.job_id, error.what()));
        return Step::run_again;
    }
    if (trouble.while_committing && lease_is_gone(error)) {
        ++report_.leases_lost;
        log_.line(fmt::format("job {}: rolled back: {}", job.job_id, error.what()));
        return Step::settled;
    }
    const bool permanent = options_.permanent && options_.permanent(error);
    fail(job, permanent ? Outcome::discard(error.what()) : Outcome::failure(error.what()));
    return Step::settled;
}

// The caller rolls back. "succeeded" would mean that the commit in doubt never happened, and then
// completing now would mark a job as done whose writes are lost. This asks complete() also about an
// effect: its answer is about this very lease, but an entry may have come from a successor.
bool JobRunner::committed_before(const Job &job, const Outcome &outcome, Connection &connection) {
    try {
        return Api(connection).complete(lease_of(job), outcome.result()) ==
               Verdict::already_succeeded;
    } catch (const Error &error) {
        if (error.code() != ErrorCode::ledger_entry_missing) {
            throw;
        }
        return false; // the job is still held, and its declared effect is not there
    }
}

void JobRunner::resolve_doubt(const Job &job, const Outcome &outcome) {
    ++report_.commits_in_doubt;
    bool committed = false;
    const bool answered = settle(job, "complete", [&](Connection &connection) {
        const Transaction transaction(connection);
        committed = committed_before(job, outcome, connection);
    });
    if (committed) {
        ++report_.succeeded;
        log_.line(fmt::format("job {}: its commit was in doubt and did take effect", job.job_id));
    } else if (answered) {
        fail(job, Outcome::failure("the connection was lost during the commit, which did not "
                                   "take effect"));
    }
}

void JobRunner::fail(const Job &job, const Outcome &outcome) {
    // A job that was asked to stop ends as cancelled when its failure is final.
    const bool discard = outcome.discarded() || interruption() == Interruption::cancel_requested;
    const bool told = settle(job, "fail", [&](Connection &connection) {
        const Verdict verdict =
            Api(connection).fail(lease_of(job), error_text(outcome), outcome.retry_in(), discard);
        log_.line(fmt::format("job {}: attempt {} failed, {}: {}", job.job_id, job.attempt,
                              core::verdict_name(verdict), for_log(error_text(outcome))));
    });
    report_.failed_attempts += told ? 1 : 0;
}

void JobRunner::release(const Job &job) {
    const bool released = settle(
        job, "release", [&](Connection &connection) { Api(connection).release(lease_of(job)); });
    report_.released += released ? 1 : 0;
    book_.drop(job.job_id);
}

bool JobRunner::settle(const Job &job, const char *verb_name,
                       const std::function<void(Connection &)> &verb) {
    for (int attempt = 1; attempt <= settle_tries_max; ++attempt) {
        Connection *connection = link_.connected();
        if (connection == nullptr) {
            break;
        }
        try {
            verb(*connection);
            link_.worked();
            return true;
        } catch (const Error &error) {
            log_.line(fmt::format("job {}: {}: {}", job.job_id, verb_name, error.what()));
            if (lease_is_gone(error)) {
                ++report_.leases_lost;
                return false;
            }
            if (!error.retryable()) {
                break;
            }
            link_.pause();
        }
    }
    log_.line(fmt::format("job {}: left to the end of its lease", job.job_id));
    return false;
}

} // namespace faultline::client
