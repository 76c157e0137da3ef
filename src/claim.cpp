// claim() and claim_any(): hand ready jobs to a worker, each under a lease of its own.
//
// The plain path, here: walk the order index of the queue and take each ready row by a HOT update
// that does not wait, so that a row which another transaction holds is passed over.  The fast path
// is claim_by_window.cpp.
#include "claim_row.hpp"

#include "arguments.hpp"
#include "asynchronous_claims.hpp"
#include "clock.hpp"
#include "expire.hpp"
#include "instance.hpp"
#include "leases/lease_table.hpp"
#include "result.hpp"
#include "retry_budget.hpp"
#include "row_memory.hpp"
#include "stats/counting.hpp"
#include "storage/columns.hpp"
#include "storage/order.hpp"
#include "storage/relations.hpp"
#include "transaction.hpp"
#include "waiters/registry.hpp"

#include "../core/lease.hpp"

namespace faultline {

namespace {

// Walks ready rows in order: priority, next_run_at, id.  A row that is not due yet ends its
// priority, and the walk jumps to the next one, whatever number of scheduled jobs lies between.
void claim_by_order(Claim &claim, const QueuePolicy &policy, Table &live_jobs) {
    Finder order = open_order(live_jobs.relation, GetActiveSnapshot());
    Datum queue_name = CStringGetTextDatum(policy.name);
    MemoryContext row_memory = create_row_memory();
    seek_priority(order, policy.queue_id, core::priority_min);
    while (claim.jobs_claimed < claim.jobs_max && next_row(order)) {
        CHECK_FOR_INTERRUPTS();
        TupleTableSlot *row = order.slot;
        if (read_int64(row, live_column::next_run_at) > claim.now) {
            seek_next_priority(order, policy.queue_id, priority_of(row));
            continue;
        }
        if (live_state(row) == core::JobState::running) {
            note_expired_lease(claim, row);
            continue;
        }
        in_row_memory(row_memory,
                      [&] { return claim_row(claim, policy, queue_name, live_jobs, row); });
    }
    MemoryContextDelete(row_memory);
    close_finder(order);
}

// No more than fits into the leases, where the queue says how long its jobs take; one always does.
int jobs_max_here(const Claim &claim, const QueuePolicy &policy) {
    if (policy.expected_runtime_microseconds == 0)
        return claim.jobs_max;
    int64 length = claim.lease_given ? claim.lease_microseconds : policy.lease_microseconds;
    if (policy.max_runtime_microseconds > 0)
        length = Min(length, policy.max_runtime_microseconds);
    int64 fit = core::jobs_within_lease(length, policy.expected_runtime_microseconds,
                                        claim.planned_microseconds);
    if (claim.jobs_claimed == 0)
        fit = Max(fit, 1);
    return static_cast<int>(Min(claim.jobs_max, claim.jobs_claimed + fit));
}

void claim_rows(Claim &claim, const QueuePolicy &policy, Table &live_jobs) {
    int claimed_before = claim.jobs_claimed;
    bool found_all = policy.paused || claim_by_window(claim, policy, live_jobs);
    // wait_for_jobs() saw a row: one that the window does not know would wake it again and again.
    bool saw_a_job = use_wakeup(policy.queue_id) && !policy.paused;
    if (!found_all || (saw_a_job && claim.jobs_claimed == claimed_before))
        claim_by_order(claim, policy, live_jobs);
}

} // namespace

void require_worker(const text *queue) {
    require_access(require_queue(queue), AccessLevel::worker);
}

void claim_from_queue(Claim &claim, const text *queue) {
    TimestampTz began = waiting_clock();
    int claimed_before = claim.jobs_claimed;
    begin_verb("faultline.claim()");
    claim.ledger = open_ledger(claim.now);
    Table live_jobs = open_table(relation_ids().live_jobs);
    QueuePolicy policy = require_queue(queue);
    require_access(policy, AccessLevel::worker);
    int jobs_max = claim.jobs_max;
    claim.jobs_max = jobs_max_here(claim, policy);
    begin_claim_writes();
    claim_rows(claim, policy, live_jobs);
    end_claim_writes();
    claim.jobs_max = jobs_max;
    claim.planned_microseconds +=
        (claim.jobs_claimed - claimed_before) * policy.expected_runtime_microseconds;
    if (claim.first_starts > 0)
        earn_retries(policy, claim.first_starts);
    claim.first_starts = 0;
    close_table(live_jobs);
    close_ledger(claim.ledger);
    end_verb();
    // Without a maintenance worker the queue degrades and does not stop.
    if (claim.expired_count > 0)
        expire_jobs(claim.expired_ids, claim.expired_count);
    claim.expired_count = 0;
    count_claim_call(policy.queue_id, claim.worker, claim.jobs_claimed - claimed_before, began);
}

void read_claim_arguments(FunctionCallInfo fcinfo, int max_jobs_index, Claim &claim) {
    claim.worker = required_text(fcinfo, 1, "worker");
    check_text_length(claim.worker, "worker", core::worker_bytes_max);
    claim.jobs_max = bounded_int32(fcinfo, max_jobs_index, "max_jobs", 1, 1, core::claim_jobs_max);
    int lease_index = max_jobs_index + 1;
    claim.lease_given = !PG_ARGISNULL(lease_index);
    claim.lease_microseconds =
        bounded_interval(fcinfo, lease_index, "lease", 0, core::lease_microseconds_min,
                         core::lease_microseconds_max);
    claim.now = clock_now();
    // Takes the beginning of the memory along when the clock was set back: what is claimed now is
    // not older than the memory, and its lease ends when its row says.
    leases_remembered_since(claim.now);
    require_adopted();
    claim.result = start_result(fcinfo);
    forbid_prepare();
}

} // namespace faultline

FAULTLINE_FUNCTION(faultline_claim) {
    using namespace faultline;
    PreventCommandIfReadOnly("faultline.claim()");
    Claim claim = {};
    const text *queue = required_text(fcinfo, 0, "queue");
    read_claim_arguments(fcinfo, 2, claim);
    claim_from_queue(claim, queue);
    return static_cast<Datum>(0);
}

FAULTLINE_FUNCTION(faultline_claim_any) {
    using namespace faultline;
    PreventCommandIfReadOnly("faultline.claim_any()");
    Claim claim = {};
    Elements queues = required_array(fcinfo, 0, "queues", TEXTOID, false);
    read_claim_arguments(fcinfo, 2, claim);
    // A mistyped name fails at once, not on the day when the queues before it are empty.
    for (int i = 0; i < queues.count; i++)
        require_worker(DatumGetTextPP(queues.values[i]));
    for (int i = 0; i < queues.count && claim.jobs_claimed < claim.jobs_max; i++)
        claim_from_queue(claim, DatumGetTextPP(queues.values[i]));
    return static_cast<Datum>(0);
}
