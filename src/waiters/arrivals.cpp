// Owns the backend's count, by queue and level of subtransaction, of jobs that become ready when
// its transaction commits, and of those that become ready again when it rolls back.
#include "arrivals.hpp"

#include "../clock.hpp"
#include "../transaction_list.hpp"
#include "../worker_state.hpp"
#include "registry.hpp"

namespace faultline {

namespace {

struct Arrival {
    int32 queue_id;
    int nest_level;
    int ready;       // queued, and due
    int taken;       // claimed
    TimestampTz due; // the earliest of those that are queued for later, in real time
};

TransactionList<Arrival> arrivals;
bool policy_changed = false;
bool policy_change_told = false; // committed, and to be told

Arrival *find_arrival(int32 queue_id, int nest_level) {
    for (int i = 0; i < arrivals.count; i++)
        if (arrivals.items[i].queue_id == queue_id && arrivals.items[i].nest_level == nest_level)
            return &arrivals.items[i];
    return nullptr;
}

Arrival &arrival_of(int32 queue_id) {
    int nest_level = GetCurrentTransactionNestLevel();
    if (Arrival *found = find_arrival(queue_id, nest_level))
        return *found;
    return add(arrivals, {.queue_id = queue_id, .nest_level = nest_level, .due = no_time});
}

void remove_arrival(int position) { arrivals.items[position] = arrivals.items[--arrivals.count]; }

// The last that is heard of a transaction.  The messages that outdate caches of policy have been
// sent by now, which they have not when the callbacks of its commit are called.
void on_release(ResourceReleasePhase phase, bool is_commit, bool is_top_level, void *) {
    if (phase != RESOURCE_RELEASE_AFTER_LOCKS || !is_top_level || !policy_change_told)
        return;
    policy_change_told = false;
    if (is_commit)
        look_again_all();
}

} // namespace

void note_arrival(int32 queue_id, int64 delay_microseconds) {
    if (!waiters_share_memory())
        return;
    Arrival &arrival = arrival_of(queue_id);
    if (delay_microseconds <= 0)
        arrival.ready++;
    else
        arrival.due = Min(arrival.due, waiting_clock() + delay_microseconds);
}

void note_claim(int32 queue_id) {
    if (waiters_share_memory())
        arrival_of(queue_id).taken++;
}

void note_policy_change() { policy_changed = true; }

void register_arrival_callbacks() { RegisterResourceReleaseCallback(on_release, nullptr); }

void tell_arrivals() {
    for (int i = 0; i < arrivals.count; i++) {
        if (arrivals.items[i].ready > 0)
            wake_waiters(arrivals.items[i].queue_id, arrivals.items[i].ready);
        if (arrivals.items[i].due != no_time)
            expect_job(arrivals.items[i].queue_id, arrivals.items[i].due);
    }
    policy_change_told = policy_changed;
}

void give_back_arrivals() {
    for (int i = 0; i < arrivals.count; i++)
        if (arrivals.items[i].taken > 0)
            wake_waiters(arrivals.items[i].queue_id, arrivals.items[i].taken);
}

void end_arrivals() {
    arrivals = {};
    policy_changed = false;
}

void keep_subtransaction() {
    int nest_level = GetCurrentTransactionNestLevel();
    for (int i = arrivals.count - 1; i >= 0; i--) {
        if (arrivals.items[i].nest_level < nest_level)
            continue;
        Arrival &kept = arrivals.items[i];
        Arrival *above = find_arrival(kept.queue_id, nest_level - 1);
        if (above == nullptr) {
            kept.nest_level = nest_level - 1;
            continue;
        }
        above->ready += kept.ready;
        above->taken += kept.taken;
        above->due = Min(above->due, kept.due);
        remove_arrival(i);
    }
}

void undo_subtransaction() {
    int nest_level = GetCurrentTransactionNestLevel();
    for (int i = arrivals.count - 1; i >= 0; i--) {
        if (arrivals.items[i].nest_level < nest_level)
            continue;
        if (arrivals.items[i].taken > 0)
            wake_waiters(arrivals.items[i].queue_id, arrivals.items[i].taken);
        remove_arrival(i);
    }
}

} // namespace faultline
