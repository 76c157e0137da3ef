// Owns time: reads the server's clock, or a test's virtual clock from its table.
#include "clock.hpp"

#include "settings.hpp"
#include "storage/relations.hpp"
#include "storage/scan.hpp"
#include "storage/table.hpp"

namespace faultline {

namespace {

// Reads the newest committed (or own) virtual time; returns false when none is set.
bool read_virtual_clock(TimestampTz *now) {
    bool found = false;
    visit_all_rows(relation_ids().virtual_clock, [&](TupleTableSlot *row) {
        *now = read_int64(row, 1);
        found = true;
        return false;
    });
    return found;
}

} // namespace

TimestampTz clock_now() {
    TimestampTz now;
    if (settings::allow_virtual_clock && read_virtual_clock(&now))
        return now;
    return GetCurrentTimestamp();
}

bool clock_is_virtual() {
    TimestampTz now;
    return settings::allow_virtual_clock && read_virtual_clock(&now);
}

TimestampTz waiting_clock() { return GetCurrentTimestamp(); }

bool clock_was_set_back() {
    static TimestampTz last = 0;
    TimestampTz now = waiting_clock();
    bool set_back = now < last;
    last = now;
    return set_back;
}

} // namespace faultline

FAULTLINE_FUNCTION(faultline_clock_now) { PG_RETURN_TIMESTAMPTZ(faultline::clock_now()); }

FAULTLINE_FUNCTION(faultline_waiting_now) { PG_RETURN_TIMESTAMPTZ(faultline::waiting_clock()); }
