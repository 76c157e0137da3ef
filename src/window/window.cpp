// Owns the ready windows.  Locks: `directory->lock` for which window belongs to which queue; the
// lock of a window for what is in it.  The directory's lock comes first; none is held across
// anything that reads a table, waits or raises.
#include "window.hpp"

#include "../clock.hpp"
#include "../settings.hpp"
#include "../worker_state.hpp"

#include "../../core/window_look.hpp"

namespace faultline {

struct WindowSlot {
    LWLock lock;
    // Whose window it is: written under both locks, read under either.
    Oid database_id; // InvalidOid: nobody's
    QueueRows rows;
    // The rest under the window's lock.
    TimestampTz used_at; // real time
    core::WindowLook look;
    core::ReadyWindow window;
};
static_assert(std::is_standard_layout_v<WindowSlot>);

namespace {

// A window that was not used for so long may be given to another queue.
constexpr int64 idle_microseconds_max = 60 * core::microseconds_per_second;

struct Directory {
    LWLock lock;
    int slot_count;
    uint32 ready_slots; // hints of a window; powers of two
    uint32 scheduled_slots;
    WindowSlot slots[FLEXIBLE_ARRAY_MEMBER]; // the hints of all windows follow
};

Directory *directory = nullptr;

// A quarter as many scheduled jobs as ready ones: they are looked up again when they become few.
uint32 ready_slots_wanted() { return pg_nextpower2_32(settings::ready_window); }
uint32 scheduled_slots_of(uint32 ready_slots) { return ready_slots / 4; }

Size hints_offset(int slot_count) {
    return MAXALIGN(add_size(offsetof(Directory, slots), mul_size(sizeof(WindowSlot), slot_count)));
}

Size window_bytes() {
    Size hints = ready_slots_wanted() + scheduled_slots_of(ready_slots_wanted());
    return add_size(hints_offset(settings::queues_max),
                    mul_size(settings::queues_max, mul_size(hints, sizeof(core::ReadyHint))));
}

void attach_memory(void *memory, bool is_new) {
    directory = static_cast<Directory *>(memory);
    if (!is_new)
        return;
    memset(memory, 0, window_bytes());
    init_shared_lock(&directory->lock);
    directory->slot_count = settings::queues_max;
    directory->ready_slots = ready_slots_wanted();
    directory->scheduled_slots = scheduled_slots_of(directory->ready_slots);
    for (int i = 0; i < directory->slot_count; i++) {
        init_shared_lock(&directory->slots[i].lock);
        core::start_over(directory->slots[i].window, directory->ready_slots,
                         directory->scheduled_slots);
    }
}

core::WindowMemory memory_of(WindowSlot *slot) {
    auto *hints = reinterpret_cast<core::ReadyHint *>(reinterpret_cast<char *>(directory) +
                                                      hints_offset(directory->slot_count));
    Size per_window = directory->ready_slots + directory->scheduled_slots;
    core::ReadyHint *first = hints + per_window * (slot - directory->slots);
    return {.ready = first, .scheduled = first + directory->ready_slots};
}

void restart(WindowSlot *slot) {
    core::start_over(slot->window, directory->ready_slots, directory->scheduled_slots);
}

bool is_of_queue(const WindowSlot &slot, int32 queue_id) {
    return slot.database_id == MyDatabaseId && slot.rows.queue_id == queue_id;
}

// Needs the directory's lock.
WindowSlot *slot_of_queue(int32 queue_id) {
    for (int i = 0; i < directory->slot_count; i++)
        if (is_of_queue(directory->slots[i], queue_id))
            return &directory->slots[i];
    return nullptr;
}

// The window that a session used last is likely to be the next.
WindowSlot *last_used = nullptr;

// Locks the window of the queue; null, with nothing locked, when it has none.
WindowSlot *lock_window_of(int32 queue_id) {
    if (!windows_exist())
        return nullptr;
    if (last_used != nullptr) {
        LWLockAcquire(&last_used->lock, LW_EXCLUSIVE);
        if (is_of_queue(*last_used, queue_id))
            return last_used;
        LWLockRelease(&last_used->lock);
    }
    LWLockAcquire(&directory->lock, LW_SHARED);
    WindowSlot *slot = slot_of_queue(queue_id);
    if (slot != nullptr) {
        LWLockAcquire(&slot->lock, LW_EXCLUSIVE);
        last_used = slot;
    }
    LWLockRelease(&directory->lock);
    return slot;
}

// Locks the window if it is still the queue's, and makes it start over if the table has another
// file now.
bool lock_window(WindowSlot *slot, const QueueRows &rows) {
    LWLockAcquire(&slot->lock, LW_EXCLUSIVE);
    if (!is_of_queue(*slot, rows.queue_id)) {
        LWLockRelease(&slot->lock);
        return false;
    }
    if (slot->rows.file != rows.file) {
        slot->rows = rows;
        restart(slot);
    }
    return true;
}

// Needs the directory's lock, exclusively.
WindowSlot *free_slot(TimestampTz now) {
    WindowSlot *oldest = nullptr;
    for (int i = 0; i < directory->slot_count; i++) {
        WindowSlot &slot = directory->slots[i];
        if (!OidIsValid(slot.database_id))
            return &slot;
        if (oldest == nullptr || slot.used_at < oldest->used_at)
            oldest = &slot;
    }
    return oldest != nullptr && now - oldest->used_at > idle_microseconds_max ? oldest : nullptr;
}

WindowSlot *take_slot(const QueueRows &rows) {
    TimestampTz now = waiting_clock();
    LWLockAcquire(&directory->lock, LW_EXCLUSIVE);
    WindowSlot *slot = slot_of_queue(rows.queue_id);
    if (slot == nullptr && (slot = free_slot(now)) != nullptr) {
        LWLockAcquire(&slot->lock, LW_EXCLUSIVE);
        slot->database_id = MyDatabaseId;
        slot->rows = rows;
        slot->used_at = now;
        slot->look = {};
        restart(slot);
        LWLockRelease(&slot->lock);
    }
    LWLockRelease(&directory->lock);
    return slot;
}

template <core::PlaceOf place_of> int compare_places(const void *left, const void *right) {
    auto order = place_of(*static_cast<const core::ReadyHint *>(left)) <=>
                 place_of(*static_cast<const core::ReadyHint *>(right));
    return order < 0 ? -1 : order > 0;
}

void sort_hints(core::HintList list, bool due) {
    qsort(list.hints, list.count, sizeof(core::ReadyHint),
          due ? compare_places<core::place_in_turn> : compare_places<core::place_in_time>);
}

} // namespace

const SharedSegment window_segment = {
    .name = "faultline ready windows", .bytes = window_bytes, .attach = attach_memory};

bool windows_exist() { return directory != nullptr; }

WindowSlot *window_for_claims(const QueueRows &rows) {
    if (!windows_exist())
        return nullptr;
    if (last_used != nullptr && is_of_queue(*last_used, rows.queue_id))
        return last_used; // take_hints() looks again under the lock
    LWLockAcquire(&directory->lock, LW_SHARED);
    WindowSlot *slot = slot_of_queue(rows.queue_id);
    LWLockRelease(&directory->lock);
    if (slot == nullptr)
        slot = take_slot(rows);
    last_used = slot;
    return slot;
}

bool take_hints(WindowSlot *slot, const QueueRows &rows, TimestampTz now, core::ReadyHint *hints,
                uint32 wanted, TakenHints *taken) {
    if (!lock_window(slot, rows))
        return false;
    core::ReadyWindow &window = slot->window;
    slot->used_at = waiting_clock();
    taken->count = core::take_ready(window, memory_of(slot), now, hints, wanted);
    taken->complete = core::ready_is_complete(window) && !window.refilling &&
                      !core::schedule_is_behind(window, now);
    taken->refill_wanted = core::refill_is_wanted(window, now);
    LWLockRelease(&slot->lock);
    return true;
}

uint32 add_hints(const QueueRows &rows, core::ReadyHint *hints, uint32 count, bool due) {
    core::HintList list = {hints, count};
    sort_hints(list, due);
    WindowSlot *slot = count == 0 ? nullptr : lock_window_of(rows.queue_id);
    if (slot == nullptr)
        return 0;
    uint32 known = slot->window.ready.count() + slot->window.scheduled.count();
    if (slot->rows.file != rows.file) {
        // Either the window or the caller speaks of a file that is no more.
        restart(slot);
    } else if (due) {
        core::add_ready(slot->window, memory_of(slot), list);
    } else {
        core::add_scheduled(slot->window, memory_of(slot), list);
    }
    uint32 known_now = slot->window.ready.count() + slot->window.scheduled.count();
    LWLockRelease(&slot->lock);
    return known_now > known ? known_now - known : 0;
}

void release_window(int32 queue_id) {
    if (!windows_exist())
        return;
    LWLockAcquire(&directory->lock, LW_EXCLUSIVE);
    WindowSlot *slot = slot_of_queue(queue_id);
    if (slot != nullptr) {
        LWLockAcquire(&slot->lock, LW_EXCLUSIVE);
        slot->database_id = InvalidOid;
        restart(slot);
        LWLockRelease(&slot->lock);
    }
    LWLockRelease(&directory->lock);
}

void forget_window(int32 queue_id) {
    WindowSlot *slot = lock_window_of(queue_id);
    if (slot == nullptr)
        return;
    restart(slot);
    LWLockRelease(&slot->lock);
}

void forget_windows_of_database() {
    for (int i = 0; i < window_count(); i++) {
        WindowSlot *slot = &directory->slots[i];
        LWLockAcquire(&slot->lock, LW_EXCLUSIVE);
        if (slot->database_id == MyDatabaseId)
            restart(slot);
        LWLockRelease(&slot->lock);
    }
}

bool begin_refill(WindowSlot *slot, const QueueRows &rows, TimestampTz now, RefillStart *start) {
    if (!lock_window(slot, rows))
        return false;
    core::ReadyWindow &window = slot->window;
    bool mine = !window.refilling;
    if (mine) {
        core::begin_refill(window, now);
        *start = {.slot = slot,
                  .rows = rows,
                  .epoch = window.epoch,
                  .ready_from = window.ready_before,
                  .scheduled_from = window.scheduled_before,
                  .due_until = window.due_until,
                  .ready_max = window.ready.slots() / 4,
                  .scheduled_max = window.scheduled.slots()};
    }
    LWLockRelease(&slot->lock);
    return mine;
}

namespace {

// False, with nothing locked, when the window has started over since.
bool lock_for_refill(const RefillStart &start) {
    LWLockAcquire(&start.slot->lock, LW_EXCLUSIVE);
    if (start.slot->window.epoch == start.epoch && start.slot->window.refilling)
        return true;
    LWLockRelease(&start.slot->lock);
    return false;
}

} // namespace

void end_refill(const RefillStart &start, core::Refill *found) {
    sort_hints(found->ready, true);
    sort_hints(found->scheduled, false);
    if (!lock_for_refill(start))
        return;
    core::end_refill(start.slot->window, memory_of(start.slot), *found);
    LWLockRelease(&start.slot->lock);
}

void abandon_refill(const RefillStart &start) {
    if (!lock_for_refill(start))
        return;
    core::abandon_refill(start.slot->window, memory_of(start.slot));
    LWLockRelease(&start.slot->lock);
}

bool look_is_due(WindowSlot *slot, const QueueRows &rows, TimestampTz now,
                 int64 rest_microseconds) {
    if (!lock_window(slot, rows))
        return false;
    bool due = core::look_is_due(slot->look, now, waiting_clock(), rest_microseconds);
    LWLockRelease(&slot->lock);
    return due;
}

bool begin_look(WindowSlot *slot, const QueueRows &rows, TimestampTz now,
                core::HintPlace *ready_before) {
    if (!lock_window(slot, rows))
        return false;
    *ready_before = slot->window.ready_before;
    slot->look.looked_until = now;
    slot->look.lease_end = no_time; // what is granted from now on may be missed by the look
    LWLockRelease(&slot->lock);
    return true;
}

void end_look(WindowSlot *slot, const QueueRows &rows, const LookResult &look) {
    if (!lock_window(slot, rows))
        return;
    slot->look.ended_at = look.ended_at;
    slot->look.microseconds = look.ended_at - look.began_at;
    slot->look.met_ended = look.met_ended;
    slot->look.lease_end = Min(slot->look.lease_end, look.next_lease_end);
    LWLockRelease(&slot->lock);
}

void note_lease_end(WindowSlot *slot, const QueueRows &rows, TimestampTz lease_end) {
    if (!lock_window(slot, rows))
        return;
    slot->look.lease_end = Min(slot->look.lease_end, lease_end);
    LWLockRelease(&slot->lock);
}

void demand_look(const QueueRows &rows) {
    WindowSlot *slot = lock_window_of(rows.queue_id);
    if (slot == nullptr)
        return;
    slot->look.lease_end = 0;
    LWLockRelease(&slot->lock);
}

int window_count() { return windows_exist() ? directory->slot_count : 0; }

bool report_window(int number, WindowReport *report) {
    WindowSlot *slot = &directory->slots[number];
    LWLockAcquire(&slot->lock, LW_SHARED);
    const core::ReadyWindow &window = slot->window;
    *report = {.database_id = slot->database_id,
               .queue_id = slot->rows.queue_id,
               .ready = window.ready.count(),
               .ready_slots = window.ready.slots(),
               .scheduled = window.scheduled.count(),
               .scheduled_slots = window.scheduled.slots(),
               .ready_complete = core::ready_is_complete(window),
               .schedule_complete = window.scheduled_before == core::after_all_hints,
               .epoch = window.epoch};
    LWLockRelease(&slot->lock);
    return OidIsValid(report->database_id);
}

void drop_hints(const QueueRows &rows) {
    WindowSlot *slot = lock_window_of(rows.queue_id);
    if (slot == nullptr)
        return;
    slot->window.ready.clear(directory->ready_slots);
    slot->window.scheduled.clear(directory->scheduled_slots);
    LWLockRelease(&slot->lock);
}

WindowSlot *window_of_database(int number, QueueRows *rows) {
    WindowSlot *slot = &directory->slots[number];
    LWLockAcquire(&slot->lock, LW_SHARED);
    *rows = slot->rows;
    bool is_own = slot->database_id == MyDatabaseId;
    LWLockRelease(&slot->lock);
    return is_own ? slot : nullptr;
}

} // namespace faultline
