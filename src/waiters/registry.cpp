// Owns the line of waiting sessions, in shared memory, under one lock.  The lock is held for a walk
// over the line and the setting of latches, and never while anything else is waited for.
//
// Of those who wait for a queue one also keeps time: it looks at the rows when the next delayed job
// becomes due, and otherwise once in a while.  Who leaves the line while keeping time gets a
// successor.
#include "registry.hpp"

#include "../worker_state.hpp"

namespace faultline {

namespace {

struct Waiter {
    dlist_node link; // while in_line
    bool in_line;
    // When it looks by itself; no_time: others do.  Written under the lock, by anybody.
    pg_atomic_uint64 look_at;
    Oid database_id;
    int32 granted_queue; // a job arrived there for the waiter, which has left the line; 0: none
    int queue_count;
    int32 queue_ids[core::wait_queues_max];
};

struct Line {
    LWLock lock;
    pg_atomic_uint32 length;
    dlist_head waiters;                  // the longest waiting first
    Waiter slots[FLEXIBLE_ARRAY_MEMBER]; // of each process, in the order of ProcGlobal->allProcs
};

Line *line = nullptr;

constexpr TimestampTz look_now = PG_INT64_MIN;

// This session's part, as only it knows it.
bool waiting = false;      // in the line, or granted and not seen yet
int32 queue_to_claim = 0;  // it came out of the line for a job there, and has not claimed yet
bool exit_is_seen = false; // the callback is registered
TimestampTz lonely_look = no_time; // when it looks, without shared memory

Size shared_bytes() {
    return add_size(offsetof(Line, slots), mul_size(sizeof(Waiter), MaxBackends));
}

void attach_memory(void *memory, bool is_new) {
    line = static_cast<Line *>(memory);
    if (!is_new)
        return;
    init_shared_lock(&line->lock);
    pg_atomic_init_u32(&line->length, 0);
    dlist_init(&line->waiters);
    for (int i = 0; i < MaxBackends; i++) {
        line->slots[i] = {};
        pg_atomic_init_u64(&line->slots[i].look_at, static_cast<uint64>(no_time));
    }
}

Waiter &own_waiter() { return line->slots[MyProc - ProcGlobal->allProcs]; }

// Makes the waiter look at this time, or earlier if it meant to.
void make_look(Waiter &waiter, TimestampTz at) {
    if (read_time(&waiter.look_at) <= at)
        return;
    write_time(&waiter.look_at, at);
    SetLatch(&ProcGlobal->allProcs[&waiter - line->slots].procLatch);
}

bool waits_for(const Waiter &waiter, int32 queue_id) {
    if (waiter.database_id != MyDatabaseId)
        return false;
    for (int i = 0; i < waiter.queue_count; i++)
        if (waiter.queue_ids[i] == queue_id)
            return true;
    return false;
}

// The server's macros for lists are not C++.
Waiter &waiter_of(dlist_node *link) {
    return *reinterpret_cast<Waiter *>(reinterpret_cast<char *>(link) - offsetof(Waiter, link));
}

// The functions below need the lock.

// Calls visit(Waiter &), which may take the waiter out, until it returns false.
template <typename Visit> void walk_line(Visit visit) {
    dlist_node *end = &line->waiters.head;
    for (dlist_node *link = end->next, *next = link->next; link != end;
         link = next, next = link->next)
        if (!visit(waiter_of(link)))
            return;
}

bool somebody_looks_at(int32 queue_id, TimestampTz until) {
    bool found = false;
    walk_line([&](Waiter &waiter) {
        found = read_time(&waiter.look_at) <= until && waits_for(waiter, queue_id);
        return !found;
    });
    return found;
}

// If nobody looks at the queue by then, the newest waiter will: it is the last to be woken for a
// job.
void let_somebody_look(int32 queue_id, TimestampTz at) {
    if (somebody_looks_at(queue_id, at))
        return;
    dlist_node *end = &line->waiters.head;
    for (dlist_node *link = end->prev; link != end; link = link->prev)
        if (waits_for(waiter_of(link), queue_id)) {
            make_look(waiter_of(link), at);
            return;
        }
}

void step_out(Waiter &waiter) {
    dlist_delete(&waiter.link);
    waiter.in_line = false;
    pg_atomic_fetch_sub_u32(&line->length, 1);
    TimestampTz look_at = exchange_time(&waiter.look_at, no_time);
    for (int i = 0; i < waiter.queue_count && look_at != no_time; i++)
        let_somebody_look(waiter.queue_ids[i], look_at);
}

// Empty when there is nothing to lock for.  The barrier stands between the commit of the caller and
// the look at the line; enter_line() has one between entering it and looking at the rows.
bool line_is_empty() {
    if (line == nullptr)
        return true;
    pg_memory_barrier();
    return pg_atomic_read_u32(&line->length) == 0;
}

// Ends a wait and returns the queue of a wake-up that was not looked at.
int32 end_wait() {
    Waiter &own = own_waiter();
    LWLockAcquire(&line->lock, LW_EXCLUSIVE);
    if (own.in_line)
        step_out(own);
    int32 granted = own.granted_queue;
    own.granted_queue = 0;
    LWLockRelease(&line->lock);
    waiting = false;
    return granted;
}

void on_exit(int, Datum) {
    abandon_wait();
    hand_on_wakeup();
}

} // namespace

const SharedSegment waiters_segment = {
    .name = "faultline waiters", .bytes = shared_bytes, .attach = attach_memory};

bool waiters_share_memory() { return line != nullptr; }

void wake_waiters(int32 queue_id, int ready_count) {
    if (ready_count <= 0 || line_is_empty())
        return;
    LWLockAcquire(&line->lock, LW_EXCLUSIVE);
    walk_line([&](Waiter &waiter) {
        if (ready_count <= 0)
            return false;
        if (waits_for(waiter, queue_id)) {
            step_out(waiter);
            waiter.granted_queue = queue_id;
            make_look(waiter, look_now);
            ready_count--;
        }
        return true;
    });
    LWLockRelease(&line->lock);
}

void expect_job(int32 queue_id, TimestampTz due) {
    if (line_is_empty())
        return;
    LWLockAcquire(&line->lock, LW_EXCLUSIVE);
    let_somebody_look(queue_id, due);
    LWLockRelease(&line->lock);
}

void look_again_all() {
    if (line_is_empty())
        return;
    LWLockAcquire(&line->lock, LW_EXCLUSIVE);
    walk_line([&](Waiter &waiter) {
        if (waiter.database_id == MyDatabaseId)
            make_look(waiter, look_now);
        return true;
    });
    LWLockRelease(&line->lock);
}

bool enter_line(const int32 *queue_ids, int count) {
    if (line == nullptr)
        return false;
    if (!exit_is_seen) {
        before_shmem_exit(on_exit, 0);
        exit_is_seen = true;
    }
    Waiter &own = own_waiter();
    LWLockAcquire(&line->lock, LW_EXCLUSIVE);
    bool granted = own.granted_queue != 0;
    // Who was woken for nothing is still the one who has waited longest.
    if (!own.in_line) {
        if (granted)
            dlist_push_head(&line->waiters, &own.link);
        else
            dlist_push_tail(&line->waiters, &own.link);
        pg_atomic_fetch_add_u32(&line->length, 1);
    }
    own.in_line = waiting = true;
    own.database_id = MyDatabaseId;
    own.granted_queue = 0;
    own.queue_count = count;
    memcpy(own.queue_ids, queue_ids, sizeof(int32) * count);
    write_time(&own.look_at, no_time);
    LWLockRelease(&line->lock);
    return granted;
}

void plan_look(TimestampTz look_at) {
    if (line == nullptr) {
        lonely_look = look_at;
        return;
    }
    Waiter &own = own_waiter();
    bool others_look = true;
    LWLockAcquire(&line->lock, LW_EXCLUSIVE);
    // What was asked of it while it looked; perhaps that is not what it has seen.
    TimestampTz asked = exchange_time(&own.look_at, no_time);
    for (int i = 0; i < own.queue_count && others_look; i++)
        others_look = somebody_looks_at(own.queue_ids[i], look_at);
    write_time(&own.look_at, others_look ? asked : Min(asked, look_at));
    LWLockRelease(&line->lock);
}

TimestampTz planned_look() {
    return line == nullptr ? lonely_look : read_time(&own_waiter().look_at);
}

int waiters_in_line() {
    return line == nullptr ? 0 : static_cast<int>(pg_atomic_read_u32(&line->length));
}

void leave_line(int32 found_queue) {
    if (line == nullptr)
        return;
    int32 granted = end_wait();
    queue_to_claim = found_queue != 0 ? found_queue : granted;
    if (granted != 0 && granted != queue_to_claim)
        wake_waiters(granted, 1);
}

bool use_wakeup(int32 queue_id) {
    if (queue_to_claim != queue_id)
        return false;
    queue_to_claim = 0;
    return true;
}

void hand_on_wakeup() {
    if (queue_to_claim == 0)
        return;
    wake_waiters(queue_to_claim, 1);
    queue_to_claim = 0;
}

void abandon_wait() {
    if (!waiting)
        return;
    int32 granted = end_wait();
    if (granted != 0)
        wake_waiters(granted, 1);
}

} // namespace faultline
