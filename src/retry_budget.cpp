// Owns the tokens of retry budgets: in the slot of the queue in shared memory, or in the session
// without it.  They are taken at once and without a lock; what rolls back keeps what it took, and
// a crash begins anew.
#include "retry_budget.hpp"

#include "per_queue.hpp"
#include "stats/memory.hpp"

#include "../core/retry_budget.hpp"

namespace faultline {

namespace {

struct SessionTokens {
    bool begun;
    pg_atomic_uint64 tokens;
};

pg_atomic_uint64 *session_tokens(int32 queue_id) {
    static PerQueue<SessionTokens> budgets;
    SessionTokens &own = budgets.of(queue_id);
    if (!own.begun) {
        own.begun = true;
        pg_atomic_init_u64(&own.tokens, core::retry_tokens_at_start);
    }
    return &own.tokens;
}

pg_atomic_uint64 *tokens_of(int32 queue_id) {
    if (shared_statistics() == nullptr)
        return session_tokens(queue_id);
    int slot = claim_slot(own_queue(relation_ids().live_jobs, queue_id));
    return slot == overflow_slot ? session_tokens(queue_id) : &statistics_slot(slot)->retry_tokens;
}

} // namespace

void earn_retries(const QueuePolicy &policy, int first_starts) {
    pg_atomic_uint64 *tokens = tokens_of(policy.queue_id);
    uint64 seen = pg_atomic_read_u64(tokens);
    while (!pg_atomic_compare_exchange_u64(tokens, &seen,
                                           core::retry_tokens_after_starts(static_cast<int64>(seen),
                                                                           policy.retry_budget,
                                                                           first_starts))) {
    }
}

bool pay_retry(const QueuePolicy &policy) {
    pg_atomic_uint64 *tokens = tokens_of(policy.queue_id);
    uint64 seen = pg_atomic_read_u64(tokens);
    while (core::retry_is_paid(static_cast<int64>(seen)))
        if (pg_atomic_compare_exchange_u64(tokens, &seen, seen - core::retry_token))
            return true;
    return false;
}

} // namespace faultline
