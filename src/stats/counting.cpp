// Owns the counts of the current transaction: a list with one item per queue and subtransaction.
#include "counting.hpp"

#include "../clock.hpp"
#include "../storage/columns.hpp"
#include "../storage/relations.hpp"
#include "../storage/table.hpp"
#include "workers.hpp"

#include "../../core/limits.hpp"

namespace faultline {

namespace {

struct PendingLatency {
    uint32 buckets[core::latency_bucket_count];
    int64 sum_microseconds;
};

static_assert(core::latency_count <= 32);

struct Pending {
    Pending *next; // the items of inner subtransactions come first
    int level;     // of nested transactions
    int slot;
    SlotOwner owner;
    int worker; // position of its slot when the item is of a worker of the queue, else -1
    uint32 worker_generation;
    DepthMark depth_mark;
    DepthChange depth_change;
    bool dropped;          // the queue
    uint32 latencies_used; // a bit each
    bool seen;             // the worker, or one that asks the queue for jobs
    int64 events[core::job_event_count];
    PendingLatency latencies[core::latency_count];
};

// Both live in TopTransactionContext.
Pending *pending = nullptr;
Pending *spare = nullptr; // items of subtransactions that have ended

Pending *add_pending(const SlotOwner &owner, int worker, int level) {
    int slot = claim_slot(owner);
    Pending *item = spare;
    if (item != nullptr)
        spare = item->next;
    else
        item = static_cast<Pending *>(MemoryContextAlloc(TopTransactionContext, sizeof(Pending)));
    *item = {};
    item->next = pending;
    item->level = level;
    item->slot = slot;
    item->owner = owner;
    item->worker = worker;
    if (worker >= 0)
        item->worker_generation = worker_slot(worker)->generation;
    return pending = item;
}

Pending *find_or_add(const SlotOwner &owner, int worker) {
    int level = GetCurrentTransactionNestLevel();
    for (Pending *item = pending; item != nullptr && item->level == level; item = item->next)
        if (item->owner == owner && item->worker == worker)
            return item;
    return add_pending(owner, worker, level);
}

Pending *pending_of(int32 queue_id) {
    return find_or_add(own_queue(relation_ids().live_jobs, queue_id), -1);
}

Pending *pending_of_worker(int32 queue_id, const text *worker) {
    SlotOwner owner = own_queue(relation_ids().live_jobs, queue_id);
    return find_or_add(owner, claim_worker_slot(owner, worker));
}

void count_for_worker(TupleTableSlot *running_row, WorkerEvent event) {
    Pending *item = pending_of_worker(read_int32(running_row, live_column::queue_id),
                                      read_text(running_row, live_column::lease_owner));
    item->events[static_cast<size_t>(event)]++;
    item->seen = item->seen || event != WorkerEvent::lease_expired;
}

void add_event(Pending *item, core::JobEvent event, int64 number = 1) {
    item->events[static_cast<size_t>(event)] += number;
}

void add_depth(Pending *item, Depth depth, int64 number) {
    item->depth_change[static_cast<size_t>(depth)] += static_cast<int32>(number);
}

void add_latency(Pending *item, core::Latency latency, int64 microseconds) {
    PendingLatency &histogram = item->latencies[static_cast<size_t>(latency)];
    histogram.buckets[core::latency_bucket(microseconds)]++;
    // The clock may have been set back meanwhile.
    histogram.sum_microseconds += Max(microseconds, 0);
    item->latencies_used |= 1U << static_cast<uint32>(latency);
}

void merge(Pending *into, const Pending *from) {
    for (size_t i = 0; i < core::job_event_count; i++)
        into->events[i] += from->events[i];
    for (int i = 0; i < depth_count; i++)
        into->depth_change[i] += from->depth_change[i];
    for (size_t i = 0; i < core::latency_count; i++) {
        if ((from->latencies_used & 1U << i) == 0)
            continue;
        for (size_t bucket = 0; bucket < core::latency_bucket_count; bucket++)
            into->latencies[i].buckets[bucket] += from->latencies[i].buckets[bucket];
        into->latencies[i].sum_microseconds += from->latencies[i].sum_microseconds;
    }
    into->latencies_used |= from->latencies_used;
    into->dropped = into->dropped || from->dropped;
    into->seen = into->seen || from->seen;
}

// Takes the items of the level out of the list, each to be handed to take().
template <typename Take> void take_level(int level, Take take) {
    while (pending != nullptr && pending->level >= level) {
        Pending *item = pending;
        pending = item->next;
        take(item);
    }
}

void make_spare(Pending *item) {
    item->next = spare;
    spare = item;
}

// The parent has its items behind those of its child.
void give_to_parent(int level) {
    Pending *moved = nullptr;
    take_level(level, [&](Pending *item) {
        for (Pending *other = pending; other != nullptr && other->level >= level - 1;
             other = other->next)
            if (other->level == level - 1 && other->owner == item->owner &&
                other->worker == item->worker) {
                merge(other, item);
                make_spare(item);
                return;
            }
        item->level = level - 1;
        item->next = moved;
        moved = item;
    });
    while (moved != nullptr) {
        Pending *item = moved;
        moved = item->next;
        item->next = pending;
        pending = item;
    }
}

void on_subtransaction_event(SubXactEvent event, SubTransactionId, SubTransactionId, void *) {
    if (pending == nullptr)
        return;
    if (event == SUBXACT_EVENT_COMMIT_SUB)
        give_to_parent(GetCurrentTransactionNestLevel());
    else if (event == SUBXACT_EVENT_ABORT_SUB)
        take_level(GetCurrentTransactionNestLevel(), make_spare);
}

void add_recent(pg_atomic_uint64 *ring, uint32 minute, uint32 number) {
    pg_atomic_uint64 *word = &ring[minute % core::recent_minutes_kept];
    uint64 seen = pg_atomic_read_u64(word);
    for (;;) {
        uint64 before = seen >> 32 == minute ? seen & PG_UINT32_MAX : 0;
        if (pg_atomic_compare_exchange_u64(word, &seen,
                                           static_cast<uint64>(minute) << 32 | (before + number)))
            return;
    }
}

void flush_events(QueueSlot *slot, const Pending *item, TimestampTz now) {
    auto minute = static_cast<uint32>(now / core::microseconds_per_minute);
    for (size_t i = 0; i < core::job_event_count; i++) {
        if (item->events[i] == 0)
            continue;
        pg_atomic_fetch_add_u64(&slot->totals[i], item->events[i]);
        add_recent(slot->recent[i], minute, static_cast<uint32>(item->events[i]));
    }
    if (item->seen)
        pg_atomic_write_u64(&slot->asked_at, static_cast<uint64>(now));
}

void flush_latencies(QueueSlot *slot, const Pending *item) {
    for (size_t i = 0; i < core::latency_count; i++) {
        if ((item->latencies_used & 1U << i) == 0)
            continue;
        const PendingLatency &latency = item->latencies[i];
        for (size_t bucket = 0; bucket < core::latency_bucket_count; bucket++)
            if (latency.buckets[bucket] != 0)
                pg_atomic_fetch_add_u64(&slot->latencies[i].buckets[bucket],
                                        latency.buckets[bucket]);
        if (latency.sum_microseconds != 0)
            pg_atomic_fetch_add_u64(&slot->latencies[i].sum_microseconds, latency.sum_microseconds);
    }
}

void flush_worker(const Pending *item) {
    WorkerSlot *slot = worker_slot(item->worker);
    // Meanwhile it may have been given to another worker.
    if (slot->owner != item->owner || slot->generation != item->worker_generation)
        return;
    for (int i = 0; i < worker_event_count; i++)
        if (item->events[i] != 0)
            pg_atomic_fetch_add_u64(&slot->totals[i], item->events[i]);
    if (item->seen)
        pg_atomic_write_u64(&slot->seen_at,
                            static_cast<uint64>(GetCurrentTransactionStopTimestamp()));
}

// May neither raise nor allocate: the transaction has committed.
void flush(const Pending *item, bool prepared) {
    if (item->worker >= 0) {
        flush_worker(item);
        return;
    }
    QueueSlot *slot = statistics_slot(item->slot);
    // The slot was given back: an extension was dropped, and made again, under this transaction.
    if (item->slot != overflow_slot && slot->owner != item->owner)
        return;
    flush_events(slot, item, GetCurrentTransactionStopTimestamp());
    flush_latencies(slot, item);
    if (prepared)
        prepare_depth_change(item->slot, item->depth_change);
    else if (item->dropped && item->slot != overflow_slot)
        free_slot(item->slot);
    else
        change_depth(item->slot, item->depth_mark, item->depth_change);
}

void flush_all(bool prepared) {
    for (const Pending *item = pending; item != nullptr; item = item->next)
        flush(item, prepared);
}

void on_transaction_event(XactEvent event, void *) {
    switch (event) {
    case XACT_EVENT_PRE_COMMIT:
        for (Pending *item = pending; item != nullptr; item = item->next)
            item->depth_mark = mark_depth(statistics_slot(item->slot));
        break;
    case XACT_EVENT_COMMIT:
    case XACT_EVENT_PREPARE:
        flush_all(event == XACT_EVENT_PREPARE);
        pending = spare = nullptr;
        break;
    case XACT_EVENT_ABORT:
        pending = spare = nullptr;
        break;
    default:
        break;
    }
}

#ifdef FAULTLINE_UNCOUNTED // by bench/counting, which measures what counting costs
constexpr bool counting() { return false; }
#else
bool counting() { return shared_statistics() != nullptr; }
#endif

core::Latency latency_of(core::AttemptOutcome outcome, core::NextStep step) {
    if (step == core::NextStep::cancel)
        return core::Latency::run_cancelled;
    switch (outcome) {
    case core::AttemptOutcome::lease_expired:
        return core::Latency::run_lease_expired;
    case core::AttemptOutcome::released:
        return core::Latency::run_released;
    case core::AttemptOutcome::cancelled:
        return core::Latency::run_cancelled;
    case core::AttemptOutcome::failed:
        break;
    }
    return core::Latency::run_failed;
}

void leave_state(Pending *item, core::JobState from) {
    if (from == core::JobState::queued)
        add_depth(item, Depth::queued, -1);
    else if (from == core::JobState::running)
        add_depth(item, Depth::running, -1);
    else if (from == core::JobState::failed)
        add_depth(item, Depth::dead, -1);
}

} // namespace

void count_step(TupleTableSlot *live_row, std::optional<core::JobState> from, core::JobState to) {
    if (!counting())
        return;
    Pending *item = pending_of(read_int32(live_row, live_column::queue_id));
    if (from.has_value())
        leave_state(item, *from);
    switch (to) {
    case core::JobState::queued:
        add_depth(item, Depth::queued, 1);
        if (!from.has_value())
            add_event(item, core::JobEvent::enqueued);
        else if (*from == core::JobState::failed)
            add_event(item, core::JobEvent::redriven);
        break;
    case core::JobState::running:
        add_depth(item, Depth::running, 1);
        add_event(item, core::JobEvent::claimed);
        add_latency(item, core::Latency::wait,
                    read_int64(live_row, live_column::claimed_at) -
                        read_int64(live_row, live_column::next_run_at));
        count_for_worker(live_row, WorkerEvent::claimed);
        break;
    case core::JobState::succeeded:
        add_event(item, core::JobEvent::completed);
        break;
    case core::JobState::failed:
        add_depth(item, Depth::dead, 1);
        add_event(item, core::JobEvent::dead);
        break;
    case core::JobState::cancelled:
        add_event(item, core::JobEvent::cancelled);
        break;
    }
}

void count_success(TupleTableSlot *live_row, TimestampTz now) {
    if (!counting())
        return;
    add_latency(pending_of(read_int32(live_row, live_column::queue_id)),
                core::Latency::run_succeeded, now - read_int64(live_row, live_column::claimed_at));
    count_for_worker(live_row, WorkerEvent::completed);
}

void count_end_of_attempt(TupleTableSlot *live_row, core::AttemptOutcome outcome,
                          core::NextStep step, TimestampTz now) {
    if (!counting())
        return;
    Pending *item = pending_of(read_int32(live_row, live_column::queue_id));
    if (outcome == core::AttemptOutcome::lease_expired) {
        add_event(item, core::JobEvent::lease_expired);
        count_for_worker(live_row, WorkerEvent::lease_expired);
    } else if (outcome == core::AttemptOutcome::released) {
        add_event(item, core::JobEvent::released);
    } else if (outcome == core::AttemptOutcome::failed) {
        add_event(item, core::JobEvent::attempt_failed);
        count_for_worker(live_row, WorkerEvent::failed);
    }
    if (step == core::NextStep::retry && outcome != core::AttemptOutcome::released)
        add_event(item, core::JobEvent::retried);
    // A success is timed where the job is finished.
    if (step != core::NextStep::succeed)
        add_latency(item, latency_of(outcome, step),
                    now - read_int64(live_row, live_column::claimed_at));
}

void count_extension(TupleTableSlot *running_row) {
    if (counting())
        pending_of_worker(read_int32(running_row, live_column::queue_id),
                          read_text(running_row, live_column::lease_owner))
            ->seen = true;
}

void count_claim_call(int32 queue_id, const text *worker, int jobs_claimed, TimestampTz began) {
    if (!counting())
        return;
    Pending *item = pending_of(queue_id);
    item->seen = true;
    pending_of_worker(queue_id, worker)->seen = true;
    add_latency(item, core::Latency::claim, waiting_clock() - began);
    if (jobs_claimed == 0)
        add_event(item, core::JobEvent::claim_empty);
}

void count_events(int32 queue_id, core::JobEvent event, int64 number) {
    if (counting() && number > 0)
        add_event(pending_of(queue_id), event, number);
}

void count_purged(int32 queue_id, int64 number) {
    if (!counting() || number <= 0)
        return;
    Pending *item = pending_of(queue_id);
    add_event(item, core::JobEvent::purged, number);
    add_depth(item, Depth::dead, -number);
}

void count_dropped_queue(int32 queue_id) {
    if (counting())
        pending_of(queue_id)->dropped = true;
}

void count_refused_call(int32 queue_id, core::JobEvent refusal) {
    if (!counting())
        return;
    auto event = static_cast<size_t>(refusal);
    QueueSlot *slot = statistics_slot(claim_slot(own_queue(relation_ids().live_jobs, queue_id)));
    pg_atomic_fetch_add_u64(&slot->totals[event], 1);
    add_recent(slot->recent[event],
               static_cast<uint32>(waiting_clock() / core::microseconds_per_minute), 1);
}

DepthChange own_depth_change(int slot) {
    DepthChange sum = {};
    for (const Pending *item = pending; item != nullptr; item = item->next)
        for (int i = 0; item->worker < 0 && item->slot == slot && i < depth_count; i++)
            sum[i] += item->depth_change[i];
    return sum;
}

void register_statistics_callbacks() {
    RegisterXactCallback(on_transaction_event, nullptr);
    RegisterSubXactCallback(on_subtransaction_event, nullptr);
}

} // namespace faultline
