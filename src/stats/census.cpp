// Owns the walks over the indexes of a queue.
//
// In the index of order each priority begins with jobs that are due, running ones among them, and
// ends with those that are not.  The walk goes over the due ones priority by priority, then over
// the others.  The oldest ready job of a priority is the first one that is queued.
#include "census.hpp"

#include "../storage/columns.hpp"
#include "../storage/live_jobs.hpp"
#include "../storage/relations.hpp"
#include "../worker_state.hpp"

#include "../../core/limits.hpp"

namespace faultline {

namespace {

constexpr int key_count = 3; // queue, priority, next_run_at
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
    Relation table = table_open(relation_ids().live_jobs, AccessShareLock);
    return {.order = open_finder(table, relation_ids().live_jobs_order, snapshot, key_count),
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

// The first row of the queue with this priority or a later one, due after `due`.
void seek(Walk &walk, StrategyNumber strategy, int priority, TimestampTz due_after) {
    ScanKeyData keys[key_count];
    int32_key(&keys[0], 1, walk.queue_id);
    RegProcedure compare = strategy == BTEqualStrategyNumber     ? F_INT2EQ
                           : strategy == BTGreaterStrategyNumber ? F_INT2GT
                                                                 : F_INT2GE;
    ScanKeyInit(&keys[1], 2, strategy, compare, Int16GetDatum(static_cast<int16>(priority)));
    ScanKeyInit(&keys[2], 3, BTGreaterStrategyNumber, F_TIMESTAMPTZ_GT,
                TimestampTzGetDatum(due_after));
    start_search(walk.order, keys);
}

int priority_of(TupleTableSlot *row) {
    return DatumGetInt16(read_column(row, live_column::priority).value);
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
    seek(walk, BTGreaterEqualStrategyNumber, core::priority_min, DT_NOBEGIN);
    for (;;) {
        CHECK_FOR_INTERRUPTS();
        Step step = next_row_within(walk.order, &walk.entries_left);
        if (step != Step::row)
            return step == Step::end;
        TupleTableSlot *row = walk.order.slot;
        if (read_int64(row, live_column::next_run_at) > walk.now)
            seek(walk, BTGreaterStrategyNumber, priority_of(row), DT_NOBEGIN);
        else
            note_due(walk, row);
    }
}

// The first row of the next priority, wherever in it, tells which priority that is.
bool walk_scheduled(Walk &walk) {
    int priority = core::priority_min - 1;
    for (;;) {
        seek(walk, BTGreaterEqualStrategyNumber, priority + 1, DT_NOBEGIN);
        Step step = next_row_within(walk.order, &walk.entries_left);
        if (step != Step::row)
            return step == Step::end;
        priority = priority_of(walk.order.slot);
        seek(walk, BTEqualStrategyNumber, priority, walk.now);
        while ((step = next_row_within(walk.order, &walk.entries_left)) == Step::row) {
            CHECK_FOR_INTERRUPTS();
            note_waiting(walk, walk.order.slot);
        }
        if (step == Step::bound)
            return false;
        if (priority == core::priority_max)
            return true;
    }
}

// The first ready job of each priority.
void find_oldest(Walk &walk) {
    seek(walk, BTGreaterEqualStrategyNumber, core::priority_min, DT_NOBEGIN);
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
        seek(walk, BTGreaterStrategyNumber, priority_of(row), DT_NOBEGIN);
    }
}

void count_dead(Walk &walk, Snapshot snapshot, int64 entries_max) {
    Relation table = table_open(relation_ids().failed_jobs, AccessShareLock);
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
    seek(walk, BTGreaterEqualStrategyNumber, core::priority_min, DT_NOBEGIN);
    while (found < jobs_max && next_row_within(walk.order, &walk.entries_left) == Step::row) {
        CHECK_FOR_INTERRUPTS();
        TupleTableSlot *row = walk.order.slot;
        if (live_state(row) == core::JobState::running) {
            visit(row, argument);
            found++;
        } else if (read_int64(row, live_column::next_run_at) > walk.now) {
            seek(walk, BTGreaterStrategyNumber, priority_of(row), DT_NOBEGIN);
        }
    }
    end_walk(walk);
}

Census take_census(int32 queue_id, Snapshot snapshot, TimestampTz now, const CensusBounds &bounds) {
    Walk walk = begin_walk(queue_id, snapshot, now, bounds.entries);
    walk.census.oldest_ready = no_time;
    walk.census.scheduled_complete = walk_scheduled(walk);
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
