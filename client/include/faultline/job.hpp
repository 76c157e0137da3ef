// Owns a claimed job as a worker sees it, and the reading of one from an answer.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "faultline/parameters.hpp"
#include "faultline/result.hpp"

namespace faultline::client {

// One movement in the ledger: amount, in the smallest unit of the asset, from debit to credit.
struct Effect {
    std::string transaction_id;
    std::string debit;
    std::string credit;
    std::int64_t amount = 0;
    std::string asset;
    std::optional<std::string> metadata; // JSON text, kept with the transaction
};

struct Job {
    std::int64_t job_id = 0;
    std::string queue;
    std::optional<std::string> kind;
    std::string payload; // JSON text
    std::optional<std::string> headers;
    int attempt = 0; // 1 at the first claim
    int max_attempts = 0;
    std::int64_t lease_token = 0; // the proof of the claim; never log it
    std::string lease_expires_at; // the server's text, for people
    // What was left of the lease when the server answered. Decisions use this and the monotonic
    // clock: the wall clocks of server and worker need not agree.
    Milliseconds lease_remaining{0};
    std::string enqueued_at;
    std::optional<std::string> last_error;
    std::optional<std::string> progress;
    // What was declared at enqueue, without its metadata; the transaction_id stays the same over
    // all attempts.
    std::optional<Effect> effect;
};

// The select list that jobs_from() reads, over rows of claimed_job.
extern const char *const job_columns;

std::vector<Job> jobs_from(const Result &result, int first_row = 0);

} // namespace faultline::client
