// What SQL sees of the shared memory of the library, of all databases: what it has room for, and
// how much of that is taken.
#include "../leases/lease_table.hpp"
#include "../result.hpp"
#include "../waiters/registry.hpp"
#include "../window/window.hpp"
#include "../worker_state.hpp"
#include "workers.hpp"

#include <optional>

namespace faultline {

namespace {

constexpr std::string_view segment_prefix = "faultline ";

struct Room {
    const SharedSegment &segment;
    std::string_view holds;
    int64 slots;
    int64 used;
    std::optional<bool> overflowed = std::nullopt;
};

void add_room(ReturnSetInfo *result, const Room &room) {
    std::string_view segment = room.segment.name;
    segment.remove_prefix(segment_prefix.size());
    Datum values[] = {name_datum(segment), name_datum(room.holds), Int64GetDatum(room.slots),
                      Int64GetDatum(room.used), BoolGetDatum(room.overflowed.value_or(false))};
    bool nulls[lengthof(values)] = {};
    nulls[lengthof(values) - 1] = !room.overflowed.has_value();
    add_result_row(result, values, nulls, lengthof(values));
}

void add_statistics(ReturnSetInfo *result) {
    Statistics *statistics = shared_statistics();
    int64 queues = 0;
    for (int i = overflow_slot + 1; i < statistics->slot_count; i++)
        queues += OidIsValid(statistics_slot(i)->owner.database_id);
    add_room(result, {.segment = statistics_segment,
                      .holds = "queues",
                      .slots = statistics->slot_count - 1,
                      .used = queues,
                      .overflowed = pg_atomic_read_u32(&statistics->overflowed) != 0});
    int64 workers = 0;
    for (int i = 0; i < worker_slots_max; i++)
        workers += OidIsValid(worker_slot(i)->owner.database_id);
    add_room(result, {.segment = workers_segment,
                      .holds = "workers",
                      .slots = worker_slots_max,
                      .used = workers});
}

void add_windows(ReturnSetInfo *result) {
    Room queues = {
        .segment = window_segment, .holds = "queues", .slots = window_count(), .used = 0};
    Room ready = {.segment = window_segment, .holds = "ready jobs", .slots = 0, .used = 0};
    Room scheduled = {.segment = window_segment, .holds = "scheduled jobs", .slots = 0, .used = 0};
    for (int i = 0; i < window_count(); i++) {
        CHECK_FOR_INTERRUPTS();
        WindowReport report;
        bool used = report_window(i, &report);
        ready.slots += report.ready_slots;
        scheduled.slots += report.scheduled_slots;
        if (!used)
            continue;
        queues.used++;
        ready.used += report.ready;
        scheduled.used += report.scheduled;
    }
    add_room(result, queues);
    add_room(result, ready);
    add_room(result, scheduled);
}

void add_databases(ReturnSetInfo *result) {
    WorkerState *state = shared_worker_state();
    int64 used = 0;
    for (int i = 0; i < state->slot_count; i++)
        used += OidIsValid(pg_atomic_read_u32(&state->slots[i].database_id));
    add_room(result, {.segment = worker_state_segment,
                      .holds = "databases",
                      .slots = state->slot_count,
                      .used = used});
}

} // namespace

} // namespace faultline

FAULTLINE_FUNCTION(faultline_memory_slots) {
    using namespace faultline;
    ReturnSetInfo *result = start_result(fcinfo);
    if (shared_statistics() == nullptr)
        return static_cast<Datum>(0);
    add_databases(result);
    LeaseRoom leases = lease_room();
    add_room(result, {.segment = lease_table_segment,
                      .holds = "running jobs",
                      .slots = leases.slots,
                      .used = leases.used,
                      .overflowed = leases.full});
    add_windows(result);
    add_statistics(result);
    add_room(result, {.segment = waiters_segment,
                      .holds = "sessions that wait",
                      .slots = MaxBackends,
                      .used = waiters_in_line()});
    return static_cast<Datum>(0);
}
