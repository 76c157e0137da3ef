// The hint of a job, from its row.
#pragma once

#include "../storage/columns.hpp"
#include "../storage/live_jobs.hpp"

#include "../../core/ready_hints.hpp"

namespace faultline {

inline core::ReadyHint hint_of_row(TupleTableSlot *row) {
    return {.next_run_at = read_int64(row, live_column::next_run_at),
            .job_id = read_int64(row, live_column::job_id),
            .block = ItemPointerGetBlockNumber(&row->tts_tid),
            .offset = ItemPointerGetOffsetNumber(&row->tts_tid),
            .priority = priority_of(row)};
}

} // namespace faultline
