// Owns the session's counts of the jobs that wait in queues with a limit, for when shared memory
// does not tell how many there are.
#include "backlog.hpp"

#include "clock.hpp"
#include "errors.hpp"
#include "per_queue.hpp"
#include "stats/counting.hpp"
#include "stats/figures.hpp"

#include "../core/backlog.hpp"

namespace faultline {

namespace {

PerQueue<core::BacklogCount> session_counts;

int64 count_in_rows(const QueuePolicy &policy, int64 *entries_left) {
    Snapshot snapshot = RegisterSnapshot(GetLatestSnapshot());
    int64 found = count_queued(policy.queue_id, snapshot, policy.max_backlog, entries_left);
    UnregisterSnapshot(snapshot);
    return found;
}

// Looks at no more than twice as many index entries as may wait, those of rows that are gone
// included: under an old transaction it may see too few.
core::BacklogCount count_rows(const QueuePolicy &policy) {
    TimestampTz began = waiting_clock();
    int64 entries_max = Max(2 * policy.max_backlog, core::backlog_entries_cheap);
    int64 entries_left = entries_max;
    int64 found = count_in_rows(policy, &entries_left);
    TimestampTz ended = waiting_clock();
    bool cheap = entries_max - entries_left <= core::backlog_entries_cheap;
    return {.found = found,
            .added = 0,
            .stands_until = cheap ? 0 : ended + (ended - began) * core::backlog_count_cost_factor};
}

[[noreturn]] void raise_queue_full(const QueuePolicy &policy, int64 waiting, int64 jobs_new) {
    count_refused_call(policy.queue_id, core::JobEvent::enqueue_refused);
    ereport(ERROR, errcode_jq(core::sqlstate_queue_full),
            errmsg("queue \"%s\" is full", policy.name),
            errdetail("Its max_backlog is " INT64_FORMAT ": there is room for " INT64_FORMAT
                      " more, and the call brings " INT64_FORMAT ".",
                      policy.max_backlog, Max(policy.max_backlog - waiting, 0), jobs_new),
            errhint("Try again when workers have caught up, after delays that grow. To take more: "
                    "SELECT faultline.alter_queue('%s', max_backlog => ...); 0 removes the limit.",
                    policy.name));
}

// A counter that is wrong must not close a queue that workers have emptied: it refuses when the
// queue is too long for a quick look, or the look finds it full.
void require_room_by_counter(const QueuePolicy &policy, int64 counted, int64 jobs_new) {
    if (core::has_room(counted, jobs_new, policy.max_backlog))
        return;
    int64 entries_left = core::backlog_entries_cheap;
    int64 found = count_in_rows(policy, &entries_left);
    if (entries_left <= 0)
        raise_queue_full(policy, counted, jobs_new);
    if (!core::has_room(found, jobs_new, policy.max_backlog))
        raise_queue_full(policy, found, jobs_new);
}

void require_room_by_rows(const QueuePolicy &policy, int64 jobs_new) {
    core::BacklogCount &count = session_counts.of(policy.queue_id);
    core::Room room = core::room_by_count(count, waiting_clock(), jobs_new, policy.max_backlog);
    if (room == core::Room::unknown) {
        count = count_rows(policy);
        room = core::has_room(count.found, jobs_new, policy.max_backlog) ? core::Room::enough
                                                                         : core::Room::none;
    }
    if (room == core::Room::none)
        raise_queue_full(policy, count.found, jobs_new);
    count.added += jobs_new;
}

} // namespace

void require_room_within_limit(const QueuePolicy &policy, int64 jobs_new) {
    int64 counted;
    if (known_queued(policy.queue_id, &counted))
        require_room_by_counter(policy, counted, jobs_new);
    else
        require_room_by_rows(policy, jobs_new);
}

} // namespace faultline
