// What SQL sees of the statistics: a row per queue and figure, of the queues that the caller sees.
#include "../access.hpp"
#include "../arguments.hpp"
#include "../clock.hpp"
#include "../result.hpp"
#include "../storage/columns.hpp"
#include "../storage/relations.hpp"
#include "../storage/scan.hpp"
#include "../storage/table.hpp"
#include "../worker_state.hpp"
#include "counting.hpp"
#include "figures.hpp"
#include "queue_list.hpp"

namespace faultline {

QueueList list_queues(bool visible) {
    int capacity = 64;
    QueueList list = {static_cast<int32 *>(palloc(sizeof(int32) * capacity)), 0};
    visit_all_rows(relation_ids().queues, [&](TupleTableSlot *row) {
        if (!read_column(row, queue_column::dropped_at).is_null)
            return true;
        if (list.count == capacity) {
            capacity *= 2;
            list.ids = static_cast<int32 *>(repalloc(list.ids, sizeof(int32) * capacity));
        }
        list.ids[list.count++] = read_int32(row, queue_column::queue_id);
        return true;
    });
    int kept = 0;
    for (int i = 0; visible && i < list.count; i++) {
        QueuePolicy policy;
        if (find_queue_by_id(list.ids[i], &policy) && queue_visible(policy))
            list.ids[kept++] = list.ids[i];
    }
    if (visible)
        list.count = kept;
    return list;
}

namespace {

struct CountedSlot {
    QueueSlot *slot; // null: the queue has none
    TimestampTz reset_at;
};

CountedSlot counted_slot(int32 queue_id) {
    if (shared_statistics() == nullptr)
        return {};
    int slot = find_slot(own_queue(relation_ids().live_jobs, queue_id));
    if (slot < 0)
        return {};
    return {statistics_slot(slot),
            static_cast<TimestampTz>(pg_atomic_read_u64(&statistics_slot(slot)->reset_at))};
}

void add_figures(ReturnSetInfo *result, int32 queue_id, TimestampTz now, RowBudget &budget) {
    QueueFigures figures = figures_of_queue(queue_id, now, budget);
    CountedSlot counted = counted_slot(queue_id);
    TimestampTz asked_at =
        counted.slot == nullptr
            ? 0
            : static_cast<TimestampTz>(pg_atomic_read_u64(&counted.slot->asked_at));
    Datum values[] = {Int32GetDatum(queue_id),
                      Int64GetDatum(figures.ready),
                      Int64GetDatum(figures.scheduled),
                      Int64GetDatum(figures.running),
                      Int64GetDatum(figures.dead),
                      BoolGetDatum(figures.exact),
                      TimestampTzGetDatum(figures.oldest_ready),
                      TimestampTzGetDatum(asked_at),
                      TimestampTzGetDatum(counted.reset_at)};
    bool nulls[lengthof(values)] = {};
    nulls[6] = figures.oldest_ready == no_time;
    nulls[7] = asked_at == 0;
    nulls[8] = counted.slot == nullptr;
    add_result_row(result, values, nulls, lengthof(values));
}

int64 recent_count(pg_atomic_uint64 *ring, uint32 minute) {
    int64 sum = 0;
    for (uint32 back = 0; back < core::rate_minutes; back++) {
        uint64 word = pg_atomic_read_u64(&ring[(minute - back) % core::recent_minutes_kept]);
        if (word >> 32 == minute - back)
            sum += static_cast<int64>(word & PG_UINT32_MAX);
    }
    return sum;
}

// Null for a queue that has no slot; `queue_id` null: the events that found none.
void add_event_rows(ReturnSetInfo *result, const int32 *queue_id, const CountedSlot &counted,
                    TimestampTz now) {
    auto minute = static_cast<uint32>(now / core::microseconds_per_minute);
    for (size_t i = 0; i < core::job_event_count; i++) {
        bool none = counted.slot == nullptr;
        Datum values[] = {
            Int32GetDatum(queue_id == nullptr ? 0 : *queue_id),
            name_datum(core::job_event_names[i]),
            Int64GetDatum(none ? 0
                               : static_cast<int64>(pg_atomic_read_u64(&counted.slot->totals[i]))),
            Int64GetDatum(none ? 0 : recent_count(counted.slot->recent[i], minute)),
            TimestampTzGetDatum(counted.reset_at),
        };
        bool nulls[lengthof(values)] = {queue_id == nullptr, false, none, none, none};
        add_result_row(result, values, nulls, lengthof(values));
    }
}

Datum bucket_array(HistogramSlot *histogram) {
    Datum buckets[core::latency_bucket_count];
    for (size_t i = 0; i < core::latency_bucket_count; i++)
        buckets[i] = Int64GetDatum(static_cast<int64>(pg_atomic_read_u64(&histogram->buckets[i])));
    return PointerGetDatum(construct_array(buckets, core::latency_bucket_count, INT8OID,
                                           sizeof(int64), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
}

void add_latency_rows(ReturnSetInfo *result, int32 queue_id, const CountedSlot &counted) {
    for (size_t i = 0; i < core::latency_count; i++) {
        const core::LatencyName &name = core::latency_names[i];
        bool none = counted.slot == nullptr;
        HistogramSlot *histogram = none ? nullptr : &counted.slot->latencies[i];
        Datum values[] = {
            Int32GetDatum(queue_id),
            name_datum(name.measure),
            name_datum(name.outcome),
            none ? static_cast<Datum>(0) : bucket_array(histogram),
            Float8GetDatum(
                none ? 0
                     : static_cast<double>(pg_atomic_read_u64(&histogram->sum_microseconds)) /
                           core::microseconds_per_second),
            TimestampTzGetDatum(counted.reset_at),
        };
        bool nulls[lengthof(values)] = {false, false, name.outcome.empty(), none, none, none};
        add_result_row(result, values, nulls, lengthof(values));
    }
}

void reset_queue(int32 queue_id, TimestampTz at) {
    CountedSlot counted = counted_slot(queue_id);
    if (counted.slot != nullptr)
        reset_slot(counted.slot, at);
}

} // namespace

} // namespace faultline

FAULTLINE_FUNCTION(faultline_queue_figures) {
    using namespace faultline;
    ReturnSetInfo *result = start_result(fcinfo);
    TimestampTz now = clock_now();
    QueueList queues = list_queues(true);
    RowBudget budget = new_row_budget();
    for (int i = 0; i < queues.count; i++) {
        CHECK_FOR_INTERRUPTS();
        add_figures(result, queues.ids[i], now, budget);
    }
    return static_cast<Datum>(0);
}

FAULTLINE_FUNCTION(faultline_event_totals) {
    using namespace faultline;
    ReturnSetInfo *result = start_result(fcinfo);
    TimestampTz now = waiting_clock();
    QueueList queues = list_queues(true);
    for (int i = 0; i < queues.count; i++) {
        CHECK_FOR_INTERRUPTS();
        add_event_rows(result, &queues.ids[i], counted_slot(queues.ids[i]), now);
    }
    return static_cast<Datum>(0);
}

FAULTLINE_FUNCTION(faultline_latency_totals) {
    using namespace faultline;
    ReturnSetInfo *result = start_result(fcinfo);
    QueueList queues = list_queues(true);
    for (int i = 0; i < queues.count; i++) {
        CHECK_FOR_INTERRUPTS();
        add_latency_rows(result, queues.ids[i], counted_slot(queues.ids[i]));
    }
    return static_cast<Datum>(0);
}

FAULTLINE_FUNCTION(faultline_latency_bounds) {
    using namespace faultline;
    constexpr int count = core::latency_bounds_microseconds.size();
    Datum bounds[count];
    for (int i = 0; i < count; i++)
        bounds[i] = Float8GetDatum(static_cast<double>(core::latency_bounds_microseconds[i]) /
                                   core::microseconds_per_second);
    PG_RETURN_ARRAYTYPE_P(construct_array(bounds, count, FLOAT8OID, sizeof(float8), FLOAT8PASSBYVAL,
                                          TYPALIGN_DOUBLE));
}

FAULTLINE_FUNCTION(faultline_stat_reset) {
    using namespace faultline;
    TimestampTz at = waiting_clock();
    if (!PG_ARGISNULL(0)) {
        QueuePolicy policy = require_queue(PG_GETARG_TEXT_PP(0));
        require_access(policy, AccessLevel::operate);
        reset_queue(policy.queue_id, at);
        PG_RETURN_TIMESTAMPTZ(at);
    }
    require_access({}, AccessLevel::operate);
    QueueList queues = list_queues(false);
    for (int i = 0; i < queues.count; i++)
        reset_queue(queues.ids[i], at);
    PG_RETURN_TIMESTAMPTZ(at);
}

// Slots of all databases: how many there are, how many are taken, and whether one was missing.
FAULTLINE_FUNCTION(faultline_statistics_memory) {
    using namespace faultline;
    Statistics *statistics = shared_statistics();
    if (statistics == nullptr) {
        start_result(fcinfo);
        return static_cast<Datum>(0);
    }
    int used = 0;
    for (int i = overflow_slot + 1; i < statistics->slot_count; i++)
        used += OidIsValid(statistics_slot(i)->owner.database_id);
    Datum values[] = {Int64GetDatum(statistics->slot_count - 1), Int64GetDatum(used),
                      Int64GetDatum(static_cast<int64>(statistics_segment.bytes())),
                      BoolGetDatum(pg_atomic_read_u32(&statistics->overflowed) != 0)};
    bool nulls[lengthof(values)] = {};
    add_result_row(start_result(fcinfo), values, nulls, lengthof(values));
    return static_cast<Datum>(0);
}

FAULTLINE_FUNCTION(faultline_count_purged) {
    faultline::count_purged(PG_GETARG_INT32(0), PG_GETARG_INT64(1));
    PG_RETURN_VOID();
}

FAULTLINE_FUNCTION(faultline_count_dropped_queue) {
    faultline::count_dropped_queue(PG_GETARG_INT32(0));
    PG_RETURN_VOID();
}

// The duty: begins the depths that nobody knows, and gives back slots of what is gone.
FAULTLINE_FUNCTION(faultline_count_jobs) {
    using namespace faultline;
    if (shared_statistics() == nullptr)
        PG_RETURN_INT64(0);
    free_lost_slots();
    TimestampTz now = clock_now();
    QueueList queues = list_queues(false);
    int64 counted = 0;
    for (int i = 0; i < queues.count; i++) {
        CHECK_FOR_INTERRUPTS();
        counted += count_jobs_of_queue(queues.ids[i], now);
    }
    PG_RETURN_INT64(counted);
}
