// expire_leases(): ends attempts whose lease has ended, so that a crashed worker's job runs again
// without anyone's help.
#include "expire.hpp"

#include "access.hpp"
#include "arguments.hpp"
#include "clock.hpp"
#include "debug_point.hpp"
#include "expiry_look.hpp"
#include "leases/lease_end.hpp"
#include "leases/pending.hpp"
#include "result.hpp"
#include "row_memory.hpp"
#include "settings.hpp"
#include "settle.hpp"
#include "storage/columns.hpp"
#include "storage/relations.hpp"
#include "transaction.hpp"
#include "worker_state.hpp"

#include "../core/lease.hpp"

namespace faultline {

namespace {

// Rows that share a subtransaction; after an error each of them gets its own.
constexpr int rows_per_subtransaction = 50;

ExpiryFindings findings;

const text *error_of_end(TupleTableSlot *row, TimestampTz now) {
    QueuePolicy policy = queue_of_job(read_int32(row, live_column::queue_id));
    std::string_view error =
        core::lease_end_error({.claimed_at = read_int64(row, live_column::claimed_at),
                               .expires_at = lease_end(row, now),
                               .max_runtime = policy.max_runtime_microseconds},
                              now);
    return cstring_to_text_with_len(error.data(), static_cast<int>(error.size()));
}

// Looks again under the row's lock, and with the lease held in memory: it may have been extended
// here or there, or the job may have ended.
void expire_job(LiveJobs &live, Archive &archive, int64 job_id, ExpiredJobs *expired) {
    if (!find_live_job(live, job_id) || !lease_expired(live.by_id.slot, archive.now))
        return;
    if (lock_live_job(live.table, live.by_id.slot, LockWaitSkip) != RowLock::locked)
        return;
    debug_point(DebugPoint::expire_after_lock);
    hold_lease_until_end(job_id);
    if (!lease_expired(live.by_id.slot, archive.now))
        return;
    core::Verdict verdict = settle(live.table, archive, live.by_id.slot,
                                   {.outcome = core::AttemptOutcome::lease_expired,
                                    .error = error_of_end(live.by_id.slot, archive.now),
                                    .discard = false,
                                    .has_retry_delay = false,
                                    .retry_delay_microseconds = 0});
    (verdict == core::Verdict::succeeded ? expired->succeeded : expired->settled)++;
}

ExpiredJobs expire_rows(const int64 *job_ids, int count) {
    begin_verb("faultline.expire_leases()");
    Archive archive = open_archive(clock_now());
    LiveJobs live = open_live_jobs();
    MemoryContext row_memory = create_row_memory();
    ExpiredJobs expired = {};
    for (int i = 0; i < count; i++) {
        CHECK_FOR_INTERRUPTS();
        if (i > 0)
            debug_point(DebugPoint::expire_between_rows);
        in_row_memory(row_memory, [&] { return expire_job(live, archive, job_ids[i], &expired); });
    }
    MemoryContextDelete(row_memory);
    close_live_jobs(live);
    close_archive(archive);
    end_verb();
    return expired;
}

// False, with a warning in the log, when a row raised: nothing of the batch was done then.
bool expire_in_subtransaction(const int64 *job_ids, int count, ExpiredJobs *expired) {
    MemoryContext caller_memory = CurrentMemoryContext;
    ResourceOwner caller_owner = CurrentResourceOwner;
    volatile bool done = false;
    BeginInternalSubTransaction(nullptr);
    MemoryContextSwitchTo(caller_memory);
    PG_TRY();
    {
        ExpiredJobs together = expire_rows(job_ids, count);
        ReleaseCurrentSubTransaction();
        expired->succeeded += together.succeeded;
        expired->settled += together.settled;
        done = true;
    }
    PG_CATCH();
    {
        MemoryContextSwitchTo(caller_memory);
        ErrorData *error = CopyErrorData();
        FlushErrorState();
        RollbackAndReleaseCurrentSubTransaction();
        MemoryContextSwitchTo(caller_memory);
        CurrentResourceOwner = caller_owner;
        // A cancelled statement must stop, and a serialization failure is the caller's to retry.
        if (error->sqlerrcode == ERRCODE_QUERY_CANCELED ||
            error->sqlerrcode == ERRCODE_T_R_SERIALIZATION_FAILURE)
            ReThrowError(error);
        if (count == 1) {
            findings.some_refused = true;
            snprintf(findings.refused_error, sizeof(findings.refused_error),
                     "job " INT64_FORMAT ": %s", job_ids[0], error->message);
            ereport(WARNING, errcode(error->sqlerrcode),
                    errmsg("could not expire the lease of job " INT64_FORMAT ": %s", job_ids[0],
                           error->message));
        }
        FreeErrorData(error);
    }
    PG_END_TRY();
    MemoryContextSwitchTo(caller_memory);
    CurrentResourceOwner = caller_owner;
    return done;
}

// What a full look costs decides how often it is taken.
ExpiryMemory memory;

constexpr int64 cheap_look_microseconds = 5'000;
constexpr int64 full_look_rest_factor = 50;

TimestampTz full_look_wanted_at() {
    if (memory.full_look_microseconds <= cheap_look_microseconds)
        return 0;
    return memory.full_look_at + memory.full_look_microseconds * full_look_rest_factor;
}

enum class Look { everywhere, where_claims_begin, in_memory };

// Leases that nobody could have told to the memory, of rows written by hand, are found this late.
constexpr int64 sweep_microseconds = 60 * core::microseconds_per_second;

TimestampTz sweep_wanted_at() {
    return Max(full_look_wanted_at(), memory.full_look_at + sweep_microseconds);
}

Look look_for_round() {
    TimestampTz now = waiting_clock();
    if (memory.full_look_at > now) // the clock was set back
        memory = {};
    if (settings::fast_path && every_lease_is_known() && !IsolationUsesXactSnapshot() &&
        now < sweep_wanted_at())
        return Look::in_memory;
    return now >= full_look_wanted_at() ? Look::everywhere : Look::where_claims_begin;
}

TimestampTz full_look_wanted_after(Look look) {
    switch (look) {
    case Look::everywhere:
        return 0;
    case Look::where_claims_begin:
        return full_look_wanted_at();
    case Look::in_memory:
        break;
    }
    return sweep_wanted_at();
}

// Running rows with an expired lease that the current user may expire.
int collect_expired(int64 *job_ids, int jobs_max, Look look) {
    EndedLeases leases = {.now = clock_now(),
                          .job_ids = job_ids,
                          .jobs_max = jobs_max,
                          .count = 0,
                          .next_end = no_time};
    attach_leases(leases.now);
    TimestampTz started = waiting_clock();
    CandidateLeases candidates = {};
    if (look == Look::in_memory)
        candidates = collect_candidates(leases);
    // Both before the snapshot: whatever it does not see is told to the memory from here on.
    uint64 missed = leases_missed();
    begin_verb("faultline.expire_leases()");
    if (look == Look::in_memory)
        look_at_candidates(leases, candidates);
    else if (look == Look::everywhere)
        look_everywhere(leases);
    else
        look_where_claims_begin(leases);
    TimestampTz ended = waiting_clock();
    findings = {};
    findings.next_end = leases.next_end;
    findings.look_microseconds = ended - started;
    findings.complete = leases.count < jobs_max && candidates.count < jobs_max;
    if (look == Look::everywhere && findings.complete) {
        memory = {.full_look_at = ended, .full_look_microseconds = ended - started};
        if (!IsolationUsesXactSnapshot())
            note_every_lease_entered(missed);
    }
    findings.full_look_wanted_at = full_look_wanted_after(look);
    end_verb();
    return leases.count;
}

} // namespace

const ExpiryFindings &last_expiry_findings() { return findings; }

ExpiryMemory expiry_memory() { return memory; }

void remember_expiry(const ExpiryMemory &of_before) { memory = of_before; }

ExpiredJobs expire_jobs(const int64 *job_ids, int count) {
    ExpiredJobs expired = {};
    for (int start = 0; start < count; start += rows_per_subtransaction) {
        CHECK_FOR_INTERRUPTS();
        int length = Min(rows_per_subtransaction, count - start);
        if (expire_in_subtransaction(job_ids + start, length, &expired))
            continue;
        for (int i = start; length > 1 && i < start + length; i++)
            expire_in_subtransaction(job_ids + i, 1, &expired);
    }
    return expired;
}

namespace {

ExpiredJobs expire_some(FunctionCallInfo fcinfo, Look look) {
    int jobs_max = bounded_int32(fcinfo, 0, "max_jobs", core::maintenance_jobs_default, 1,
                                 core::maintenance_jobs_max);
    auto *job_ids = static_cast<int64 *>(palloc(sizeof(int64) * jobs_max));
    int count = collect_expired(job_ids, jobs_max, look);
    ExpiredJobs expired = expire_jobs(job_ids, count);
    findings.some_held = expired.succeeded + expired.settled < count && !findings.some_refused;
    return expired;
}

} // namespace

} // namespace faultline

FAULTLINE_FUNCTION(faultline_expire_leases) {
    using namespace faultline;
    ExpiredJobs expired = expire_some(fcinfo, Look::everywhere);
    PG_RETURN_INT64(expired.succeeded + expired.settled);
}

// The duty: a look at the leases in memory; a full look while it does not know them all; or where
// that is too dear to be taken each time one where claims begin.
FAULTLINE_FUNCTION(faultline_expire_round) {
    using namespace faultline;
    attach_leases(clock_now());
    Look look = look_for_round();
    if (!PG_ARGISNULL(1))
        look = PG_GETARG_BOOL(1) ? Look::everywhere : Look::where_claims_begin;
    ExpiredJobs expired = expire_some(fcinfo, look);
    PG_RETURN_INT64(expired.succeeded + expired.settled);
}

FAULTLINE_FUNCTION(faultline_settle_expired) {
    using namespace faultline;
    ExpiredJobs expired = expire_some(fcinfo, Look::everywhere);
    ReturnSetInfo *result = start_result(fcinfo);
    bool nulls[] = {false, false};
    Datum succeeded[] = {name_datum(core::reconcile_rule_name(core::ReconcileRule::r1_succeeded)),
                         Int64GetDatum(expired.succeeded)};
    add_result_row(result, succeeded, nulls, lengthof(succeeded));
    Datum settled[] = {name_datum(core::reconcile_rule_name(core::ReconcileRule::r2_settled)),
                       Int64GetDatum(expired.settled)};
    add_result_row(result, settled, nulls, lengthof(settled));
    return static_cast<Datum>(0);
}
