// Owns the answer to "when does this lease end?", for the verbs and for SQL.
#include "lease_end.hpp"

#include "lease_table.hpp"

#include "../clock.hpp"
#include "../policy.hpp"
#include "../storage/columns.hpp"
#include "../storage/live_jobs.hpp"

namespace faultline {

namespace {

struct RunningRow {
    int64 job_id;
    int64 token;
    TimestampTz claimed_at;
    TimestampTz expires_at;
    int32 queue_id;
    int32 lease_milliseconds;
};

RunningRow read_running(TupleTableSlot *row) {
    return {.job_id = read_int64(row, live_column::job_id),
            .token = read_int64(row, live_column::lease_token),
            .claimed_at = read_int64(row, live_column::claimed_at),
            .expires_at = read_int64(row, live_column::lease_expires_at),
            .queue_id = read_int32(row, live_column::queue_id),
            .lease_milliseconds = read_int32(row, live_column::lease_milliseconds)};
}

TimestampTz end_without_memory(const RunningRow &row, TimestampTz now) {
    TimestampTz since = leases_remembered_since(now);
    if (row.claimed_at >= since)
        return row.expires_at;
    QueuePolicy policy;
    int64 max_runtime =
        find_queue_by_id(row.queue_id, &policy) ? policy.max_runtime_microseconds : 0;
    return core::lease_end_without_memory(
        {.claimed_at = row.claimed_at, .expires_at = row.expires_at, .max_runtime = max_runtime},
        row.lease_milliseconds * core::microseconds_per_millisecond, since);
}

TimestampTz end_of(const RunningRow &row, TimestampTz now) {
    TimestampTz ends_at = end_without_memory(row, now);
    return Max(ends_at, lease_extended_to(row.job_id, row.token));
}

} // namespace

TimestampTz lease_end(TupleTableSlot *row, TimestampTz now) {
    return end_of(read_running(row), now);
}

TimestampTz lease_end_without_memory(TupleTableSlot *row, TimestampTz now) {
    return end_without_memory(read_running(row), now);
}

// Most leases have not ended, and then the row alone says so.
bool lease_expired(TupleTableSlot *row, TimestampTz now) {
    return live_state(row) == core::JobState::running &&
           core::lease_has_ended(read_int64(row, live_column::lease_expires_at), now) &&
           core::lease_has_ended(lease_end(row, now), now);
}

} // namespace faultline

FAULTLINE_FUNCTION(faultline_lease_end) {
    using namespace faultline;
    // A job that does not run has no lease.
    for (int i = 0; i < PG_NARGS(); i++)
        if (PG_ARGISNULL(i))
            PG_RETURN_NULL();
    RunningRow row = {.job_id = PG_GETARG_INT64(0),
                      .token = PG_GETARG_INT64(1),
                      .claimed_at = PG_GETARG_TIMESTAMPTZ(2),
                      .expires_at = PG_GETARG_TIMESTAMPTZ(3),
                      .queue_id = PG_GETARG_INT32(4),
                      .lease_milliseconds = PG_GETARG_INT32(5)};
    // One time for all rows of a query.
    if (fcinfo->flinfo->fn_extra == nullptr) {
        auto *now = static_cast<TimestampTz *>(
            MemoryContextAlloc(fcinfo->flinfo->fn_mcxt, sizeof(TimestampTz)));
        *now = clock_now();
        fcinfo->flinfo->fn_extra = now;
    }
    PG_RETURN_TIMESTAMPTZ(end_of(row, *static_cast<TimestampTz *>(fcinfo->flinfo->fn_extra)));
}
