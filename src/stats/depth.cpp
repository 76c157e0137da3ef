// Owns the depths of the queues and the protocol of counting them anew.
//
// QueueSlot.depth_state holds a generation and how far its count is; each depth holds the
// generation it belongs to, so that a change that comes late for one generation does not spoil the
// next.  Who changes a depth takes no lock, unless a count began while its transaction committed.
#include "depth.hpp"

namespace faultline {

namespace {

enum class CountState : uint64 {
    unknown,   // nobody has counted
    beginning, // the snapshot is being taken
    counting,  // changes are noted, rows are still being looked at
    known,
};
constexpr int state_bits = 2;

uint64 depth_state(uint64 generation, CountState state) {
    return generation << state_bits | static_cast<uint64>(state);
}
uint64 generation_of(uint64 depth_state) { return depth_state >> state_bits; }
CountState count_state_of(uint64 depth_state) {
    return static_cast<CountState>(depth_state & ((1 << state_bits) - 1));
}

// A depth: the low bits of its generation above a signed number.
constexpr int number_bits = 48;
constexpr uint64 number_mask = (uint64{1} << number_bits) - 1;

uint64 depth_word(uint64 generation, int64 number) {
    return generation << number_bits | (static_cast<uint64>(number) & number_mask);
}
int64 number_of(uint64 word) {
    return static_cast<int64>(word << (64 - number_bits)) >> (64 - number_bits);
}
bool is_of_generation(uint64 word, uint64 generation) {
    return word >> number_bits == (generation & (PG_UINT64_MAX >> number_bits));
}

// Nothing happens when the depth belongs to another generation by now.
void add_to_depth(pg_atomic_uint64 *depth, uint64 generation, int64 number) {
    uint64 seen = pg_atomic_read_u64(depth);
    while (is_of_generation(seen, generation) &&
           !pg_atomic_compare_exchange_u64(depth, &seen,
                                           depth_word(generation, number_of(seen) + number))) {
    }
}

void add_change(QueueSlot *slot, uint64 generation, const DepthChange &change) {
    for (int i = 0; i < depth_count; i++)
        if (change[i] != 0)
            add_to_depth(&slot->depths[i], generation, change[i]);
}

void forget_state(QueueSlot *slot, uint64 state) {
    pg_atomic_compare_exchange_u64(&slot->depth_state, &state,
                                   depth_state(generation_of(state), CountState::unknown));
}

// Needs the lock.
bool snapshot_misses(TransactionId transaction_id) {
    const CountSnapshot &count = shared_statistics()->count;
    if (TransactionIdPrecedes(transaction_id, count.xmin))
        return false;
    if (TransactionIdFollowsOrEquals(transaction_id, count.xmax))
        return true;
    for (int i = 0; i < count.running_count; i++)
        if (count_running()[i] == transaction_id)
            return true;
    return false;
}

bool is_snapshot_of(int slot, uint64 generation) {
    const CountSnapshot &count = shared_statistics()->count;
    return count.slot == slot && count.generation == generation;
}

// A count began while this transaction committed: its snapshot tells whether it saw our rows.
void change_depth_during_count(int slot_number, const DepthChange &change) {
    Statistics *statistics = shared_statistics();
    QueueSlot *slot = statistics_slot(slot_number);
    LWLockAcquire(&statistics->lock, LW_SHARED);
    uint64 state = pg_atomic_read_u64(&slot->depth_state);
    if (!is_snapshot_of(slot_number, generation_of(state)))
        forget_state(slot, state);
    else if (snapshot_misses(GetTopTransactionIdIfAny()))
        add_change(slot, generation_of(state), change);
    LWLockRelease(&statistics->lock);
}

void drop_prepared_change(int position) {
    Statistics *statistics = shared_statistics();
    prepared_changes()[position] = prepared_changes()[--statistics->prepared_count];
}

// What the snapshot sees of prepared transactions is in the count.  Needs the lock.
void drop_counted_changes(int slot) {
    for (int i = shared_statistics()->prepared_count - 1; i >= 0; i--) {
        const PreparedChange &prepared = prepared_changes()[i];
        if (prepared.slot == slot && !snapshot_misses(prepared.transaction_id))
            drop_prepared_change(i);
    }
}

// Needs the lock.  False when there are too many transactions.
bool publish_snapshot(const DepthCount &count, bool *undecided) {
    Statistics *statistics = shared_statistics();
    Snapshot snapshot = count.snapshot;
    TransactionId own = GetTopTransactionIdIfAny();
    statistics->count.slot = -1;
    if (static_cast<int>(snapshot->xcnt) + 1 > statistics->running_max)
        return false;
    int running = 0;
    for (uint32 i = 0; i < snapshot->xcnt; i++) {
        count_running()[running++] = snapshot->xip[i];
        *undecided =
            *undecided || TransactionIdPrecedes(snapshot->xip[i], statistics->first_transaction_id);
    }
    // The snapshot does not name the transaction that took it.
    if (TransactionIdIsValid(own))
        count_running()[running++] = own;
    statistics->count = {.slot = count.slot,
                         .generation = count.generation,
                         .xmin = snapshot->xmin,
                         .xmax = snapshot->xmax,
                         .running_count = running};
    if (TransactionIdIsValid(own) && TransactionIdPrecedes(own, snapshot->xmin))
        statistics->count.xmin = own;
    return true;
}

} // namespace

DepthMark mark_depth(QueueSlot *slot) { return {pg_atomic_read_u64(&slot->depth_state)}; }

void change_depth(int slot_number, const DepthMark &mark, const DepthChange &change) {
    if (slot_number == overflow_slot || change == DepthChange{})
        return;
    QueueSlot *slot = statistics_slot(slot_number);
    uint64 state = pg_atomic_read_u64(&slot->depth_state);
    if (count_state_of(state) == CountState::unknown)
        return;
    bool no_count_began = generation_of(state) == generation_of(mark.state) &&
                          count_state_of(mark.state) >= CountState::counting;
    if (no_count_began)
        add_change(slot, generation_of(state), change);
    else
        change_depth_during_count(slot_number, change);
}

void prepare_depth_change(int slot, const DepthChange &change) {
    Statistics *statistics = shared_statistics();
    if (slot == overflow_slot || change == DepthChange{})
        return;
    LWLockAcquire(&statistics->lock, LW_EXCLUSIVE);
    if (statistics->prepared_count < statistics->prepared_max)
        prepared_changes()[statistics->prepared_count++] = {
            .transaction_id = GetTopTransactionIdIfAny(), .slot = slot, .change = change};
    else
        forget_depths(statistics_slot(slot));
    LWLockRelease(&statistics->lock);
}

bool read_depths(QueueSlot *slot, Depths *depths) {
    uint64 state = pg_atomic_read_u64(&slot->depth_state);
    if (count_state_of(state) != CountState::known)
        return false;
    for (int i = 0; i < depth_count; i++) {
        uint64 word = pg_atomic_read_u64(&slot->depths[i]);
        if (!is_of_generation(word, generation_of(state)))
            return false;
        // What commits adds to one depth before it takes from another may be seen halfway.
        depths->jobs[i] = Max(number_of(word), 0);
    }
    return true;
}

void forget_depths(QueueSlot *slot) { forget_state(slot, pg_atomic_read_u64(&slot->depth_state)); }

void settle_prepared_changes() {
    Statistics *statistics = shared_statistics();
    if (statistics->prepared_count == 0)
        return;
    LWLockAcquire(&statistics->lock, LW_EXCLUSIVE);
    for (int i = statistics->prepared_count - 1; i >= 0; i--) {
        PreparedChange prepared = prepared_changes()[i];
        // In this order: a transaction leaves the running ones after its fate is written.
        if (TransactionIdIsInProgress(prepared.transaction_id))
            continue;
        QueueSlot *slot = statistics_slot(prepared.slot);
        if (TransactionIdDidCommit(prepared.transaction_id))
            add_change(slot, generation_of(pg_atomic_read_u64(&slot->depth_state)),
                       prepared.change);
        drop_prepared_change(i);
    }
    LWLockRelease(&statistics->lock);
}

DepthCount begin_count(int slot_number) {
    Statistics *statistics = shared_statistics();
    QueueSlot *slot = statistics_slot(slot_number);
    LWLockAcquire(&statistics->lock, LW_EXCLUSIVE);
    DepthCount count = {.slot = slot_number,
                        .generation = generation_of(pg_atomic_read_u64(&slot->depth_state)) + 1,
                        .snapshot = nullptr,
                        .undecided = false};
    pg_atomic_write_u64(&slot->depth_state, depth_state(count.generation, CountState::beginning));
    for (pg_atomic_uint64 &depth : slot->depths)
        pg_atomic_write_u64(&depth, depth_word(count.generation, 0));
    // Whoever reads the state before his commit reads the new one, or commits before the snapshot.
    pg_memory_barrier();
    count.snapshot = RegisterSnapshot(GetLatestSnapshot());
    if (publish_snapshot(count, &count.undecided)) {
        drop_counted_changes(slot_number);
        pg_atomic_write_u64(&slot->depth_state,
                            depth_state(count.generation, CountState::counting));
    } else {
        count.undecided = true;
    }
    LWLockRelease(&statistics->lock);
    return count;
}

void end_count(const DepthCount &count, const Depths &found, const DepthChange &own_change,
               bool complete) {
    QueueSlot *slot = statistics_slot(count.slot);
    for (int i = 0; i < depth_count; i++)
        add_to_depth(&slot->depths[i], count.generation, found.jobs[i] - own_change[i]);
    uint64 counting = depth_state(count.generation, CountState::counting);
    bool known = complete && !count.undecided;
    pg_atomic_compare_exchange_u64(
        &slot->depth_state, &counting,
        depth_state(count.generation, known ? CountState::known : CountState::unknown));
}

} // namespace faultline
