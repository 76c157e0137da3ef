// Owns what happens to one row that is claimed, however it was found.
#include "claim_row.hpp"

#include "arguments.hpp"
#include "debug_point.hpp"
#include "intent.hpp"
#include "leases/lease_end.hpp"
#include "result.hpp"
#include "storage/columns.hpp"
#include "transaction.hpp"
#include "waiters/arrivals.hpp"

#include "../core/fence.hpp"
#include "../core/lease.hpp"

namespace faultline {

namespace {

// An update that finds somebody else at work gives up instead of waiting. The server does that, but
// a server with assertions ends itself: it has no such caller of its own. There, rows are locked
// first, which writes more.
#ifdef USE_ASSERT_CHECKING
constexpr bool update_may_give_up = false;
#else
constexpr bool update_may_give_up = true;
#endif

// Drawn ahead for the calls to come: a call to the generator costs as much as many numbers.
int64 draw_token() {
    static uint64 random_bits[64];
    static int left = 0;
    if (left == 0) {
        if (!pg_strong_random(random_bits, sizeof(random_bits)))
            ereport(ERROR, errcode(ERRCODE_INTERNAL_ERROR),
                    errmsg("could not generate random lease tokens"));
        left = lengthof(random_bits);
    }
    return core::token_from_random(random_bits[--left]);
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
    Datum job_id = read_column(row, live_column::job_id).value;
    Datum values[] = {
        job_id,
        claim.with_verdict ? verdict_datum(core::Verdict::claimed) : job_id,
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
    bool nulls[] = {false,
                    false,
                    false,
                    kind.is_null,
                    false,
                    headers.is_null,
                    false,
                    false,
                    false,
                    false,
                    false,
                    last_error.is_null,
                    progress.is_null,
                    ledger.is_null};
    static_assert(sizeof(nulls) == sizeof(values) / sizeof(Datum));
    // A claimed_job is a turn_row without the verdict behind its job_id.
    int skipped = claim.with_verdict ? 0 : 1;
    add_result_row(claim.result, values + skipped, nulls + skipped,
                   static_cast<int>(sizeof(nulls)) - skipped);
}

} // namespace

bool is_ready(TupleTableSlot *row, TimestampTz now) {
    return live_state(row) == core::JobState::queued &&
           read_int64(row, live_column::next_run_at) <= now;
}

RowClaim claim_row(Claim &claim, const QueuePolicy &policy, Datum queue_name, Table &live_jobs,
                   TupleTableSlot *row) {
    bool row_is_locked = false;
    if (!update_may_give_up || may_be_locked_by_us(row)) {
        row_is_locked = lock_live_job(live_jobs, row, LockWaitSkip) == RowLock::locked;
        if (!row_is_locked)
            return RowClaim::held;
        if (!is_ready(row, claim.now))
            return RowClaim::gone;
    }
    int64 lease_length = claim.lease_given ? claim.lease_microseconds : policy.lease_microseconds;
    core::LeaseTimes asked = {.claimed_at = claim.now,
                              .expires_at = add_microseconds(claim.now, lease_length),
                              .max_runtime = policy.max_runtime_microseconds};
    Lease lease = {.token = draw_token(),
                   .claimed_at = claim.now,
                   .expires_at = core::granted_lease_end(asked),
                   .microseconds = lease_length,
                   .owner = claim.worker};
    switch (start_running(live_jobs, row, lease, row_is_locked)) {
    case TM_Ok:
        debug_point(DebugPoint::claim_after_update);
        remember_claim(lease.token);
        remember_lease_end(lease.expires_at);
        note_claim(policy.queue_id);
        claim.lease_end = lease.expires_at;
        add_claimed_job(claim, queue_name, row, lease);
        if (policy.retry_budget > 0 && attempts_counted(row) == 0)
            claim.first_starts++;
        claim.jobs_claimed++;
        return RowClaim::claimed;
    case TM_Updated:
    case TM_Deleted:
        if (IsolationUsesXactSnapshot())
            raise_serialization_failure();
        return RowClaim::gone;
    default:
        return RowClaim::held;
    }
}

void note_expired_lease(Claim &claim, TupleTableSlot *row) {
    if (claim.expired_count < core::claim_takeovers_max && lease_expired(row, claim.now))
        claim.expired_ids[claim.expired_count++] = read_int64(row, live_column::job_id);
}

} // namespace faultline
