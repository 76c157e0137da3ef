// Owns what the current transaction of this backend has in hand for the ready windows; no lock.
#include "pending.hpp"

#include "../transaction_list.hpp"
#include "../waiters/arrivals.hpp"
#include "hint_of_row.hpp"

namespace faultline {

namespace {

enum class HintKind : uint8 {
    none,       // settled
    made_ready, // to be told at commit
    made_scheduled,
    taken,         // to be given back at abort
    dropped_queue, // only the queue counts
    looked,        // the same
    refilled,      // the same
};

struct PendingHint {
    core::ReadyHint hint;
    QueueRows rows;
    SubTransactionId made_in;
    HintKind kind;
};

// Of one transaction.  Beyond, the windows of the database start over when it ends.
constexpr int pending_max = 65'536;
constexpr int told_at_once = 512;

TransactionList<PendingHint> pending;
bool pending_too_many = false;

bool refill_open = false;
RefillStart refill;
SubTransactionId refill_made_in;

void forget_all() {
    pending = {};
    pending_too_many = false;
    refill_open = false;
}

// Makes room for so many more; false when the transaction has too many in hand.
bool make_room(int count) {
    if (pending_too_many || pending.count + count > pending_max) {
        pending_too_many = true;
        return false;
    }
    reserve(pending, count);
    return true;
}

void add_pending(const core::ReadyHint &hint, const QueueRows &rows, HintKind kind) {
    add(pending, {hint, rows, GetCurrentSubTransactionId(), kind});
}

// Tells the windows of those of this kind from `first` on, and settles them.
void tell(HintKind kind, bool due, int first) {
    core::ReadyHint hints[told_at_once];
    for (int i = first; i < pending.count;) {
        if (pending.items[i].kind != kind) {
            i++;
            continue;
        }
        QueueRows rows = pending.items[i].rows;
        uint32 count = 0;
        int later = pending.count; // the first one of another queue
        for (; i < pending.count && count < told_at_once; i++) {
            if (pending.items[i].kind != kind)
                continue;
            if (pending.items[i].rows.queue_id != rows.queue_id ||
                pending.items[i].rows.file != rows.file) {
                later = Min(later, i);
                continue;
            }
            hints[count++] = pending.items[i].hint;
            pending.items[i].kind = HintKind::none;
        }
        add_hints(rows, hints, count, due);
        i = Min(i, later);
    }
}

// What the transaction saw of the rows does not count.
void undo_looks(int first) {
    for (int i = first; i < pending.count; i++) {
        if (pending.items[i].kind == HintKind::looked)
            demand_look(pending.items[i].rows);
        if (pending.items[i].kind == HintKind::refilled)
            forget_window(pending.items[i].rows.queue_id);
    }
}

void end_own_refill() {
    if (refill_open)
        abandon_refill(refill);
    refill_open = false;
}

} // namespace

void note_waiting_job(Relation live_jobs, TupleTableSlot *row, TimestampTz now) {
    int64 delay = read_int64(row, live_column::next_run_at) - now;
    note_arrival(read_int32(row, live_column::queue_id), delay);
    if (!windows_exist() || !make_room(1))
        return;
    add_pending(hint_of_row(row), {read_int32(row, live_column::queue_id), file_number(live_jobs)},
                delay <= 0 ? HintKind::made_ready : HintKind::made_scheduled);
}

bool has_waiting_jobs(int32 queue_id) {
    if (pending_too_many)
        return true;
    for (int i = 0; i < pending.count; i++)
        if (pending.items[i].rows.queue_id == queue_id &&
            (pending.items[i].kind == HintKind::made_ready ||
             pending.items[i].kind == HintKind::made_scheduled))
            return true;
    return false;
}

void note_dropped_queue(int32 queue_id) {
    if (windows_exist() && make_room(1))
        add_pending({}, {queue_id, {}}, HintKind::dropped_queue);
}

bool take_and_remember(WindowSlot *slot, const QueueRows &rows, TimestampTz now,
                       core::ReadyHint *hints, uint32 wanted, TakenHints *taken, int *first) {
    if (!make_room(static_cast<int>(wanted)))
        return false;
    *first = pending.count;
    if (!take_hints(slot, rows, now, hints, wanted, taken))
        return false;
    for (uint32 i = 0; i < taken->count; i++)
        add_pending(hints[i], rows, HintKind::taken);
    return true;
}

void give_back_taken(int position, bool due) {
    add_hints(pending.items[position].rows, &pending.items[position].hint, 1, due);
    pending.items[position].kind = HintKind::none;
}

void remember_refill(const RefillStart &start) {
    refill = start;
    refill_made_in = GetCurrentSubTransactionId();
    refill_open = true;
}

void finish_own_refill() {
    refill_open = false;
    if (make_room(1))
        add_pending({}, refill.rows, HintKind::refilled);
}

void remember_look(const QueueRows &rows) {
    if (make_room(1))
        add_pending({}, rows, HintKind::looked);
}

// Whoever commits a prepared transaction has no memory of it.  So its jobs are told when it is
// prepared; claims find that they are not there yet, and give the hints back.
void pending_hints_on_commit_or_prepare() {
    if (pending_too_many)
        forget_windows_of_database();
    tell(HintKind::made_ready, true, 0);
    tell(HintKind::made_scheduled, false, 0);
    for (int i = 0; i < pending.count; i++)
        if (pending.items[i].kind == HintKind::dropped_queue)
            release_window(pending.items[i].rows.queue_id);
    forget_all();
}

void pending_hints_on_abort() {
    end_own_refill();
    if (pending_too_many)
        forget_windows_of_database();
    tell(HintKind::taken, true, 0);
    undo_looks(0);
    forget_all();
}

void pending_hints_on_subcommit(SubTransactionId ended, SubTransactionId parent) {
    for (int i = pending.count; i > 0 && pending.items[i - 1].made_in >= ended; i--)
        pending.items[i - 1].made_in = parent;
    if (refill_open && refill_made_in >= ended)
        refill_made_in = parent;
}

void pending_hints_on_subabort(SubTransactionId ended) {
    if (refill_open && refill_made_in >= ended)
        end_own_refill();
    int first = pending.count;
    while (first > 0 && pending.items[first - 1].made_in >= ended)
        first--;
    tell(HintKind::taken, true, first);
    undo_looks(first);
    pending.count = first;
}

} // namespace faultline
