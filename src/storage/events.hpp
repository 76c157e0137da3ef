// The log of state changes, written while faultline.trace_events is on.
#pragma once

#include "table.hpp"

#include "../leases/pending.hpp"
#include "../settings.hpp"
#include "../stats/counting.hpp"

#include "../../core/job_state.hpp"

#include <optional>

namespace faultline {

// Writes one row of job_events.  `live_row` has the columns of live_jobs.
void record_event(TupleTableSlot *live_row, std::optional<core::JobState> from, core::JobState to);

// Every change of a job's state calls this with the row that has the attempt's lease, in the
// transaction that makes it and under the lock of the job's row, so that the events of a job are in
// the order of its steps; it also counts.  A new job comes from no state.
inline void log_step(TupleTableSlot *live_row, std::optional<core::JobState> from,
                     core::JobState to) {
    if (to == core::JobState::running)
        note_lease_granted(live_row);
    else if (from == core::JobState::running)
        note_lease_ended(live_row);
    if (settings::trace_events)
        record_event(live_row, from, to);
    count_step(live_row, from, to);
}

} // namespace faultline
