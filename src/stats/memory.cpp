// Owns the slots of the queues: who has which.  Under the lock of Statistics.
#include "memory.hpp"

#include "../clock.hpp"
#include "../settings.hpp"
#include "../storage/relations.hpp"
#include "file.hpp"
#include "workers.hpp"

#include "../../core/limits.hpp"
#include "../../core/retry_budget.hpp"

namespace faultline {

namespace {

constexpr int prepared_changes_per_transaction = 4;
constexpr int prepared_changes_min = 16;
constexpr int64 full_pause_microseconds = 10 * core::microseconds_per_second;

Statistics *shared = nullptr;

// Where each array begins; the last one is the end.
struct Layout {
    Size slots;
    Size prepared;
    Size running;
    Size end;
};

int slot_count() { return settings::queues_max + 1; } // and the overflow slot

int running_max() { return MaxBackends + max_prepared_xacts; }

int prepared_max() {
    return prepared_changes_min + max_prepared_xacts * prepared_changes_per_transaction;
}

Layout layout(int slots, int prepared, int running) {
    Layout at;
    at.slots = CACHELINEALIGN(sizeof(Statistics));
    at.prepared = add_size(at.slots, mul_size(sizeof(QueueSlot), slots));
    at.running = add_size(at.prepared, mul_size(sizeof(PreparedChange), prepared));
    at.end = add_size(at.running, mul_size(sizeof(TransactionId), running));
    return at;
}

// The arrays of this process's `shared`, found once: a commit asks for them many times.
QueueSlot *slots = nullptr;
PreparedChange *prepared = nullptr;
TransactionId *running = nullptr;

template <typename Element> Element *array_at(Size offset) {
    return reinterpret_cast<Element *>(reinterpret_cast<char *>(shared) + offset);
}

void find_arrays() {
    Layout at = layout(shared->slot_count, shared->prepared_max, shared->running_max);
    slots = array_at<QueueSlot>(at.slots);
    prepared = array_at<PreparedChange>(at.prepared);
    running = array_at<TransactionId>(at.running);
}

Size segment_bytes() { return layout(slot_count(), prepared_max(), running_max()).end; }

// What a reset sets to zero.
template <typename Visit> void visit_counters(QueueSlot *slot, Visit visit) {
    for (size_t event = 0; event < core::job_event_count; event++) {
        visit(&slot->totals[event]);
        for (pg_atomic_uint64 &minute : slot->recent[event])
            visit(&minute);
    }
    for (HistogramSlot &histogram : slot->latencies) {
        for (pg_atomic_uint64 &bucket : histogram.buckets)
            visit(&bucket);
        visit(&histogram.sum_microseconds);
    }
}

void init_atomics(QueueSlot *slot) {
    slot->owner = {};
    pg_atomic_init_u64(&slot->depth_state, 0);
    for (pg_atomic_uint64 &depth : slot->depths)
        pg_atomic_init_u64(&depth, 0);
    pg_atomic_init_u64(&slot->reset_at, 0);
    pg_atomic_init_u64(&slot->asked_at, 0);
    pg_atomic_init_u64(&slot->retry_tokens, core::retry_tokens_at_start);
    visit_counters(slot, [](pg_atomic_uint64 *counter) { pg_atomic_init_u64(counter, 0); });
}

void attach_segment(void *memory, bool is_new) {
    shared = static_cast<Statistics *>(memory);
    if (!is_new) {
        find_arrays();
        return;
    }
    init_shared_lock(&shared->lock);
    init_statistics();
    if (!IsUnderPostmaster) {
        load_statistics();
        on_shmem_exit(save_statistics, 0);
    }
}

int take_free_slot(const SlotOwner &owner) {
    for (int i = overflow_slot + 1; i < shared->slot_count; i++) {
        QueueSlot *slot = statistics_slot(i);
        if (OidIsValid(slot->owner.database_id))
            continue;
        init_atomics(slot);
        reset_slot(slot, waiting_clock());
        slot->owner.queue_id = owner.queue_id;
        slot->owner.live_jobs = owner.live_jobs;
        // Others search without the lock.
        pg_write_barrier();
        slot->owner.database_id = owner.database_id;
        return i;
    }
    return overflow_slot;
}

void note_first_transaction() {
    LWLockAcquire(&shared->lock, LW_EXCLUSIVE);
    if (!TransactionIdIsValid(shared->first_transaction_id))
        shared->first_transaction_id = ReadNextTransactionId();
    LWLockRelease(&shared->lock);
}

int take_slot(const SlotOwner &owner) {
    LWLockAcquire(&shared->lock, LW_EXCLUSIVE);
    int slot = find_slot(owner);
    if (slot < 0)
        slot = take_free_slot(owner);
    LWLockRelease(&shared->lock);
    return slot;
}

void free_locked(int slot) {
    free_worker_slots(statistics_slot(slot)->owner);
    statistics_slot(slot)->owner.database_id = InvalidOid;
    PreparedChange *changes = prepared_changes();
    int kept = 0;
    for (int i = 0; i < shared->prepared_count; i++)
        if (changes[i].slot != slot)
            changes[kept++] = changes[i];
    shared->prepared_count = kept;
}

bool is_lost(const SlotOwner &owner) {
    if (!OidIsValid(owner.database_id))
        return false;
    if (owner.database_id == MyDatabaseId)
        return owner.live_jobs != relation_ids().live_jobs;
    return !SearchSysCacheExists1(DATABASEOID, ObjectIdGetDatum(owner.database_id));
}

} // namespace

const SharedSegment statistics_segment = {
    .name = "faultline statistics", .bytes = segment_bytes, .attach = attach_segment};

void init_statistics() {
    shared->slot_count = slot_count();
    pg_atomic_init_u32(&shared->overflowed, 0);
    shared->first_transaction_id = InvalidTransactionId;
    shared->prepared_count = 0;
    shared->prepared_max = prepared_max();
    shared->running_max = running_max();
    shared->count = {.slot = -1};
    find_arrays();
    for (int i = 0; i < shared->slot_count; i++)
        init_atomics(statistics_slot(i));
    reset_slot(statistics_slot(overflow_slot), waiting_clock());
}

Statistics *shared_statistics() { return shared; }

QueueSlot *statistics_slot(int slot) { return slots + slot; }

PreparedChange *prepared_changes() { return prepared; }

TransactionId *count_running() { return running; }

int find_slot(const SlotOwner &owner) {
    // Those who work use few queues, those who look use all of them.
    static int found_last[1024];
    int &cached = found_last[static_cast<uint32>(owner.queue_id) % lengthof(found_last)];
    if (statistics_slot(cached)->owner == owner)
        return cached;
    for (int i = overflow_slot + 1; i < shared->slot_count; i++)
        if (statistics_slot(i)->owner == owner)
            return cached = i;
    return -1;
}

int claim_slot(const SlotOwner &owner) {
    if (!TransactionIdIsValid(shared->first_transaction_id))
        note_first_transaction();
    int slot = find_slot(owner);
    if (slot >= 0)
        return slot;
    // Looking for lost ones reads the catalogs, so not in every transaction of a server that is
    // full.
    static TimestampTz full_until = 0;
    if (waiting_clock() < full_until)
        return overflow_slot;
    slot = take_slot(owner);
    if (slot != overflow_slot)
        return slot;
    free_lost_slots();
    slot = take_slot(owner);
    if (slot == overflow_slot) {
        pg_atomic_write_u32(&shared->overflowed, 1);
        full_until = waiting_clock() + full_pause_microseconds;
    }
    return slot;
}

void free_slot(int slot) {
    LWLockAcquire(&shared->lock, LW_EXCLUSIVE);
    free_locked(slot);
    LWLockRelease(&shared->lock);
}

void free_lost_slots() {
    for (int i = overflow_slot + 1; i < shared->slot_count; i++) {
        SlotOwner owner = statistics_slot(i)->owner;
        if (!is_lost(owner))
            continue;
        LWLockAcquire(&shared->lock, LW_EXCLUSIVE);
        if (statistics_slot(i)->owner == owner)
            free_locked(i);
        LWLockRelease(&shared->lock);
    }
}

void reset_slot(QueueSlot *slot, TimestampTz at) {
    pg_atomic_write_u64(&slot->reset_at, static_cast<uint64>(at));
    visit_counters(slot, [](pg_atomic_uint64 *counter) { pg_atomic_write_u64(counter, 0); });
}

} // namespace faultline
