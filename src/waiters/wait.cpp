// wait_for_jobs(): returns when claiming is worth while.
//
// It looks in short transactions of its own and sleeps between them, in none: no snapshot, no
// transaction id and no lock while it waits.  A procedure ends its transaction as VACUUM and CALL
// of a PL/pgSQL procedure with COMMIT do.  Interrupts are answered inside of a transaction only, so
// that every error finds one to abort.
#include "../access.hpp"
#include "../arguments.hpp"
#include "../clock.hpp"
#include "../instance.hpp"
#include "../policy.hpp"
#include "look.hpp"
#include "registry.hpp"

namespace faultline {

namespace {

struct Wait {
    Elements names;
    QueuePolicy *queues;
    int32 queue_ids[core::wait_queues_max];
    TimestampTz deadline; // real time
    int rounds;
};

void require_own_transaction(FunctionCallInfo fcinfo) {
    bool atomic = fcinfo->context == nullptr || !IsA(fcinfo->context, CallContext) ||
                  castNode(CallContext, fcinfo->context)->atomic;
    // What a procedural language keeps for its procedure would not survive us, and statements sent
    // ahead in the same pipeline would be committed unasked.
    if (atomic || SPI_inside_nonatomic_context() || (MyXactFlags & XACT_FLAGS_PIPELINING))
        ereport(ERROR, errcode(ERRCODE_INVALID_TRANSACTION_TERMINATION),
                errmsg("faultline.wait_for_jobs() must be a transaction of its own"),
                errdetail("It ends its transaction, so that nothing is held while it waits."),
                errhint("CALL it outside of BEGIN, functions, procedures and DO blocks, and in a "
                        "message without other statements."));
}

Wait read_arguments(FunctionCallInfo fcinfo) {
    Wait wait = {};
    wait.names = required_array(fcinfo, 0, "queues", TEXTOID, false);
    if (wait.names.count < 1 || wait.names.count > core::wait_queues_max)
        ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                errmsg("queues has an invalid number of elements"),
                errdetail("It has %d elements.", wait.names.count),
                errhint("Pass 1 to %d queues.", core::wait_queues_max));
    int64 length = bounded_interval(fcinfo, 1, "max_wait", core::wait_microseconds_default, 0,
                                    core::wait_microseconds_max);
    wait.deadline = add_microseconds(waiting_clock(), length);
    wait.queues = static_cast<QueuePolicy *>(palloc(sizeof(QueuePolicy) * wait.names.count));
    return wait;
}

// Asked in every round: the queue may be dropped, the right revoked, the extension gone.
void read_queues(Wait &wait) {
    require_adopted();
    for (int i = 0; i < wait.names.count; i++) {
        wait.queues[i] = require_queue(DatumGetTextPP(wait.names.values[i]));
        require_access(wait.queues[i], AccessLevel::worker);
        wait.queue_ids[i] = wait.queues[i].queue_id;
    }
}

// A client that went away must neither keep its place nor be woken for a job.
void notice_lost_client() {
    if (MyProcPort == nullptr || !WaitEventSetCanReportClosed() || pq_check_connection())
        return;
    ClientConnectionLost = true;
    InterruptPending = true;
}

// READ COMMITTED, whatever the default: a look wants to see the latest and to predict nothing.
void begin_round() {
    StartTransactionCommand();
    XactIsoLevel = XACT_READ_COMMITTED;
    notice_lost_client();
    CHECK_FOR_INTERRUPTS();
}

// Until the planned look.  Outside of a transaction: nothing here may raise.
void sleep_until_look(TimestampTz deadline) {
    while (!InterruptPending) {
        TimestampTz look_at = planned_look();
        TimestampTz until = Min(deadline, look_at);
        TimestampTz now = waiting_clock();
        if (until <= now)
            return;
        WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
                  TimestampDifferenceMilliseconds(now, until),
                  wait_event_of("FaultlineWaitForJobs"));
        ResetLatch(MyLatch);
    }
}

// When the rows are to be looked at again if nobody sets the latch.
TimestampTz next_look(const ReadyLook &look, TimestampTz began_at) {
    TimestampTz now = waiting_clock();
    int64 pause =
        waiters_share_memory() ? core::wait_look_microseconds : core::wait_poll_microseconds;
    pause = Max(pause, (now - began_at) * core::wait_look_cost_factor);
    return now + Min(pause, look.microseconds_to_due);
}

// Several jobs that nobody was told of, such as delayed ones: the others want to know as well.
int jobs_worth_counting(const Wait &wait, bool granted) {
    return wait.rounds > 0 && !granted ? Max(1, waiters_in_line()) : 1;
}

// Returns inside of the transaction that found something, or found that time is up.
void wait_in_rounds(Wait &wait) {
    for (;; wait.rounds++) {
        begin_round();
        read_queues(wait);
        // Before the look: a commit that it does not see sees us.
        bool granted = enter_line(wait.queue_ids, wait.names.count);
        TimestampTz began_at = waiting_clock();
        ReadyLook look =
            look_for_jobs(wait.queues, wait.names.count, jobs_worth_counting(wait, granted));
        if (look.ready_count > 0 || waiting_clock() >= wait.deadline) {
            leave_line(look.queue_id);
            wake_waiters(look.queue_id, look.ready_count - 1);
            return;
        }
        plan_look(next_look(look, began_at));
        CommitTransactionCommand();
        sleep_until_look(wait.deadline);
    }
}

} // namespace

} // namespace faultline

FAULTLINE_FUNCTION(faultline_wait_for_jobs) {
    using namespace faultline;
    require_own_transaction(fcinfo);
    PreventCommandIfReadOnly("faultline.wait_for_jobs()");
    Wait wait = read_arguments(fcinfo);
    read_queues(wait);
    MemoryContext caller = CurrentMemoryContext;
    hand_on_wakeup();
    ForgetPortalSnapshots();
    CommitTransactionCommand();
    wait_in_rounds(wait);
    MemoryContextSwitchTo(caller);
    return static_cast<Datum>(0);
}
