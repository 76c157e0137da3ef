// start_worker(): the background worker for this database without a restart of the server, until
// the next one.
#include "policy.hpp"
#include "settings.hpp"
#include "worker.hpp"

namespace faultline {

namespace {

[[noreturn]] void raise_not_startable(const char *detail, const char *hint) {
    ereport(ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
            errmsg("the background worker is not to run for this database"),
            errdetail("%s", detail), errhint("%s", hint));
}

void check_settings() {
    if (!settings::background_worker)
        raise_not_startable("faultline.background_worker is off.",
                            "Set it to on in postgresql.conf and reload the configuration.");
    char *database = get_database_name(MyDatabaseId);
    if (!settings::database_is_named(database))
        raise_not_startable("faultline.databases does not name it.",
                            "Add it in postgresql.conf and reload the configuration.");
}

void start_launcher() {
    BackgroundWorker launcher;
    describe_launcher(&launcher, MyDatabaseId);
    launcher.bgw_notify_pid = MyProcPid;
    BackgroundWorkerHandle *handle;
    pid_t pid;
    if (!RegisterDynamicBackgroundWorker(&launcher, &handle))
        ereport(ERROR, errcode(ERRCODE_INSUFFICIENT_RESOURCES),
                errmsg("the server has no room for another background worker"),
                errdetail("All of max_worker_processes are in use."),
                errhint("Raise max_worker_processes; that takes a restart, so add faultline to "
                        "shared_preload_libraries with it."));
    if (WaitForBackgroundWorkerStartup(handle, &pid) == BGWH_POSTMASTER_DIED)
        ereport(FATAL, errcode(ERRCODE_ADMIN_SHUTDOWN), errmsg("the server has gone"));
}

} // namespace

} // namespace faultline

FAULTLINE_FUNCTION(faultline_start_worker) {
    using namespace faultline;
    PreventCommandIfReadOnly("faultline.start_worker()");
    require_access({}, AccessLevel::operate);
    check_settings();
    bool running = shared_worker_state() != nullptr || is_present(Presence::launcher, MyDatabaseId);
    if (!running)
        start_launcher();
    PG_RETURN_TEXT_P(cstring_to_text(running ? "already_running" : "started"));
}

// Since when the server has had no room for workers; null when it has, or when nobody knows.
FAULTLINE_FUNCTION(faultline_workers_refused_since) {
    using namespace faultline;
    WorkerState *state = shared_worker_state();
    TimestampTz since = state == nullptr ? 0 : read_time(&state->refused_since);
    if (since == 0)
        PG_RETURN_NULL();
    PG_RETURN_TIMESTAMPTZ(since);
}

// Whether the configuration lets the background worker serve this database.
FAULTLINE_FUNCTION(faultline_worker_is_wanted) {
    using namespace faultline;
    PG_RETURN_BOOL(settings::background_worker &&
                   settings::database_is_named(get_database_name(MyDatabaseId)));
}
