// Owns the choice between counters and rows.
#include "figures.hpp"

#include "../debug_point.hpp"
#include "../storage/relations.hpp"
#include "../transaction.hpp"
#include "../worker_state.hpp"
#include "counting.hpp"

namespace faultline {

namespace {

// Ready and scheduled jobs of a queue whose depth is known are told apart by looking at the fewer.
constexpr int64 split_entries_max = 1'000;
// A reader who finds depths unknown counts so far in each queue and in all of them; maintenance
// counts all.  Without shared memory, rows are all there is.
constexpr int64 count_entries_max = 10'000;
constexpr int64 count_budget = 20'000;
constexpr int64 uncounted_entries_max = 100'000;
constexpr int64 uncounted_budget = 200'000;
// Of each queue when the others have used that up.
constexpr int64 count_entries_min = 100;

QueueFigures figures_of_census(const Census &census, int slot) {
    return {.ready = census.ready,
            .scheduled = census.scheduled,
            .running = census.running,
            .dead = census.dead,
            .exact = census.complete(),
            .oldest_ready = census.oldest_ready,
            .slot = slot};
}

Census count_rows(int32 queue_id, TimestampTz now, int64 entries_max) {
    Snapshot snapshot = register_newest_snapshot();
    Census census =
        take_census(queue_id, snapshot, now,
                    {.entries = entries_max, .queued_known = false, .dead_known = false});
    UnregisterSnapshot(snapshot);
    return census;
}

// Counts the rows and lets the depth begin there.
Census count_for_depth(int slot, int32 queue_id, TimestampTz now, int64 entries_max) {
    DepthCount count = begin_count(slot);
    debug_point(DebugPoint::count_after_snapshot);
    Census census =
        take_census(queue_id, count.snapshot, now,
                    {.entries = entries_max, .queued_known = false, .dead_known = false});
    UnregisterSnapshot(count.snapshot);
    Depths found = {{census.ready + census.scheduled, census.running, census.dead}};
    end_count(count, found, own_depth_change(slot), census.complete());
    return census;
}

void split_queued(QueueFigures &figures, int64 queued, const Census &census) {
    if (census.scheduled_complete || !census.ready_complete) {
        figures.scheduled = Min(census.scheduled, queued);
        figures.ready = queued - figures.scheduled;
    } else {
        figures.ready = Min(census.ready, queued);
        figures.scheduled = queued - figures.ready;
    }
    figures.exact = census.scheduled_complete || census.ready_complete;
}

QueueFigures figures_of_depths(int slot, const Depths &depths, int32 queue_id, TimestampTz now) {
    QueueFigures figures = {.running = depths[Depth::running],
                            .dead = depths[Depth::dead],
                            .exact = true,
                            .oldest_ready = no_time,
                            .slot = slot};
    if (depths[Depth::queued] == 0)
        return figures;
    Snapshot snapshot = register_newest_snapshot();
    Census census =
        take_census(queue_id, snapshot, now,
                    {.entries = split_entries_max, .queued_known = true, .dead_known = true});
    UnregisterSnapshot(snapshot);
    split_queued(figures, depths[Depth::queued], census);
    figures.oldest_ready = census.oldest_ready;
    return figures;
}

// What the transaction did itself counts for its own reader.
bool read_own_depths(int slot, Depths *depths) {
    settle_prepared_changes();
    if (!read_depths(statistics_slot(slot), depths))
        return false;
    DepthChange own = own_depth_change(slot);
    for (int i = 0; i < depth_count; i++)
        depths->jobs[i] = Max(depths->jobs[i] + own[i], 0);
    return true;
}

int slot_of_queue(int32 queue_id) {
    if (shared_statistics() == nullptr || RecoveryInProgress())
        return -1;
    return claim_slot(own_queue(relation_ids().live_jobs, queue_id));
}

bool known_depths(int32 queue_id, Depths *depths) {
    int slot = slot_of_queue(queue_id);
    return slot > overflow_slot && read_own_depths(slot, depths);
}

} // namespace

RowBudget new_row_budget() {
    return {shared_statistics() == nullptr ? uncounted_budget : count_budget};
}

QueueFigures figures_of_queue(int32 queue_id, TimestampTz now, RowBudget &budget) {
    int slot = slot_of_queue(queue_id);
    Depths depths;
    if (slot > overflow_slot && read_own_depths(slot, &depths))
        return figures_of_depths(slot, depths, queue_id, now);
    bool alone = shared_statistics() == nullptr;
    int64 entries_max =
        Max(Min(alone ? uncounted_entries_max : count_entries_max, budget.rows_left),
            count_entries_min);
    Census census = slot > overflow_slot ? count_for_depth(slot, queue_id, now, entries_max)
                                         : count_rows(queue_id, now, entries_max);
    budget.rows_left -= census.ready + census.scheduled + census.running + census.dead;
    return figures_of_census(census, slot);
}

bool known_queued(int32 queue_id, int64 *jobs) {
    Depths depths;
    if (!known_depths(queue_id, &depths))
        return false;
    *jobs = depths[Depth::queued];
    return true;
}

int64 running_jobs_max(int32 queue_id) {
    Depths depths;
    return known_depths(queue_id, &depths) ? depths[Depth::running] : PG_INT64_MAX;
}

bool count_jobs_of_queue(int32 queue_id, TimestampTz now) {
    int slot = slot_of_queue(queue_id);
    Depths depths;
    if (slot <= overflow_slot || read_own_depths(slot, &depths))
        return false;
    count_for_depth(slot, queue_id, now, PG_INT64_MAX);
    return true;
}

} // namespace faultline
