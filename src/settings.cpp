// Owns the extension's configuration parameters.
#include "settings.hpp"

#include "../core/duties.hpp"
#include "debug_point.hpp"

namespace faultline::settings {

bool allow_virtual_clock = false;
bool allow_same_transaction = false;
bool strict_lease = false;
bool trace_events = false;
bool asynchronous_claims = false;
bool lab = false;
int lock_timeout_milliseconds = 100;
int audit_interval_milliseconds = 10'000;
bool background_worker = true;
int naptime_milliseconds = 1000;
int workers_max = 3;
int ready_age_limit_milliseconds = 300'000;
int horizon_age_limit_milliseconds = 60'000;
bool fast_path = true;
int queues_max = 64;
int ready_window = 4096;
int leases_max = 65'536;

namespace {
constexpr int lock_timeout_milliseconds_min = 1;
constexpr int lock_timeout_milliseconds_max = 600'000;
constexpr int audit_interval_milliseconds_max = 86'400'000;
constexpr int naptime_milliseconds_min = 100;
constexpr int naptime_milliseconds_max = 3'600'000;
constexpr int workers_max_min = 1;
constexpr int workers_max_max = 64;
constexpr int age_limit_milliseconds_max = 86'400'000;
constexpr int queues_max_min = 1;
constexpr int queues_max_max = 10'000;
constexpr int ready_window_min = 64;
constexpr int ready_window_max = 1'048'576;
constexpr int leases_max_max = 10'000'000;

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

char *databases = nullptr; // names, separated by commas
DutyLimits duty_limits[core::duty_bounds_count];

bool check_databases(char **value, void **, GucSource) {
    List *names;
    // Splitting writes into the text.
    char *copy = pstrdup(*value);
    bool valid = SplitIdentifierString(copy, ',', &names);
    if (!valid)
        GUC_check_errdetail("It is a list of names of databases, separated by commas.");
    else
        list_free(names);
    pfree(copy);
    return valid;
}

// "faultline.DUTY_ENDING"; the server keeps the pointer.
const char *duty_setting(const char *duty, const char *ending) {
    return MemoryContextStrdup(TopMemoryContext, psprintf("faultline.%s_%s", duty, ending));
}

void define_duty_limits() {
    for (int i = 0; i < core::duty_bounds_count; i++) {
        const core::DutyBounds &bounds = core::duty_bounds[i];
        duty_limits[i] = {.rows = bounds.rows, .milliseconds = bounds.milliseconds};
        if (bounds.rows > 0)
            DefineCustomIntVariable(
                duty_setting(bounds.name, "rows"),
                "Rows that this duty of maintenance handles in one transaction.",
                "While there are more the next transaction follows at once.", &duty_limits[i].rows,
                bounds.rows, core::duty_rows_min, core::duty_rows_max, PGC_SIGHUP, 0, nullptr,
                nullptr, nullptr);
        DefineCustomIntVariable(
            duty_setting(bounds.name, "timeout"),
            "Longest time of one transaction of this duty of the background worker.",
            "One that takes longer is cancelled and counts as a failure.",
            &duty_limits[i].milliseconds, bounds.milliseconds, core::duty_milliseconds_min,
            core::duty_milliseconds_max, PGC_SIGHUP, GUC_UNIT_MS, nullptr, nullptr, nullptr);
    }
}

void define_background_worker() {
    DefineCustomBoolVariable("faultline.background_worker",
                             "Lets the background worker do the maintenance.",
                             "It needs the library in shared_preload_libraries, or start_worker(). "
                             "When off, call maintain().",
                             &background_worker, true, PGC_SIGHUP, 0, nullptr, nullptr, nullptr);
    DefineCustomIntVariable(
        "faultline.naptime", "Longest time between two looks of the background worker.",
        "It wakes earlier when a lease ends.", &naptime_milliseconds, naptime_milliseconds,
        naptime_milliseconds_min, naptime_milliseconds_max, PGC_SIGHUP, GUC_UNIT_MS, nullptr,
        nullptr, nullptr);
    DefineCustomIntVariable(
        "faultline.max_workers", "How many databases the background worker works on at once.",
        "Each takes one of max_worker_processes; others wait for their turn.", &workers_max,
        workers_max, workers_max_min, workers_max_max, PGC_SIGHUP, 0, nullptr, nullptr, nullptr);
    DefineCustomStringVariable(
        "faultline.databases", "Names of the databases that the background worker serves.",
        "Separated by commas; when empty, every database that has the "
        "extension.",
        &databases, "", PGC_SIGHUP, GUC_LIST_INPUT, check_databases, nullptr, nullptr);
}

// What health() warns of.
void define_health_limits() {
    DefineCustomIntVariable(
        "faultline.ready_age_limit", "How long a job may be ready before health() warns of it.",
        "0 switches that warning off.", &ready_age_limit_milliseconds, ready_age_limit_milliseconds,
        0, age_limit_milliseconds_max, PGC_SIGHUP, GUC_UNIT_MS, nullptr, nullptr, nullptr);
    DefineCustomIntVariable(
        "faultline.horizon_age_limit",
        "How long a transaction may keep dead rows before health() warns of it.",
        "Also a prepared one; standbys and replication slots, which do not "
        "tell the time, may lag a million transactions.",
        &horizon_age_limit_milliseconds, horizon_age_limit_milliseconds, 0,
        age_limit_milliseconds_max, PGC_SIGHUP, GUC_UNIT_MS, nullptr, nullptr, nullptr);
}

void define_fast_path() {
    DefineCustomBoolVariable("faultline.fast_path",
                             "Lets claims use the ready windows, and extensions the memory.",
                             "When off, the session's claims search the index of order, and its "
                             "extensions write the row. Verdicts are the same.",
                             &fast_path, true, PGC_USERSET, 0, nullptr, nullptr, nullptr);
    // The size of shared memory is fixed when the server starts; without preload there is none.
    GucContext context = process_shared_preload_libraries_in_progress ? PGC_POSTMASTER : PGC_SIGHUP;
    DefineCustomIntVariable(
        "faultline.max_queues",
        "Queues, of all databases, that can have a ready window and counters.",
        "Claims from further queues search the index of order, and nobody counts what they do. "
        "Counters take 4 kB each.",
        &queues_max, queues_max, queues_max_min, queues_max_max, context, 0, nullptr, nullptr,
        nullptr);
    DefineCustomIntVariable("faultline.ready_window", "Jobs that a ready window holds.",
                            "Rounded up to a power of two; each takes 30 bytes of shared memory "
                            "in each of the windows.",
                            &ready_window, ready_window, ready_window_min, ready_window_max,
                            context, 0, nullptr, nullptr, nullptr);
    DefineCustomIntVariable(
        "faultline.max_leases", "Running jobs, of all databases, whose leases are kept in memory.",
        "Each takes 44 bytes of shared memory. Leases of further jobs are "
        "extended by writing their rows. 0: those of all jobs.",
        &leases_max, leases_max, 0, leases_max_max, context, 0, nullptr, nullptr, nullptr);
}
} // namespace

DutyLimits limits_of_duty(const char *duty) {
    for (int i = 0; i < core::duty_bounds_count; i++)
        if (strcmp(core::duty_bounds[i].name, duty) == 0)
            return duty_limits[i];
    return duty_limits[0];
}

bool database_is_named(const char *database) {
    if (databases == nullptr || databases[0] == '\0')
        return true;
    List *names;
    char *copy = pstrdup(databases);
    bool named = false;
    if (SplitIdentifierString(copy, ',', &names)) {
        ListCell *cell;
        foreach (cell, names)
            named = named || strcmp(static_cast<char *>(lfirst(cell)), database) == 0;
        list_free(names);
    }
    pfree(copy);
    return named;
}

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
    DefineCustomBoolVariable("faultline.asynchronous_claims",
                             "Lets a transaction that only claims commit without waiting for the "
                             "disk, and for standbys.",
                             "A crash of the server may then forget the claim and its attempt; the "
                             "job runs again. No other write loses its durability.",
                             &asynchronous_claims, false, PGC_USERSET, 0, nullptr, nullptr,
                             nullptr);
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
    define_health_limits();
    define_debug_settings();
    define_background_worker();
    define_fast_path();
    define_duty_limits();
    MarkGUCPrefixReserved("faultline");
}

} // namespace faultline::settings
