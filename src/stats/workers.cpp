// Owns the slots of workers: a table that is searched from the front, as sessions remember theirs.
#include "workers.hpp"

#include "../clock.hpp"

namespace faultline {

namespace {

WorkerSlot *slots = nullptr;

Size segment_bytes() { return sizeof(WorkerSlot) * worker_slots_max; }

void attach_segment(void *memory, bool is_new) {
    slots = static_cast<WorkerSlot *>(memory);
    for (int i = 0; is_new && i < worker_slots_max; i++) {
        slots[i] = {};
        pg_atomic_init_u64(&slots[i].seen_at, 0);
        for (pg_atomic_uint64 &total : slots[i].totals)
            pg_atomic_init_u64(&total, 0);
    }
}

bool is_worker(const WorkerSlot &slot, const SlotOwner &owner, const char *name) {
    return slot.owner == owner && strcmp(slot.name, name) == 0;
}

int find_worker(const SlotOwner &owner, const char *name) {
    static int found_last = 0;
    if (is_worker(slots[found_last], owner, name))
        return found_last;
    for (int i = 0; i < worker_slots_max; i++)
        if (is_worker(slots[i], owner, name))
            return found_last = i;
    return -1;
}

// A free one, or the one that was not seen for longest.
int slot_to_take() {
    int oldest = 0;
    for (int i = 0; i < worker_slots_max; i++) {
        if (!OidIsValid(slots[i].owner.database_id))
            return i;
        if (pg_atomic_read_u64(&slots[i].seen_at) < pg_atomic_read_u64(&slots[oldest].seen_at))
            oldest = i;
    }
    return oldest;
}

void take(WorkerSlot *slot, const SlotOwner &owner, const char *name) {
    slot->owner.database_id = InvalidOid;
    pg_write_barrier();
    slot->generation++;
    strlcpy(slot->name, name, sizeof(slot->name));
    pg_atomic_write_u64(&slot->seen_at, static_cast<uint64>(waiting_clock()));
    for (pg_atomic_uint64 &total : slot->totals)
        pg_atomic_write_u64(&total, 0);
    slot->owner.queue_id = owner.queue_id;
    slot->owner.live_jobs = owner.live_jobs;
    pg_write_barrier();
    slot->owner.database_id = owner.database_id;
}

} // namespace

const SharedSegment workers_segment = {
    .name = "faultline workers by name", .bytes = segment_bytes, .attach = attach_segment};

WorkerSlot *worker_slot(int position) { return &slots[position]; }

int claim_worker_slot(const SlotOwner &owner, const text *name) {
    char wanted[core::worker_bytes_max + 1];
    text_to_cstring_buffer(name, wanted, sizeof(wanted));
    int found = find_worker(owner, wanted);
    if (found >= 0)
        return found;
    LWLockAcquire(&shared_statistics()->lock, LW_EXCLUSIVE);
    found = find_worker(owner, wanted);
    if (found < 0) {
        found = slot_to_take();
        take(&slots[found], owner, wanted);
    }
    LWLockRelease(&shared_statistics()->lock);
    return found;
}

void free_worker_slots(const SlotOwner &owner) {
    for (int i = 0; i < worker_slots_max; i++)
        if (slots[i].owner == owner)
            slots[i].owner.database_id = InvalidOid;
}

} // namespace faultline
