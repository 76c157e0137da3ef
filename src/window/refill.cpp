// Owns the index scans that feed the ready windows.  Holds no lock of theirs while it reads.
#include "refill.hpp"

#include "../clock.hpp"
#include "../debug_point.hpp"
#include "../leases/lease_end.hpp"
#include "../storage/order.hpp"
#include "../storage/relations.hpp"
#include "../worker_state.hpp"
#include "hint_of_row.hpp"
#include "pending.hpp"

#include "../../core/lease.hpp"
#include "../../core/limits.hpp"

namespace faultline {

namespace {

constexpr uint32 hints_initial = 64;
constexpr uint32 told_at_once = 512;
// A look at so few rows may be taken by every claim, while there is an ended lease to be settled.
constexpr int rows_looked_at_always = 128;

// Hints in memory of the current context, up to a bound.
struct Collected {
    core::HintList list;
    uint32 room;
};

void collect(Collected &collected, const core::ReadyHint &hint) {
    if (collected.list.count == collected.room) {
        collected.room = Max(collected.room * 2, hints_initial);
        Size bytes = sizeof(core::ReadyHint) * collected.room;
        collected.list.hints = static_cast<core::ReadyHint *>(
            collected.list.hints == nullptr ? palloc(bytes)
                                            : repalloc(collected.list.hints, bytes));
    }
    collected.list.hints[collected.list.count++] = hint;
}

// What a look found, told by and by.
struct Told {
    core::ReadyHint hints[told_at_once];
    uint32 count;
    int64 unknown; // to the window, of those told
};

void tell_window(Told &told, const QueueRows &rows, const core::ReadyHint &hint) {
    told.hints[told.count++] = hint;
    if (told.count < told_at_once)
        return;
    told.unknown += add_hints(rows, told.hints, told.count, true);
    told.count = 0;
}

bool waits(TupleTableSlot *row) { return live_state(row) == core::JobState::queued; }

// The jobs of a queue in their order.
struct OrderWalk {
    Finder by_priority;   // goes on with the priorities that follow
    Finder by_place;      // stays in one priority
    ScanKeyData place[2]; // next_run_at and job_id of by_place
    Finder *finder;       // the one that is used
    int32 queue_id;
};

TupleTableSlot *row_of(const OrderWalk &walk) { return walk.finder->slot; }

// By a dirty snapshot: the row is not committed, and its session tells the window when it ends or
// prepares its transaction.  Until then all claims would have to pass it.
bool will_be_told(const OrderWalk &walk) {
    TransactionId inserter = walk.finder->scan->xs_snapshot->xmin;
    return TransactionIdIsValid(inserter) &&
           BackendXidGetPid(SubTransGetTopmostTransaction(inserter)) != 0;
}

// The first row of the priority or, unless `itself`, of the one after it.
bool enter_priority(OrderWalk &walk, bool itself, int16 priority) {
    walk.finder = &walk.by_priority;
    (itself ? seek_priority : seek_next_priority)(walk.by_priority, walk.queue_id, priority);
    return next_row(walk.by_priority);
}

// The first row of the priority that is not before the time and job.
bool enter_place(OrderWalk &walk, int16 priority, TimestampTz time, int64 job_id) {
    ScanKeyData keys[3];
    int32_key(&keys[0], 1, walk.queue_id);
    ScanKeyInit(&keys[1], 2, BTEqualStrategyNumber, F_INT2EQ, Int16GetDatum(priority));
    row_from_key(&keys[2], walk.place, 3, {F_TIMESTAMPTZ_CMP, TimestampTzGetDatum(time)},
                 {F_BTINT8CMP, Int64GetDatum(job_id)});
    walk.finder = &walk.by_place;
    start_search(walk.by_place, keys);
    return next_row(walk.by_place);
}

bool next_in_turn(OrderWalk &walk) {
    int16 priority = priority_of(row_of(walk));
    if (next_row(*walk.finder))
        return true;
    return walk.finder == &walk.by_place && enter_priority(walk, false, priority);
}

// Calls visit(row) for the jobs of the queue whose time has come, in turn, from `from` on, until it
// returns false.
template <typename Visit>
void walk_due(OrderWalk &walk, core::HintPlace from, TimestampTz now, Visit visit) {
    bool from_start = from == core::before_all_hints;
    auto first = static_cast<int16>(from_start ? core::priority_min : from.major);
    bool found = from_start ? enter_priority(walk, true, first)
                            : enter_place(walk, first, from.minor, from.job_id) ||
                                  enter_priority(walk, false, first);
    while (found) {
        CHECK_FOR_INTERRUPTS();
        bool due = read_int64(row_of(walk), live_column::next_run_at) <= now;
        if (due && !visit(row_of(walk)))
            return;
        found = due ? next_in_turn(walk) : enter_priority(walk, false, priority_of(row_of(walk)));
    }
}

OrderWalk open_walk(const QueueRows &rows, Relation live_jobs, Snapshot snapshot) {
    return {.by_priority = open_order(live_jobs, snapshot),
            .by_place = open_finder(live_jobs, relation_ids().live_jobs_order, snapshot, 3),
            .place = {},
            .finder = nullptr,
            .queue_id = rows.queue_id};
}

void close_walk(OrderWalk &walk) {
    close_finder(walk.by_place);
    close_finder(walk.by_priority);
}

// Due jobs beyond the end of the window.
void collect_ready(OrderWalk &walk, const RefillStart &start, TimestampTz now,
                   core::Refill *found) {
    Collected ready = {};
    core::HintPlace end = core::after_all_hints;
    walk_due(walk, start.ready_from, now, [&](TupleTableSlot *row) {
        if (!waits(row) || will_be_told(walk))
            return true;
        core::ReadyHint hint = hint_of_row(row);
        if (ready.list.count >= start.ready_max) {
            end = core::place_in_turn(hint);
            return false;
        }
        collect(ready, hint);
        return true;
    });
    found->ready = ready.list;
    found->ready_end = end;
}

// Jobs of one priority that become due from `from` on; those that have become due meanwhile are
// ready.  `end` falls to the first place that was not looked at.
void collect_times(OrderWalk &walk, int16 priority, core::HintPlace from, uint32 rows_max,
                   TimestampTz now, Collected &ready, Collected &scheduled, core::HintPlace *end) {
    // Places at the very time come in the order of priorities.
    TimestampTz time = priority < from.minor ? from.major + 1 : from.major;
    int64 job_id = priority == from.minor ? from.job_id : 0;
    uint32 rows_read = 0;
    for (bool found = enter_place(walk, priority, time, job_id); found;
         found = next_row(walk.by_place)) {
        CHECK_FOR_INTERRUPTS();
        core::ReadyHint hint = hint_of_row(row_of(walk));
        if (rows_read++ >= rows_max || core::place_in_time(hint) >= *end) {
            *end = core::earlier(*end, core::place_in_time(hint));
            return;
        }
        if (waits(row_of(walk)) && !will_be_told(walk))
            collect(hint.next_run_at <= now ? ready : scheduled, hint);
    }
}

void collect_scheduled(OrderWalk &walk, const RefillStart &start, TimestampTz now,
                       core::Refill *found) {
    // A window that knows nothing finds what is due by its turn.
    core::HintPlace from = start.scheduled_from == core::before_all_hints
                               ? core::time_before_all_at(now + 1)
                               : start.scheduled_from;
    Collected ready = {.list = found->ready, .room = found->ready.count};
    Collected scheduled = {};
    core::HintPlace end = core::after_all_hints;
    int16 priority = core::priority_min;
    for (bool any = enter_priority(walk, true, priority); any;
         any = enter_priority(walk, false, priority)) {
        priority = priority_of(row_of(walk));
        collect_times(walk, priority, from, start.scheduled_max, now, ready, scheduled, &end);
    }
    found->ready = ready.list;
    found->scheduled = scheduled.list;
    found->scheduled_end = end;
}

} // namespace

bool refill_window(WindowSlot *slot, const QueueRows &rows, Relation live_jobs, TimestampTz now) {
    RefillStart start;
    if (!begin_refill(slot, rows, now, &start))
        return false;
    now = start.due_until;
    remember_refill(start);
    debug_point(DebugPoint::refill_before_snapshot);
    // As each row is when the walk comes by, with those that a prepared transaction made: whoever
    // commits it tells nobody.
    SnapshotData newest;
    InitDirtySnapshot(newest);
    OrderWalk walk = open_walk(rows, live_jobs, &newest);
    core::Refill found = {.ready = {},
                          .ready_end = start.ready_from,
                          .scheduled = {},
                          .scheduled_end = start.scheduled_from};
    if (start.ready_from != core::after_all_hints)
        collect_ready(walk, start, now, &found);
    if (start.scheduled_from != core::after_all_hints)
        collect_scheduled(walk, start, now, &found);
    close_walk(walk);
    debug_point(DebugPoint::refill_before_merge);
    end_refill(start, &found);
    finish_own_refill();
    return true;
}

int64 look_at_window(WindowSlot *slot, const QueueRows &rows, Relation live_jobs, TimestampTz now,
                     void (*met_running)(TupleTableSlot *row, void *context), void *context) {
    core::HintPlace end;
    remember_look(rows);
    if (!begin_look(slot, rows, now, &end))
        return 0;
    LookResult look = {
        .began_at = waiting_clock(), .ended_at = 0, .next_lease_end = no_time, .met_ended = false};
    Told told = {};
    int ended = 0;
    int rows_seen = 0;
    Snapshot snapshot = RegisterSnapshot(GetLatestSnapshot());
    OrderWalk walk = open_walk(rows, live_jobs, snapshot);
    walk_due(walk, core::before_all_hints, now, [&](TupleTableSlot *row) {
        core::ReadyHint hint = hint_of_row(row);
        if (core::place_in_turn(hint) >= end)
            return false;
        rows_seen++;
        if (waits(row)) {
            tell_window(told, rows, hint);
        } else {
            TimestampTz ends_at = lease_end(row, now);
            if (core::lease_has_ended(ends_at, now))
                ended++;
            else
                look.next_lease_end = Min(look.next_lease_end, ends_at);
            met_running(row, context);
        }
        return true;
    });
    told.unknown += add_hints(rows, told.hints, told.count, true);
    close_walk(walk);
    UnregisterSnapshot(snapshot);
    look.met_ended = ended > 0;
    // The next claim goes on with more than this one may settle.
    if (ended > core::claim_takeovers_max || (ended > 0 && rows_seen <= rows_looked_at_always))
        look.next_lease_end = 0;
    look.ended_at = waiting_clock();
    end_look(slot, rows, look);
    return told.unknown;
}

} // namespace faultline
