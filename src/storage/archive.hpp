// Where jobs and attempts go when they end: finished jobs, dead letters, ended attempts; and the
// ledger, which hears of it.
#pragma once

#include "ledger.hpp"
#include "table.hpp"

#include "../../core/job_state.hpp"
#include "../../core/settle.hpp"

namespace faultline {

// Tables opened when first needed, all rows of one call with the same time.
struct Archive {
    TimestampTz now;
    MemoryContext memory; // of the tables: that of the call, not of one row
    Table finished;
    Table attempts;
    Table failed;
    Ledger ledger;
    RowBatch finished_batch;
    bool finished_open;
    bool attempts_open;
    bool failed_open;
};
static_assert(std::is_trivially_destructible_v<Archive>);

Archive open_archive(TimestampTz now);
// Stores what is still buffered.
void close_archive(Archive &archive);

struct FinishedRecord {
    core::JobState state; // succeeded or cancelled
    Datum result;
    bool result_is_null;
    const text *note; // becomes last_error; null keeps that of the last failed attempt
};
// A live row that ends as succeeded or cancelled.  Buffered until close_archive().
void archive_finished(Archive &archive, TupleTableSlot *live_row, const FinishedRecord &record);

struct AttemptRecord {
    core::AttemptOutcome outcome;
    bool final;
    const text *error; // may be null
};
void archive_attempt(Archive &archive, TupleTableSlot *live_row, const AttemptRecord &record);

// A live row that failed for good; `record` is its last attempt, which the history includes.
void archive_dead_letter(Archive &archive, TupleTableSlot *live_row, core::FailureReason reason,
                         const AttemptRecord &record);

} // namespace faultline
