// What SQL sees of jobs that run and of workers.
#include "../clock.hpp"
#include "../leases/lease_end.hpp"
#include "../result.hpp"
#include "../storage/columns.hpp"
#include "../storage/relations.hpp"
#include "../storage/table.hpp"
#include "../transaction.hpp"
#include "figures.hpp"
#include "queue_list.hpp"
#include "workers.hpp"

namespace faultline {

namespace {

struct RunningJobs {
    ReturnSetInfo *result;
    TimestampTz now;
};

void add_running_job(TupleTableSlot *row, void *argument) {
    auto *jobs = static_cast<RunningJobs *>(argument);
    constexpr AttrNumber columns[] = {
        live_column::job_id,           live_column::queue_id, live_column::kind,
        live_column::lease_owner,      live_column::attempt,  live_column::claimed_at,
        live_column::lease_expires_at, // replaced below
    };
    Datum values[lengthof(columns)];
    bool nulls[lengthof(columns)];
    for (size_t i = 0; i < lengthof(columns); i++) {
        Column column = read_column(row, columns[i]);
        values[i] = column.value;
        nulls[i] = column.is_null;
    }
    values[lengthof(columns) - 1] = TimestampTzGetDatum(lease_end(row, jobs->now));
    add_result_row(jobs->result, values, nulls, lengthof(columns));
}

void add_worker(ReturnSetInfo *result, const WorkerSlot *slot) {
    // A copy: the slot may be given to another worker at any time.
    char name[sizeof(slot->name)];
    strlcpy(name, slot->name, sizeof(name));
    auto *totals = const_cast<pg_atomic_uint64 *>(slot->totals);
    auto *seen_at = const_cast<pg_atomic_uint64 *>(&slot->seen_at);
    Datum values[3 + worker_event_count] = {
        Int32GetDatum(slot->owner.queue_id), CStringGetTextDatum(name),
        TimestampTzGetDatum(static_cast<TimestampTz>(pg_atomic_read_u64(seen_at)))};
    for (int i = 0; i < worker_event_count; i++)
        values[3 + i] = Int64GetDatum(static_cast<int64>(pg_atomic_read_u64(&totals[i])));
    bool nulls[lengthof(values)] = {};
    add_result_row(result, values, nulls, lengthof(values));
}

} // namespace

} // namespace faultline

FAULTLINE_FUNCTION(faultline_running_jobs) {
    using namespace faultline;
    RunningJobs jobs = {.result = start_result(fcinfo), .now = clock_now()};
    QueueList queues = list_queues(true);
    Snapshot snapshot = register_newest_snapshot();
    for (int i = 0; i < queues.count; i++)
        visit_running(queues.ids[i], snapshot, jobs.now, running_jobs_max(queues.ids[i]),
                      add_running_job, &jobs);
    UnregisterSnapshot(snapshot);
    return static_cast<Datum>(0);
}

FAULTLINE_FUNCTION(faultline_worker_totals) {
    using namespace faultline;
    ReturnSetInfo *result = start_result(fcinfo);
    if (shared_statistics() == nullptr)
        return static_cast<Datum>(0);
    QueueList queues = list_queues(true);
    for (int i = 0; i < queues.count; i++)
        for (int j = 0; j < worker_slots_max; j++) {
            CHECK_FOR_INTERRUPTS();
            if (worker_slot(j)->owner == own_queue(relation_ids().live_jobs, queues.ids[i]))
                add_worker(result, worker_slot(j));
        }
    return static_cast<Datum>(0);
}
