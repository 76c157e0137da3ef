// The rows of live jobs: finding, locking and the transitions that keep a job live.  Each
// transition checks the state it starts from.
#pragma once

#include "scan.hpp"
#include "table.hpp"

#include "../../core/job_state.hpp"

namespace faultline {

struct LiveJobs {
    Table table;
    Finder by_id; // its slot holds the row found or locked last
};
static_assert(std::is_trivially_destructible_v<LiveJobs>);

// Opens with the active snapshot; needs begin_verb().
LiveJobs open_live_jobs();
void close_live_jobs(LiveJobs &live);

// Loads the version that the active snapshot sees.
bool find_live_job(LiveJobs &live, int64 job_id);

// The transitions below take the table of open_live_jobs(), or one opened for them alone.

enum class RowLock {
    locked,  // the newest version is in `slot`, and ours until the transaction ends
    gone,    // finished, failed or removed meanwhile
    skipped, // held by another transaction (only without waiting)
};
// Locks the newest version of the row in `slot` and loads it there.
RowLock lock_live_job(Table &live_jobs, TupleTableSlot *slot, LockWaitPolicy wait_policy);

core::JobState live_state(TupleTableSlot *row);
int16 priority_of(TupleTableSlot *row);
// The fencing rule on one row version.
bool holds_lease(TupleTableSlot *row, int64 lease_token);
// The producer declared a ledger entry: the job cannot succeed without it.
bool declares_effect(TupleTableSlot *row);
// Claims that count against max_attempts.
int64 attempts_counted(TupleTableSlot *row);

// Raises XX001 when state, lease and counters contradict each other.
void verify_live_row(TupleTableSlot *row);

struct Lease {
    int64 token;
    TimestampTz claimed_at;
    TimestampTz expires_at;
    int64 microseconds; // as it was asked for: what max_runtime cuts off counts here
    const text *owner;
};
// queued -> running.  Unless the row is locked by this transaction already, it does not wait:
// TM_BeingModified when another transaction holds the row.
TM_Result start_running(Table &live_jobs, TupleTableSlot *row, const Lease &lease,
                        bool row_is_locked);

struct Requeue {
    TimestampTz next_run_at;
    const text *last_error; // null keeps the one before
    bool uncounted;         // this claim does not count against max_attempts
};
// running -> queued, of a locked row.
void requeue(Table &live_jobs, TupleTableSlot *row, const Requeue &requeue);

// Of a locked running row.
void set_lease_end(Table &live_jobs, TupleTableSlot *row, TimestampTz expires_at,
                   int64 microseconds, const Jsonb *progress);
void set_cancel_requested(Table &live_jobs, TupleTableSlot *row, TimestampTz at,
                          const text *reason);

// Removes a locked row, on its way to another table.
void remove_live_job(Table &live_jobs, TupleTableSlot *row);

} // namespace faultline
