// What SQL can see of the ready windows, their upkeep, and how tests make them wrong.
#include "../arguments.hpp"
#include "../clock.hpp"
#include "../policy.hpp"
#include "../result.hpp"
#include "../settings.hpp"
#include "../storage/relations.hpp"
#include "../transaction.hpp"
#include "refill.hpp"

namespace faultline {

namespace {

// Looks that others take anyway count.
constexpr int64 sweep_rest_microseconds = 9 * core::microseconds_per_second;

void require_lab() {
    if (!settings::lab)
        ereport(ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                errmsg("hints can be falsified only for tests"), errdetail("faultline.lab is off."),
                errhint("Start a test server with faultline.lab = on."));
}

QueueRows rows_of_queue(FunctionCallInfo fcinfo) {
    QueuePolicy policy = require_queue(required_text(fcinfo, 0, "queue"));
    Relation live_jobs = open_relation(relation_ids().live_jobs, AccessShareLock);
    QueueRows rows = {policy.queue_id, file_number(live_jobs)};
    table_close(live_jobs, AccessShareLock);
    return rows;
}

} // namespace

} // namespace faultline

FAULTLINE_FUNCTION(faultline_ready_windows) {
    using namespace faultline;
    ReturnSetInfo *result = start_result(fcinfo);
    for (int i = 0; i < window_count(); i++) {
        WindowReport report;
        if (!report_window(i, &report))
            continue;
        Datum values[] = {
            ObjectIdGetDatum(report.database_id), Int32GetDatum(report.queue_id),
            UInt32GetDatum(report.ready),         UInt32GetDatum(report.ready_slots),
            UInt32GetDatum(report.scheduled),     UInt32GetDatum(report.scheduled_slots),
            BoolGetDatum(report.ready_complete),  BoolGetDatum(report.schedule_complete),
            Int64GetDatum(report.epoch),
        };
        bool nulls[lengthof(values)] = {};
        add_result_row(result, values, nulls, lengthof(values));
    }
    return static_cast<Datum>(0);
}

FAULTLINE_FUNCTION(faultline_sweep_windows) {
    using namespace faultline;
    begin_verb("faultline.sweep_windows()");
    TimestampTz now = clock_now();
    Relation live_jobs = open_relation(relation_ids().live_jobs, AccessShareLock);
    int64 unknown = 0;
    for (int i = 0; i < window_count(); i++) {
        CHECK_FOR_INTERRUPTS();
        QueueRows rows;
        WindowSlot *slot = window_of_database(i, &rows);
        if (slot == nullptr || rows.file != file_number(live_jobs) ||
            !look_is_due(slot, rows, now, sweep_rest_microseconds))
            continue;
        unknown += look_at_window(
            slot, rows, live_jobs, now, [](TupleTableSlot *, void *) {}, nullptr);
    }
    table_close(live_jobs, AccessShareLock);
    end_verb();
    PG_RETURN_INT64(unknown);
}

FAULTLINE_FUNCTION(faultline_drop_hints) {
    using namespace faultline;
    require_lab();
    drop_hints(rows_of_queue(fcinfo));
    PG_RETURN_VOID();
}

FAULTLINE_FUNCTION(faultline_plant_hint) {
    using namespace faultline;
    require_lab();
    QueueRows rows = rows_of_queue(fcinfo);
    auto *place =
        reinterpret_cast<ItemPointer>(DatumGetPointer(required_datum(fcinfo, 2, "place")));
    core::ReadyHint hint = {.next_run_at = DatumGetInt64(required_datum(fcinfo, 4, "next_run_at")),
                            .job_id = required_int64(fcinfo, 1, "job_id"),
                            .block = ItemPointerGetBlockNumberNoCheck(place),
                            .offset = ItemPointerGetOffsetNumberNoCheck(place),
                            .priority = static_cast<int16>(bounded_int32(
                                fcinfo, 3, "priority", 0, core::priority_min, core::priority_max))};
    add_hints(rows, &hint, 1, hint.next_run_at <= clock_now());
    PG_RETURN_VOID();
}
