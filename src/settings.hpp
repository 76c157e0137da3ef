// The extension's configuration parameters (GUCs).
#pragma once

#include "pg.hpp"

#include "../core/limits.hpp"

namespace faultline::settings {

extern bool allow_virtual_clock;
extern bool allow_same_transaction;
extern bool strict_lease;
extern bool trace_events;
extern bool asynchronous_claims;
extern bool lab;
extern int lock_timeout_milliseconds;
extern int audit_interval_milliseconds;
extern bool background_worker;
extern int naptime_milliseconds;
inline int64 naptime_microseconds() {
    return naptime_milliseconds * core::microseconds_per_millisecond;
}
extern int workers_max;
extern int ready_age_limit_milliseconds; // 0: none
extern int horizon_age_limit_milliseconds;
extern bool fast_path;
extern int queues_max;   // ready windows, and slots of counters
extern int ready_window; // jobs of each
extern int leases_max;   // in memory

struct DutyLimits {
    int rows;
    int milliseconds;
};
DutyLimits limits_of_duty(const char *duty);

// Whether faultline.databases names it; all databases while that is empty.
bool database_is_named(const char *database);

// Defines the parameters; called once per process, from _PG_init.
void define();

} // namespace faultline::settings
