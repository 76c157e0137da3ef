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

// How often an event happened.
struct EventFigures {
    int64 total;
    int64 recent;      // in the last minutes, the current one included
    double per_second; // in these
};

EventFigures figures_of_event(QueueSlot *slot, size_t event, TimestampTz now) {
    auto minute = static_cast<uint32>(now / core::microseconds_per_minute);
    int64 recent = 0;
    for (uint32 back = 0; back < core::rate_minutes; back++) {
        uint64 word =
            pg_atomic_read_u64(&slot->recent[event][(minute - back) % core::recent_minutes_kept]);
        if (word >> 32 == minute - back)
            recent += static_cast<int64>(word & PG_UINT32_MAX);
    }
    // The current minute is not over.
    double microseconds =
        static_cast<double>((core::rate_minutes - 1) * core::microseconds_per_minute +
                            now % core::microseconds_per_minute);
    return {.total = static_cast<int64>(pg_atomic_read_u64(&slot->totals[event])),
            .recent = recent,
            .per_second =
                static_cast<double>(recent) * core::microseconds_per_second / microseconds};
}

// Rates that stand beside the totals.
constexpr core::JobEvent rated_events[] = {core::JobEvent::enqueued, core::JobEvent::claimed,
                                           core::JobEvent::completed};

// By `now` jobs are due; events are dated by the real clock.
void add_figures(ReturnSetInfo *result, int32 queue_id, TimestampTz now, TimestampTz real_now,
                 RowBudget &budget) {
    QueueFigures figures = figures_of_queue(queue_id, now, budget);
    CountedSlot counted = counted_slot(queue_id);
    bool none = counted.slot == nullptr;
    TimestampTz asked_at =
        none ? 0 : static_cast<TimestampTz>(pg_atomic_read_u64(&counted.slot->asked_at));
    const Datum depths[] = {Int32GetDatum(queue_id),
                            Int64GetDatum(figures.ready),
                            Int64GetDatum(figures.scheduled),
                            Int64GetDatum(figures.running),
                            Int64GetDatum(figures.dead),
                            BoolGetDatum(figures.exact),
                            TimestampTzGetDatum(figures.oldest_ready),
                            TimestampTzGetDatum(asked_at),
                            TimestampTzGetDatum(counted.reset_at)};
    constexpr int depth_columns = lengthof(depths);
    constexpr int rate_columns = lengthof(rated_events);
    Datum values[depth_columns + rate_columns + core::job_event_count] = {};
    bool nulls[lengthof(values)] = {};
    memcpy(values, depths, sizeof(depths));
    nulls[6] = figures.oldest_ready == no_time;
    nulls[7] = asked_at == 0;
    for (size_t i = depth_columns - 1; i < lengthof(values); i++)
        nulls[i] = none;
    for (int i = 0; !none && i < rate_columns; i++)
        values[depth_columns + i] = Float8GetDatum(
            figures_of_event(counted.slot, static_cast<size_t>(rated_events[i]), real_now)
                .per_second);
    for (size_t i = 0; !none && i < core::job_event_count; i++)
        values[depth_columns + rate_columns + i] =
            Int64GetDatum(figures_of_event(counted.slot, i, real_now).total);
    add_result_row(result, values, nulls, lengthof(values));
}

// Null for a queue that has no slot.
void add_event_rows(ReturnSetInfo *result, int32 queue_id, const CountedSlot &counted,
                    TimestampTz now) {
    bool none = counted.slot == nullptr;
    for (size_t i = 0; i < core::job_event_count; i++) {
        EventFigures figures = none ? EventFigures{} : figures_of_event(counted.slot, i, now);
        Datum values[] = {
            Int32GetDatum(queue_id),
            name_datum(core::job_event_names[i]),
            Int64GetDatum(figures.total),
            Int64GetDatum(figures.recent),
            Float8GetDatum(figures.per_second),
            TimestampTzGetDatum(counted.reset_at),
        };
        bool nulls[lengthof(values)] = {false, false, none, none, none, none};
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
    TimestampTz real_now = waiting_clock();
    QueueList queues = list_queues(true);
    RowBudget budget = new_row_budget();
    for (int i = 0; i < queues.count; i++) {
        CHECK_FOR_INTERRUPTS();
        add_figures(result, queues.ids[i], now, real_now, budget);
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
        add_event_rows(result, queues.ids[i], counted_slot(queues.ids[i]), now);
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
