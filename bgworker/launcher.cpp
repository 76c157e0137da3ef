// The launcher: one process without a database that knows all of them, and starts a worker where
// there is something to do.  Comes back however it ends; its workers leave when it has gone.
//
//   due --start--> working --left--> waiting for its next look, or the end of a lease --> due
//                     |
//                     +--died--> waiting a little longer each time --> due
#include "clock.hpp"
#include "databases.hpp"
#include "settings.hpp"

#include "../core/duties.hpp"
#include "../core/limits.hpp"

namespace faultline {

namespace {

// How often a database without the extension, or with one that no worker can serve, is looked at.
constexpr int64 probe_microseconds = 60 * core::microseconds_per_second;
// How soon a worker is asked to leave when somebody wants its database.
constexpr int64 watch_microseconds = 200 * core::microseconds_per_millisecond;

const char *reason_not_served(PassEnd end) {
    switch (end) {
    case PassEnd::not_adopted:
        return "Its jobs come from another instance: SELECT faultline.adopt(), if they are to run "
               "there.";
    case PassEnd::sql_too_old:
        return "The extension there is older than the library: ALTER EXTENSION faultline UPDATE.";
    default:
        return nullptr;
    }
}

void tell_pass_end(Database &database, PassEnd end) {
    const char *reason = reason_not_served(end);
    if (reason != nullptr && database.told != end)
        ereport(LOG, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                errmsg("the background worker of faultline leaves database \"%s\" alone",
                       database.name),
                errhint("%s", reason));
    database.told = end;
}

TimestampTz next_look_after(PassEnd end, TimestampTz asked_for, TimestampTz now) {
    switch (end) {
    case PassEnd::left:
        return asked_for;
    case PassEnd::occupied: // by a worker of a launcher before us, which is about to leave
        return now + settings::naptime_microseconds();
    default:
        return now + probe_microseconds;
    }
}

void settle_pass(Launcher &launcher, Database &database, TimestampTz now) {
    DatabaseSlot &slot = launcher.state->slots[database.slot];
    auto end = static_cast<PassEnd>(pg_atomic_read_u32(&slot.pass_end));
    pfree(database.worker);
    database.worker = nullptr;
    launcher.running--;
    if (end == PassEnd::none) {
        database.failures++;
        database.due_at = now + core::duty_back_off_milliseconds(database.failures) *
                                    core::microseconds_per_millisecond;
    } else {
        database.failures = 0;
        database.due_at = next_look_after(end, read_time(&slot.next_look), now);
    }
    tell_pass_end(database, end);
    write_time(&slot.next_look, database.due_at);
    pg_atomic_write_u64(&slot.latch, reinterpret_cast<uint64>(MyLatch));
}

bool has_stopped(const Database &database) {
    pid_t pid;
    return GetBackgroundWorkerPid(database.worker, &pid) == BGWH_STOPPED;
}

// Those whose worker has left, and those that somebody wants for himself.
void look_after_workers(Launcher &launcher, TimestampTz now) {
    for (int i = 0; i < launcher.state->slot_count; i++) {
        Database &database = launcher.databases[i];
        if (database.worker == nullptr)
            continue;
        if (has_stopped(database))
            settle_pass(launcher, database, now);
        else if (!database.listed || !settings::background_worker ||
                 database_is_wanted(database.oid))
            TerminateBackgroundWorker(database.worker);
    }
}

TimestampTz due_at(const Launcher &launcher, const Database &database) {
    if (!database.listed || database.worker != nullptr)
        return no_time;
    if (database.failures > 0)
        return database.due_at;
    return Min(database.due_at, read_time(&launcher.state->slots[database.slot].lease_end));
}

// The database that has been due for longest; null when none is.
Database *first_due(Launcher &launcher, TimestampTz *due) {
    Database *first = nullptr;
    *due = no_time;
    for (int i = 0; i < launcher.state->slot_count; i++) {
        TimestampTz at = due_at(launcher, launcher.databases[i]);
        if (at < *due) {
            *due = at;
            first = &launcher.databases[i];
        }
    }
    return first;
}

void tell_refusal(Launcher &launcher, const Database &database, bool refused, TimestampTz now) {
    bool refused_before = read_time(&launcher.state->refused_since) != 0;
    if (refused && !refused_before)
        ereport(LOG, errcode(ERRCODE_INSUFFICIENT_RESOURCES),
                errmsg("the server has no room for the faultline worker of database \"%s\"",
                       database.name),
                errdetail("All of max_worker_processes are in use; it is tried again."),
                errhint("Raise max_worker_processes."));
    if (!refused && refused_before)
        ereport(LOG, errmsg("the server has room for faultline workers again"));
    if (refused != refused_before)
        write_time(&launcher.state->refused_since, refused ? now : 0);
}

bool start_worker(Launcher &launcher, Database &database, TimestampTz now) {
    BackgroundWorker worker = {};
    snprintf(worker.bgw_name, sizeof(worker.bgw_name), "faultline worker for %s", database.name);
    strlcpy(worker.bgw_type, "faultline worker", sizeof(worker.bgw_type));
    strlcpy(worker.bgw_library_name, "faultline", sizeof(worker.bgw_library_name));
    strlcpy(worker.bgw_function_name, "faultline_worker_main", sizeof(worker.bgw_function_name));
    worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
    worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
    worker.bgw_restart_time = BGW_NEVER_RESTART;
    worker.bgw_notify_pid = MyProcPid;
    WorkerArguments arguments = {
        .database = database.oid, .slot = database.slot, .memory = launcher.memory};
    memcpy(worker.bgw_extra, &arguments, sizeof(arguments));
    pg_atomic_write_u32(&launcher.state->slots[database.slot].pass_end,
                        static_cast<uint32>(PassEnd::none));
    bool started = RegisterDynamicBackgroundWorker(&worker, &database.worker);
    if (started)
        launcher.running++;
    else
        database.worker = nullptr;
    tell_refusal(launcher, database, !started, now);
    return started;
}

// Starts workers where something is due; returns when it wants to look again.
TimestampTz start_workers(Launcher &launcher, TimestampTz now) {
    TimestampTz due = no_time;
    bool others_wait = false;
    while (settings::background_worker) {
        Database *database = first_due(launcher, &due);
        if (database == nullptr || due > now)
            break;
        if (database_is_wanted(database->oid)) {
            // Whoever wants it has it for as long as he needs; a worker would only wait.
            database->due_at = now + watch_microseconds;
            exchange_time(&launcher.state->slots[database->slot].lease_end, no_time);
            continue;
        }
        others_wait =
            launcher.running >= settings::workers_max || !start_worker(launcher, *database, now);
        if (others_wait) {
            due = now + settings::naptime_microseconds();
            break;
        }
    }
    pg_atomic_write_u32(&launcher.state->others_wait, others_wait ? 1 : 0);
    return due;
}

void nap(Launcher &launcher, TimestampTz until) {
    TimestampTz now = waiting_clock();
    until = Min(until, now + settings::naptime_microseconds());
    if (launcher.running > 0)
        until = Min(until, now + watch_microseconds);
    long milliseconds = until <= now ? 0 : (until - now + 999) / core::microseconds_per_millisecond;
    pgstat_report_activity(STATE_IDLE, nullptr);
    WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, milliseconds,
              wait_event_of("FaultlineLauncher"));
    ResetLatch(MyLatch);
}

// Exit status 1: the server starts the launcher again, unless it is shutting down.  With 0 it would
// not come back.
void answer_signals() {
    CHECK_FOR_INTERRUPTS();
    if (ShutdownRequestPending)
        proc_exit(1);
    if (ConfigReloadPending) {
        ConfigReloadPending = false;
        ProcessConfigFile(PGC_SIGHUP);
    }
}

// After the clock was set back: what the times mean that databases are due at, nobody knows.
void look_at_all(Launcher &launcher, TimestampTz now) {
    for (int i = 0; i < launcher.state->slot_count; i++) {
        launcher.databases[i].due_at = Min(launcher.databases[i].due_at, now);
        write_time(&launcher.state->slots[i].next_look, now);
    }
}

[[noreturn]] void launch(Launcher &launcher) {
    for (;;) {
        answer_signals();
        list_databases(launcher);
        TimestampTz now = waiting_clock();
        look_after_workers(launcher, now);
        if (clock_was_set_back())
            look_at_all(launcher, now);
        TimestampTz next = start_workers(launcher, now);
        // Started for one database, which has gone or has no extension any more: for good.
        if (launcher_is_superfluous(launcher))
            proc_exit(0);
        nap(launcher, next);
    }
}

void forget_launcher(int, Datum state) {
    pg_atomic_write_u32(&reinterpret_cast<WorkerState *>(DatumGetPointer(state))->launcher_pid, 0);
}

} // namespace

} // namespace faultline

extern "C" PGDLLEXPORT void faultline_launcher_main(Datum main_argument);

extern "C" void faultline_launcher_main(Datum main_argument) {
    using namespace faultline;
    pqsignal(SIGHUP, SignalHandlerForConfigReload);
    pqsignal(SIGTERM, SignalHandlerForShutdownRequest);
    pqsignal(SIGINT, SIG_IGN);
    BackgroundWorkerUnblockSignals();
    BackgroundWorkerInitializeConnection(nullptr, nullptr, 0);
    Oid only_database = DatumGetObjectId(main_argument);
    if (!claim_presence(Presence::launcher, only_database))
        proc_exit(0);
    Launcher *launcher = create_launcher(only_database);
    before_shmem_exit(forget_launcher, PointerGetDatum(launcher->state));
    pg_atomic_write_u32(&launcher->state->launcher_pid, static_cast<uint32>(MyProcPid));
    write_time(&launcher->state->refused_since, 0);
    launch(*launcher);
}
