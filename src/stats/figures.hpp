// How a queue is now: from the counters where they are known, from its rows otherwise.
#pragma once

#include "census.hpp"

namespace faultline {

struct QueueFigures {
    int64 ready;
    int64 scheduled;
    int64 running;
    int64 dead;
    bool exact; // otherwise there are at least so many
    TimestampTz oldest_ready;
    int slot; // of its counters; -1: nobody counts, overflow_slot: not for this queue alone
};

// How many rows the queues of one call may cost together, where they have to be counted.
struct RowBudget {
    int64 rows_left;
};
RowBudget new_row_budget();

// Takes time for a bounded number of rows, however many there are.
QueueFigures figures_of_queue(int32 queue_id, TimestampTz now, RowBudget &budget);

// How many jobs are queued, ready or scheduled, this transaction's own included; false when that is
// not known without looking at rows.
bool known_queued(int32 queue_id, int64 *jobs);

// How many jobs run, if that is known without looking at rows; otherwise more than can be.
int64 running_jobs_max(int32 queue_id);

// Counts the jobs of the queue, all of them, unless its depth is known; false when it was.
bool count_jobs_of_queue(int32 queue_id, TimestampTz now);

} // namespace faultline
