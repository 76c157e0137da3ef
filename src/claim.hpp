// Claiming as the verbs share it: claim(), claim_any() and turn().
#pragma once

#include "access.hpp"
#include "storage/ledger.hpp"

#include "../core/limits.hpp"

namespace faultline {

// One call that claims, from one queue or several.
struct Claim {
    const text *worker;
    int jobs_max;
    int jobs_claimed;
    int64 planned_microseconds; // what they are expected to take, one after the other
    int first_starts;           // of them, where the queue has a retry budget
    TimestampTz lease_end;      // of the job claimed last
    bool lease_given;
    int64 lease_microseconds;
    TimestampTz now; // leases begin
    ReturnSetInfo *result;
    bool with_verdict; // rows of turn_row, not of claimed_job
    Ledger ledger;
    int64 expired_ids[core::claim_takeovers_max];
    int expired_count;
};
static_assert(std::is_trivially_destructible_v<Claim>);

// Reads worker (argument 1), max_jobs and, behind it, lease; opens the result, and forbids to
// prepare the transaction.
void read_claim_arguments(FunctionCallInfo fcinfo, int max_jobs_index, Claim &claim);
// Raises when there is no such queue or the caller may not work on it.
void require_worker(const text *queue);
// Claims what is left of jobs_max, and adds a row for each job to the result.
void claim_from_queue(Claim &claim, const text *queue);

} // namespace faultline
