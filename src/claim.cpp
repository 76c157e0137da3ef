// claim() and claim_any(): hand ready jobs to a worker, each under a lease of its own.
//
// The plain path: walk the order index of the queue and take each ready row by a HOT update that
// does not wait, so that a row which another transaction holds is passed over.
#include "access.hpp"
#include "arguments.hpp"
#include "clock.hpp"
#include "debug_point.hpp"
#include "errors.hpp"
#include "expire.hpp"
#include "instance.hpp"
#include "intent.hpp"
#include "result.hpp"
#include "row_memory.hpp"
#include "storage/columns.hpp"
#include "storage/live_jobs.hpp"
#include "storage/relations.hpp"
#include "transaction.hpp"

#include "../core/fence.hpp"
#include "../core/lease.hpp"

namespace faultline {

namespace {

constexpr int tokens_drawn_at_once = 64;
constexpr int ready_scan_keys = 2; // queue and priority

struct Claim {
    const text *worker;
    int jobs_max;
    int jobs_claimed;
    bool lease_given;
    int64 lease_microseconds;
    TimestampTz now;
    ReturnSetInfo *result;
    Ledger ledger;
    int64 expired_ids[core::claim_takeovers_max];
    int expired_count;
    uint64 random_bits[tokens_drawn_at_once];
    int random_left;
};

int64 draw_token(Claim &claim) {
    if (claim.random_left == 0) {
        int wanted = Min(tokens_drawn_at_once, claim.jobs_max - claim.jobs_claimed);
        if (!pg_strong_random(claim.random_bits, sizeof(uint64) * wanted))
            ereport(ERROR, errcode(ERRCODE_INTERNAL_ERROR),
                    errmsg("could not generate random lease tokens"));
        claim.random_left = wanted;
    }
    return core::token_from_random(claim.random_bits[--claim.random_left]);
}

// What the job has to move, as its producer declared it.
Column declared_intent(Claim &claim, TupleTableSlot *row) {
    if (!declares_effect(row) ||
        !find_transaction_of_job(claim.ledger, read_int64(row, live_column::job_id),
                                 read_int32(row, live_column::generation)))
        return {0, true};
    return {intent_to_json(found_intent(claim.ledger)), false};
}

// `row` is the version before the claim.
void add_claimed_job(Claim &claim, Datum queue_name, TupleTableSlot *row, const Lease &lease) {
    Column kind = read_durable(row, live_column::kind);
    Column payload = read_durable(row, live_column::payload);
    Column headers = read_durable(row, live_column::headers);
    Column last_error = read_durable(row, live_column::last_error);
    Column progress = read_durable(row, live_column::progress);
    Column ledger = declared_intent(claim, row);
    Datum values[] = {
        read_column(row, live_column::job_id).value,
        queue_name,
        kind.value,
        payload.value,
        headers.value,
        Int32GetDatum(read_int32(row, live_column::attempt) + 1),
        read_column(row, live_column::max_attempts).value,
        Int64GetDatum(lease.token),
        TimestampTzGetDatum(lease.expires_at),
        read_column(row, live_column::enqueued_at).value,
        last_error.value,
        progress.value,
        ledger.value,
    };
    bool nulls[] = {false,         false, kind.is_null, false, headers.is_null,    false,
                    false,         false, false,        false, last_error.is_null, progress.is_null,
                    ledger.is_null};
    static_assert(sizeof(nulls) == sizeof(values) / sizeof(Datum));
    add_result_row(claim.result, values, nulls, static_cast<int>(sizeof(nulls)));
}

bool is_ready(TupleTableSlot *row, TimestampTz now) {
    return live_state(row) == core::JobState::queued &&
           read_int64(row, live_column::next_run_at) <= now;
}

// False when another transaction holds or has changed the row.
bool claim_row(Claim &claim, const QueuePolicy &policy, Datum queue_name, Table &live_jobs,
               TupleTableSlot *row) {
    bool row_is_locked = false;
    if (may_be_locked_by_us(row)) {
        row_is_locked = lock_live_job(live_jobs, row, LockWaitSkip) == RowLock::locked;
        if (!row_is_locked || !is_ready(row, claim.now))
            return false;
    }
    int64 lease_length = claim.lease_given ? claim.lease_microseconds : policy.lease_microseconds;
    core::LeaseTimes asked = {.claimed_at = claim.now,
                              .expires_at = add_microseconds(claim.now, lease_length),
                              .max_runtime = policy.max_runtime_microseconds};
    Lease lease = {.token = draw_token(claim),
                   .claimed_at = claim.now,
                   .expires_at = core::granted_lease_end(asked),
                   .owner = claim.worker};
    switch (start_running(live_jobs, row, lease, row_is_locked)) {
    case TM_Ok:
        debug_point(DebugPoint::claim_after_update);
        remember_claim(lease.token);
        remember_lease_end(lease.expires_at);
        add_claimed_job(claim, queue_name, row, lease);
        claim.jobs_claimed++;
        return true;
    case TM_Updated:
    case TM_Deleted:
        if (IsolationUsesXactSnapshot())
            raise_serialization_failure();
        return false;
    default:
        return false;
    }
}

void note_expired_lease(Claim &claim, TupleTableSlot *row) {
    if (claim.expired_count < core::claim_takeovers_max &&
        core::lease_has_ended(read_int64(row, live_column::lease_expires_at), claim.now))
        claim.expired_ids[claim.expired_count++] = read_int64(row, live_column::job_id);
}

// Walks ready rows in order: priority, next_run_at, id.  A row that is not due yet ends its
// priority, and the walk jumps to the next one, whatever number of scheduled jobs lies between.
void walk_ready_rows(Claim &claim, const QueuePolicy &policy, Table &live_jobs, Finder &order) {
    Datum queue_name = CStringGetTextDatum(policy.name);
    MemoryContext row_memory = create_row_memory();
    ScanKeyData keys[ready_scan_keys];
    int32_key(&keys[0], 1, policy.queue_id);
    ScanKeyInit(&keys[1], 2, BTGreaterEqualStrategyNumber, F_INT2GE,
                Int16GetDatum(core::priority_min));
    start_search(order, keys);
    while (claim.jobs_claimed < claim.jobs_max && next_row(order)) {
        CHECK_FOR_INTERRUPTS();
        TupleTableSlot *row = order.slot;
        if (read_int64(row, live_column::next_run_at) > claim.now) {
            ScanKeyInit(&keys[1], 2, BTGreaterStrategyNumber, F_INT2GT,
                        read_column(row, live_column::priority).value);
            start_search(order, keys);
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
}

void claim_from_queue(Claim &claim, const text *queue) {
    begin_verb("faultline.claim()");
    claim.ledger = open_ledger(claim.now);
    Table live_jobs = open_table(relation_ids().live_jobs);
    QueuePolicy policy = require_queue(queue);
    require_access(policy, AccessLevel::worker);
    if (!policy.paused) {
        Finder order = open_finder(live_jobs.relation, relation_ids().live_jobs_order,
                                   GetActiveSnapshot(), ready_scan_keys);
        walk_ready_rows(claim, policy, live_jobs, order);
        close_finder(order);
    }
    close_table(live_jobs);
    close_ledger(claim.ledger);
    end_verb();
    // Without a maintenance worker the queue degrades and does not stop.
    if (claim.expired_count > 0)
        expire_jobs(claim.expired_ids, claim.expired_count);
    claim.expired_count = 0;
}

void read_claim_arguments(FunctionCallInfo fcinfo, Claim &claim) {
    claim.worker = required_text(fcinfo, 1, "worker");
    check_text_length(claim.worker, "worker", core::worker_bytes_max);
    claim.jobs_max = bounded_int32(fcinfo, 2, "max_jobs", 1, 1, core::claim_jobs_max);
    claim.lease_given = !PG_ARGISNULL(3);
    claim.lease_microseconds = bounded_interval(fcinfo, 3, "lease", 0, core::lease_microseconds_min,
                                                core::lease_microseconds_max);
    claim.now = clock_now();
    require_adopted();
    claim.result = start_result(fcinfo);
    forbid_prepare();
}

} // namespace

} // namespace faultline

FAULTLINE_FUNCTION(faultline_claim) {
    using namespace faultline;
    PreventCommandIfReadOnly("faultline.claim()");
    Claim claim = {};
    const text *queue = required_text(fcinfo, 0, "queue");
    read_claim_arguments(fcinfo, claim);
    claim_from_queue(claim, queue);
    return static_cast<Datum>(0);
}

FAULTLINE_FUNCTION(faultline_claim_any) {
    using namespace faultline;
    PreventCommandIfReadOnly("faultline.claim_any()");
    Claim claim = {};
    Elements queues = required_array(fcinfo, 0, "queues", TEXTOID, false);
    read_claim_arguments(fcinfo, claim);
    // A mistyped name fails at once, not on the day when the queues before it are empty.
    for (int i = 0; i < queues.count; i++)
        require_access(require_queue(DatumGetTextPP(queues.values[i])), AccessLevel::worker);
    for (int i = 0; i < queues.count && claim.jobs_claimed < claim.jobs_max; i++)
        claim_from_queue(claim, DatumGetTextPP(queues.values[i]));
    return static_cast<Datum>(0);
}
