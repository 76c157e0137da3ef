// Owns time: reads the server's clock, or a test's virtual clock from its table.
#include "clock.hpp"

#include "settings.hpp"
#include "storage/relations.hpp"

namespace faultline {

namespace {

// Reads the newest committed (or own) virtual time; returns false when none is set.
bool read_virtual_clock(TimestampTz *now) {
    Relation table = table_open(relation_ids().virtual_clock, AccessShareLock);
    Snapshot snapshot = RegisterSnapshot(GetLatestSnapshot());
    TableScanDesc scan = table_beginscan(table, snapshot, 0, nullptr);
    TupleTableSlot *slot = table_slot_create(table, nullptr);
    bool found = table_scan_getnextslot(scan, ForwardScanDirection, slot);
    if (found) {
        bool is_null;
        *now = DatumGetTimestampTz(slot_getattr(slot, 1, &is_null));
    }
    ExecDropSingleTupleTableSlot(slot);
    table_endscan(scan);
    UnregisterSnapshot(snapshot);
    table_close(table, AccessShareLock);
    return found;
}

} // namespace

TimestampTz clock_now() {
    TimestampTz now;
    if (settings::allow_virtual_clock && read_virtual_clock(&now))
        return now;
    return GetCurrentTimestamp();
}

} // namespace faultline

FAULTLINE_FUNCTION(faultline_clock_now) { PG_RETURN_TIMESTAMPTZ(faultline::clock_now()); }
