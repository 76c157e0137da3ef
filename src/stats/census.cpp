// Owns the walks over the indexes of a queue.
//
// In the index of order each priority begins with jobs that are due, running ones among them, and
// ends with those that are not.  The walk goes over the due ones priority by priority, then over
// the others.  The oldest ready job of a priority is the first one that is queued.
#include "census.hpp"

#include "../storage/columns.hpp"
#include "../storage/order.hpp"
#include "../storage/relations.hpp"
#include "../worker_state.hpp"

#include "../../core/limits.hpp"

namespace faultline {

namespace {

constexpr int times_key_count = 3; // queue, priority, next_run_at
// To find the oldest ready job, past running ones and what vacuum has not removed yet.
constexpr int64 oldest_entries_max = 10'000;

struct Walk {
    Finder order;
    int32 queue_id;
    TimestampTz now;
    Census census;
    int64 entries_left;
};

Walk begin_walk(int32 queue_id, Snapshot snapshot, TimestampTz now, int64 entries_max) {
    Relation table = open_relation(relation_ids().live_jobs, AccessShareLock);
    return {.order = open_order(table, snapshot),
            .queue_id = queue_id,
            .now = now,
            .census = {},
            .entries_left = entries_max};
}

void end_walk(Walk &walk) {
    Relation table = walk.order.table;
    close_finder(walk.order);
    table_close(table, AccessShareLock);
}

// The rows of this priority alone that are due later.
void seek_scheduled(Finder &times, const Walk &walk, int16 priority) {
    ScanKeyData keys[times_key_count];
    int32_key(&keys[0], 1, walk.queue_id);
    ScanKeyInit(&keys[1], 2, BTEqualStrategyNumber, F_INT2EQ, Int16GetDatum(priority));
    ScanKeyInit(&keys[2], 3, BTGreaterStrategyNumber, F_TIMESTAMPTZ_GT,
                TimestampTzGetDatum(walk.now));
    start_search(times, keys);
}

void note_due(Walk &walk, TupleTableSlot *row) {
    if (live_state(row) == core::JobState::running) {
        walk.census.running++;
        return;
    }
    walk.census.ready++;
    walk.census.oldest_ready =
        Min(walk.census.oldest_ready, read_int64(row, live_column::next_run_at));
}

void note_waiting(Walk &walk, TupleTableSlot *row) {
    if (live_state(row) == core::JobState::running)
        walk.census.running++;
    else
        walk.census.scheduled++;
}

// The due jobs of all priorities.  True when it came to the end.
bool walk_due(Walk &walk) {
    seek_priority(walk.order, walk.queue_id, core::priority_min);
    for (;;) {
        CHECK_FOR_INTERRUPTS();
        Step step = next_row_within(walk.order, &walk.entries_left);
        if (step != Step::row)
            return step == Step::end;
        TupleTableSlot *row = walk.order.slot;
        if (read_int64(row, live_column::next_run_at) > walk.now)
            seek_next_priority(walk.order, walk.queue_id, priority_of(row));
        else
            note_due(walk, row);
    }
}

// The first row of the next priority, wherever in it, tells which priority that is.
bool walk_scheduled(Walk &walk, Finder &times) {
    seek_priority(walk.order, walk.queue_id, core::priority_min);
    for (;;) {
        Step step = next_row_within(walk.order, &walk.entries_left);
        if (step != Step::row)
            return step == Step::end;
        int16 priority = priority_of(walk.order.slot);
        seek_scheduled(times, walk, priority);
        while ((step = next_row_within(times, &walk.entries_left)) == Step::row) {
            CHECK_FOR_INTERRUPTS();
            note_waiting(walk, times.slot);
        }
        if (step == Step::bound)
            return false;
        if (priority == core::priority_max)
            return true;
        seek_next_priority(walk.order, walk.queue_id, priority);
    }
}

// The first ready job of each priority.
void find_oldest(Walk &walk) {
    seek_priority(walk.order, walk.queue_id, core::priority_min);
    Step step;
    while ((step = next_row_within(walk.order, &walk.entries_left)) == Step::row) {
        CHECK_FOR_INTERRUPTS();
        TupleTableSlot *row = walk.order.slot;
        TimestampTz due = read_int64(row, live_column::next_run_at);
        if (due <= walk.now && live_state(row) == core::JobState::running)
            continue;
        if (due <= walk.now)
            walk.census.oldest_ready = Min(walk.census.oldest_ready, due);
        if (priority_of(row) == core::priority_max)
            break;
        seek_next_priority(walk.order, walk.queue_id, priority_of(row));
    }
}

void count_dead(Walk &walk, Snapshot snapshot, int64 entries_max) {
    Relation table = open_relation(relation_ids().failed_jobs, AccessShareLock);
    Finder by_queue = open_finder(table, relation_ids().failed_jobs_queue, snapshot, 1);
    ScanKeyData key;
    int32_key(&key, 1, walk.queue_id);
    start_search(by_queue, &key);
    int64 entries_left = entries_max;
    Step step;
    while ((step = next_row_within(by_queue, &entries_left)) == Step::row) {
        CHECK_FOR_INTERRUPTS();
        walk.census.dead++;
    }
    walk.census.dead_complete = step == Step::end;
    close_finder(by_queue);
    table_close(table, AccessShareLock);
}

// Past waiting jobs that stand before them.
constexpr int64 running_entries_max = 100'000;

} // namespace

void visit_running(int32 queue_id, Snapshot snapshot, TimestampTz now, int64 jobs_max,
                   VisitRow visit, void *argument) {
    Walk walk = begin_walk(queue_id, snapshot, now, running_entries_max);
    int64 found = 0;
    seek_priority(walk.order, walk.queue_id, core::priority_min);
    while (found < jobs_max && next_row_within(walk.order, &walk.entries_left) == Step::row) {
        CHECK_FOR_INTERRUPTS();
        TupleTableSlot *row = walk.order.slot;
        if (live_state(row) == core::JobState::running) {
            visit(row, argument);
            found++;
        } else if (read_int64(row, live_column::next_run_at) > walk.now) {
            seek_next_priority(walk.order, walk.queue_id, priority_of(row));
        }
    }
    end_walk(walk);
}

int64 count_queued(int32 queue_id, Snapshot snapshot, int64 enough, int64 *entries_left) {
    Walk walk = begin_walk(queue_id, snapshot, 0, 0);
    seek_priority(walk.order, queue_id, core::priority_min);
    int64 queued = 0;
    while (queued < enough && next_row_within(walk.order, entries_left) == Step::row) {
        CHECK_FOR_INTERRUPTS();
        queued += live_state(walk.order.slot) == core::JobState::queued;
    }
    end_walk(walk);
    return queued;
}

Census take_census(int32 queue_id, Snapshot snapshot, TimestampTz now, const CensusBounds &bounds) {
    Walk walk = begin_walk(queue_id, snapshot, now, bounds.entries);
    walk.census.oldest_ready = no_time;
    Finder times =
        open_finder(walk.order.table, relation_ids().live_jobs_order, snapshot, times_key_count);
    walk.census.scheduled_complete = walk_scheduled(walk, times);
    close_finder(times);
    if (!bounds.queued_known || !walk.census.scheduled_complete) {
        walk.entries_left = bounds.entries;
        walk.census.ready_complete = walk_due(walk);
    }
    if (!walk.census.ready_complete) {
        walk.entries_left = oldest_entries_max;
        find_oldest(walk);
    }
    end_walk(walk);
    if (!bounds.dead_known)
        count_dead(walk, snapshot, bounds.entries);
    return walk.census;
}

} // namespace faultline
