// Owns the probe for ready jobs: the walk that claim() takes, without claiming.
#include "look.hpp"

#include "../clock.hpp"
#include "../leases/lease_end.hpp"
#include "../storage/columns.hpp"
#include "../storage/order.hpp"
#include "../storage/relations.hpp"

namespace faultline {

namespace {

// Somebody is just claiming, or has prepared to: a claim would pass over the row.
bool in_other_hands(TupleTableSlot *row) {
    bool should_free;
    HeapTupleHeader header = ExecFetchSlotHeapTuple(row, false, &should_free)->t_data;
    if (header->t_infomask & HEAP_XMAX_INVALID)
        return false;
    TransactionId holder = HeapTupleHeaderGetRawXmax(header);
    if (header->t_infomask & HEAP_XMAX_IS_MULTI)
        return MultiXactIdIsRunning(holder, HEAP_XMAX_IS_LOCKED_ONLY(header->t_infomask));
    return TransactionIdIsInProgress(holder);
}

// A lease that has ended is, too: where nobody else does, claims end it.
bool worth_claiming(TupleTableSlot *row, TimestampTz now) {
    bool free = live_state(row) == core::JobState::queued || lease_expired(row, now);
    return free && !in_other_hands(row);
}

// Priority by priority: a row that is not due yet ends its priority.
void look_at_queue(ReadyLook &look, const QueuePolicy &queue, Finder &order, TimestampTz now,
                   int count_max) {
    seek_priority(order, queue.queue_id, core::priority_min);
    while (look.ready_count < count_max && next_row(order)) {
        CHECK_FOR_INTERRUPTS();
        int64 delay = read_int64(order.slot, live_column::next_run_at) - now;
        if (delay > 0) {
            look.microseconds_to_due = Min(look.microseconds_to_due, delay);
            seek_next_priority(order, queue.queue_id, priority_of(order.slot));
        } else if (worth_claiming(order.slot, now)) {
            look.queue_id = queue.queue_id;
            look.ready_count++;
        }
    }
}

} // namespace

ReadyLook look_for_jobs(const QueuePolicy *queues, int queue_count, int count_max) {
    ReadyLook look = {.queue_id = 0, .ready_count = 0, .microseconds_to_due = PG_INT64_MAX};
    TimestampTz now = clock_now();
    Relation live_jobs = open_relation(relation_ids().live_jobs, AccessShareLock);
    Snapshot snapshot = RegisterSnapshot(GetLatestSnapshot());
    Finder order = open_order(live_jobs, snapshot);
    for (int i = 0; i < queue_count && look.ready_count == 0; i++)
        if (!queues[i].paused)
            look_at_queue(look, queues[i], order, now, count_max);
    close_finder(order);
    UnregisterSnapshot(snapshot);
    table_close(live_jobs, AccessShareLock);
    return look;
}

} // namespace faultline
