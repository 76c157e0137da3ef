// The extension's configuration parameters (GUCs).
#pragma once

#include "pg.hpp"

namespace faultline::settings {

extern bool allow_virtual_clock;
extern bool allow_same_transaction;
extern bool strict_lease;
extern bool trace_events;
extern bool lab;
extern int lock_timeout_milliseconds;
extern int audit_interval_milliseconds;

// Defines the parameters; called once per process, from _PG_init.
void define();

} // namespace faultline::settings
