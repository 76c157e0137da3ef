// Owns the frame of every transaction of the worker: who runs it, how long it may take, and what
// becomes of its errors.
#include "attempt.hpp"

#include "access.hpp"

namespace faultline {

volatile sig_atomic_t stop_requested = false;

namespace {

Oid own_user = InvalidOid; // the bootstrap superuser that the worker is connected as
int own_security_context = 0;

} // namespace

void handle_stop_request(SIGNAL_ARGS) {
    int saved_errno = errno;
    stop_requested = true;
    QueryCancelPending = true;
    InterruptPending = true;
    SetLatch(MyLatch);
    errno = saved_errno;
}

void begin_attempt(const Attempt &attempt) {
    SetCurrentStatementStartTimestamp();
    StartTransactionCommand();
    pgstat_report_activity(STATE_RUNNING, attempt.activity);
    enable_timeout_after(STATEMENT_TIMEOUT, attempt.milliseconds_max);
    GetUserIdAndSecContext(&own_user, &own_security_context);
    // Whatever somebody has hung on the tables runs with their owner's rights and leaves nothing
    // behind in this session.
    SetUserIdAndSecContext(owner_of_extension(),
                           SECURITY_LOCAL_USERID_CHANGE | SECURITY_RESTRICTED_OPERATION);
    SPI_connect();
    PushActiveSnapshot(GetTransactionSnapshot());
}

// Still as the owner, because the commit may run triggers, too.
void commit_attempt() {
    PopActiveSnapshot();
    SPI_finish();
    CommitTransactionCommand();
    SetUserIdAndSecContext(own_user, own_security_context);
    disable_timeout(STATEMENT_TIMEOUT, false);
    pgstat_report_stat(true);
    pgstat_report_activity(STATE_IDLE, nullptr);
}

void abandon_attempt(Attempt &attempt) {
    HOLD_INTERRUPTS();
    disable_all_timeouts(false);
    QueryCancelPending = false;
    MemoryContext caller_memory = CurrentMemoryContext;
    ErrorData *error = CopyErrorData();
    bool cancelled = error->sqlerrcode == ERRCODE_QUERY_CANCELED;
    attempt.cancelled_by_stop = cancelled && stop_requested;
    attempt.cut_off = cancelled && !stop_requested;
    strlcpy(attempt.error, error->message, sizeof(attempt.error));
    if (!attempt.cancelled_by_stop)
        EmitErrorReport();
    FreeErrorData(error);
    AbortCurrentTransaction();
    MemoryContextSwitchTo(caller_memory);
    FlushErrorState();
    pgstat_report_activity(STATE_IDLE, nullptr);
    RESUME_INTERRUPTS();
}

void run_statement(const char *statement, int count, const Oid *types, Datum *values,
                   const char *nulls) {
    int result =
        SPI_execute_with_args(statement, count, const_cast<Oid *>(types), values, nulls, false, 0);
    if (result != SPI_OK_SELECT)
        ereport(ERROR, errcode(ERRCODE_INTERNAL_ERROR),
                errmsg("unexpected result of a statement of the background worker: %s",
                       SPI_result_code_string(result)));
}

} // namespace faultline
