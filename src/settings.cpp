// Owns the extension's configuration parameters.
#include "settings.hpp"

#include "debug_point.hpp"

namespace faultline::settings {

bool allow_virtual_clock = false;
bool allow_same_transaction = false;
bool strict_lease = false;
bool trace_events = false;
bool lab = false;
int lock_timeout_milliseconds = 100;
int audit_interval_milliseconds = 10'000;

namespace {
constexpr int lock_timeout_milliseconds_min = 1;
constexpr int lock_timeout_milliseconds_max = 600'000;
constexpr int audit_interval_milliseconds_max = 86'400'000;

// The parsed plan is what counts; see debug_point.cpp.
char *debug_points_text = nullptr;

// The switch comes first: debug points ask for it when a value that was set before is applied.
void define_debug_settings() {
    DefineCustomBoolVariable("faultline.lab", "Allows debug points, for tests only.",
                             "They make sessions fail, wait or die.", &lab, false,
                             process_shared_preload_libraries_in_progress ? PGC_POSTMASTER
                                                                          : PGC_SIGHUP,
                             0, nullptr, nullptr, nullptr);
    DefineCustomStringVariable(
        "faultline.debug_points", "What happens at debug points, for tests only.",
        "A list of point=action, separated by commas. Needs faultline.lab.", &debug_points_text, "",
        PGC_SUSET, 0, check_debug_points, assign_debug_points, nullptr);
}
} // namespace

void define() {
    // Only the configuration file may switch it on.  A parameter fixed at server start can be
    // defined only while the server starts, hence the weaker context without preload.
    DefineCustomBoolVariable(
        "faultline.allow_virtual_clock", "Allows set_clock() and advance_clock(), for tests only.",
        "All functions of the extension then use the time set in their database.",
        &allow_virtual_clock, false,
        process_shared_preload_libraries_in_progress ? PGC_POSTMASTER : PGC_SIGHUP, 0, nullptr,
        nullptr, nullptr);
    DefineCustomBoolVariable(
        "faultline.allow_same_transaction",
        "Allows a job to be claimed and completed in one transaction.",
        "Such a claim is invisible to others until it ends, and a crash does not count as an "
        "attempt.",
        &allow_same_transaction, false, PGC_USERSET, 0, nullptr, nullptr, nullptr);
    DefineCustomBoolVariable("faultline.strict_lease",
                             "Refuses calls under a lease that has expired.",
                             "When off, a worker that is late may still end its job as long as "
                             "nobody has taken it over.",
                             &strict_lease, false, PGC_SUSET, 0, nullptr, nullptr, nullptr);
    DefineCustomBoolVariable(
        "faultline.trace_events", "Records every change of a job's state in faultline.job_events.",
        "For tests and for looking into a problem. Each session writes for itself, so switch it on "
        "for all of them, before the first job or with an empty log.",
        &trace_events, false, PGC_SUSET, 0, nullptr, nullptr, nullptr);
    DefineCustomIntVariable(
        "faultline.lock_timeout", "Longest time that maintenance waits for a lock.",
        "Others wait behind it for as long; what could not be locked is "
        "left to the next pass.",
        &lock_timeout_milliseconds, lock_timeout_milliseconds, lock_timeout_milliseconds_min,
        lock_timeout_milliseconds_max, PGC_SIGHUP, GUC_UNIT_MS, nullptr, nullptr, nullptr);
    DefineCustomIntVariable(
        "faultline.audit_interval", "Time between two steps of the rolling audit of maintenance.",
        "Each step checks the invariants of a bounded number of rows. 0 switches it off.",
        &audit_interval_milliseconds, audit_interval_milliseconds, 0,
        audit_interval_milliseconds_max, PGC_SIGHUP, GUC_UNIT_MS, nullptr, nullptr, nullptr);
    define_debug_settings();
    MarkGUCPrefixReserved("faultline");
}

} // namespace faultline::settings
