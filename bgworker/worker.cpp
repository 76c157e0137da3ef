// The worker of one database: stays while there is something to do, and leaves before it is in
// anybody's way.  Started by the launcher, never restarted by the server.
#include "worker.hpp"

#include "clock.hpp"
#include "duties.hpp"
#include "expire.hpp"
#include "instance.hpp"
#include "settings.hpp"

#include "../core/limits.hpp"

namespace faultline {

namespace {

// A worker that has nothing to do for longer leaves; starting one costs some hundredths of a
// second.
constexpr int64 linger_microseconds = 5 * core::microseconds_per_second;
// How often a database is looked at in which nothing happens.
constexpr int64 idle_microseconds = 60 * core::microseconds_per_second;

struct Worker {
    WorkerArguments arguments;
    WorkerState *state;
    DatabaseSlot *slot;
    TimestampTz came_at;
    bool told_by_sessions;
};

void install_signal_handlers() {
    pqsignal(SIGHUP, SignalHandlerForConfigReload);
    pqsignal(SIGTERM, handle_stop_request);
    BackgroundWorkerUnblockSignals();
}

void set_option(const char *name, const char *value) {
    SetConfigOption(name, value, PGC_SUSET, PGC_S_OVERRIDE);
}

// What a role or database has set for its sessions must not change what maintenance does.
void set_options() {
    char lock_timeout[32];
    snprintf(lock_timeout, sizeof(lock_timeout), "%d", settings::lock_timeout_milliseconds);
    set_option("lock_timeout", lock_timeout);
    set_option("search_path", "pg_catalog, pg_temp");
    set_option("statement_timeout", "0");
    set_option("idle_in_transaction_session_timeout", "0");
    set_option("default_transaction_isolation", "read committed");
    // A standby that does not answer must not hold up maintenance; what it does is done again.
    set_option("synchronous_commit", "local");
    set_option("max_parallel_workers_per_gather", "0");
    set_option("jit", "off");
}

bool function_exists(const char *name, int count, const Oid *types) {
    List *qualified = list_make2(makeString(pstrdup("faultline")), makeString(pstrdup(name)));
    return OidIsValid(LookupFuncName(qualified, count, types, true));
}

bool sql_is_new_enough() {
    static const Oid run_duty[] = {TEXTOID, INT4OID};
    return function_exists("duties", 0, nullptr) && function_exists("run_duty", 2, run_duty);
}

// Whether there is anything for a worker in this database.  Takes no lock that a DROP EXTENSION
// under way would make it wait for.
PassEnd look_at_database() {
    StartTransactionCommand();
    PushActiveSnapshot(GetTransactionSnapshot());
    PassEnd end = PassEnd::none;
    if (!OidIsValid(get_extension_oid("faultline", true)))
        end = PassEnd::no_extension;
    else if (!sql_is_new_enough())
        end = PassEnd::sql_too_old;
    PopActiveSnapshot();
    CommitTransactionCommand();
    return end;
}

bool jobs_are_adopted(bool *adopted) {
    Attempt attempt = {.activity = "faultline: looking whose jobs these are",
                       .milliseconds_max = settings::lock_timeout_milliseconds * 10 + 1000,
                       .cancelled_by_stop = false,
                       .error = ""};
    return run_attempt(attempt, [&] { *adopted = is_adopted(); });
}

void take_over_memory(DatabaseSlot *slot) {
    remember_expiry({.full_look_at = read_time(&slot->full_look_at),
                     .full_look_microseconds = read_time(&slot->full_look_microseconds)});
}

void hand_on_memory(DatabaseSlot *slot) {
    ExpiryMemory memory = expiry_memory();
    write_time(&slot->full_look_at, memory.full_look_at);
    write_time(&slot->full_look_microseconds, memory.full_look_microseconds);
}

[[noreturn]] void leave(Worker &worker, PassEnd end, TimestampTz next_look) {
    hand_on_memory(worker.slot);
    write_time(&worker.slot->next_look, next_look);
    pg_atomic_write_u32(&worker.slot->pass_end, static_cast<uint32>(end));
    proc_exit(0);
}

bool launcher_has_gone(const Worker &worker) {
    return pg_atomic_read_u32(&worker.state->launcher_pid) !=
           static_cast<uint32>(MyBgworkerEntry->bgw_notify_pid);
}

void apply_new_configuration() {
    if (!ConfigReloadPending)
        return;
    ConfigReloadPending = false;
    ProcessConfigFile(PGC_SIGHUP);
    set_options();
}

bool should_leave(const Worker &worker, const Duties &duties, TimestampTz now) {
    if (stop_requested || launcher_has_gone(worker) || !settings::background_worker)
        return true;
    if (pg_atomic_read_u32(&worker.state->others_wait) != 0 &&
        now - worker.came_at >= settings::naptime_microseconds())
        return true;
    return worker.told_by_sessions && next_due(duties) > now + linger_microseconds;
}

// A database in which nothing happened is left alone for longer; its next lease calls us earlier.
TimestampTz next_visit(const Worker &worker, const Duties &duties, TimestampTz now) {
    TimestampTz next = next_due(duties);
    if (!duties.something_done && worker.told_by_sessions)
        next = Min(Max(next, now + idle_microseconds), read_time(&worker.slot->lease_end));
    return next;
}

void nap(Worker &worker, const Duties &duties) {
    TimestampTz now = waiting_clock();
    TimestampTz until = Min(next_due(duties), now + settings::naptime_microseconds());
    write_time(&worker.slot->next_look, until);
    pg_memory_barrier(); // see publish_lease_end()
    until = Min(until, next_due(duties));
    long milliseconds = until <= now ? 0 : (until - now + 999) / core::microseconds_per_millisecond;
    WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, milliseconds,
              wait_event_of("FaultlineWorker"));
    ResetLatch(MyLatch);
}

// A cancel request that came between two transactions has nothing to cancel.
void answer_interrupts() {
    QueryCancelPending = false;
    CHECK_FOR_INTERRUPTS();
}

// Leaves, to be started again at once: all that was planned lies too far ahead.
[[noreturn]] void begin_anew(Worker &worker, Duties &duties) {
    write_down(duties, true);
    remember_expiry({});
    leave(worker, PassEnd::left, waiting_clock());
}

[[noreturn]] void serve(Worker &worker) {
    static Duties duties;
    duties = {};
    duties.slot = worker.slot;
    duties.told_by_sessions = worker.told_by_sessions;
    if (!load_duties(duties))
        leave(worker, stop_requested ? PassEnd::left : PassEnd::none, waiting_clock());
    for (;;) {
        answer_interrupts();
        apply_new_configuration();
        PassEnd end = look_at_database();
        if (end != PassEnd::none)
            leave(worker, end, no_time);
        if (clock_was_set_back())
            begin_anew(worker, duties);
        run_due_duties(duties);
        TimestampTz now = waiting_clock();
        if (should_leave(worker, duties, now)) {
            if (!stop_requested)
                write_down(duties, true);
            leave(worker, PassEnd::left, stop_requested ? now : next_visit(worker, duties, now));
        }
        write_down(duties, false);
        nap(worker, duties);
    }
}

WorkerState *attach_state(dsm_handle memory) {
    if (memory == DSM_HANDLE_INVALID)
        return shared_worker_state();
    dsm_segment *segment = dsm_attach(memory);
    if (segment == nullptr)
        return nullptr; // its launcher has gone
    dsm_pin_mapping(segment);
    return static_cast<WorkerState *>(dsm_segment_address(segment));
}

} // namespace

} // namespace faultline

extern "C" PGDLLEXPORT void faultline_worker_main(Datum main_argument);

extern "C" void faultline_worker_main(Datum) {
    using namespace faultline;
    Worker worker = {};
    memcpy(&worker.arguments, MyBgworkerEntry->bgw_extra, sizeof(worker.arguments));
    install_signal_handlers();
    CurrentResourceOwner = ResourceOwnerCreate(nullptr, "faultline worker");
    worker.state = attach_state(worker.arguments.memory);
    if (worker.state == nullptr)
        proc_exit(0);
    worker.slot = &worker.state->slots[worker.arguments.slot];
    BackgroundWorkerInitializeConnectionByOid(worker.arguments.database, InvalidOid, 0);
    worker.came_at = waiting_clock();
    // Under the virtual clock leases end at times that nobody can wait for.
    worker.told_by_sessions = worker.state->told_by_sessions && !settings::allow_virtual_clock;
    set_options();
    if (!claim_presence(Presence::worker, MyDatabaseId))
        leave(worker, PassEnd::occupied, no_time);
    pg_atomic_write_u64(&worker.slot->latch, reinterpret_cast<uint64>(MyLatch));
    take_over_memory(worker.slot);
    PassEnd end = look_at_database();
    bool adopted = false;
    if (end == PassEnd::none && jobs_are_adopted(&adopted) && !adopted)
        end = PassEnd::not_adopted;
    if (end != PassEnd::none) {
        exchange_time(&worker.slot->lease_end, no_time);
        leave(worker, end, no_time);
    }
    serve(worker);
}
