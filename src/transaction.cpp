// Owns the per-transaction memory of a backend: the leases it took, whether it may be prepared, and
// whether it called a verb.
#include "transaction.hpp"

#include "asynchronous_claims.hpp"
#include "debug_point.hpp"
#include "leases/pending.hpp"
#include "transaction_list.hpp"
#include "waiters/arrivals.hpp"
#include "waiters/registry.hpp"
#include "window/pending.hpp"
#include "worker_state.hpp"

namespace faultline {

namespace {

TransactionList<int64> claimed_tokens;
bool prepare_forbidden = false;
bool verb_called = false;
TimestampTz earliest_lease_end = no_time;

void forget_transaction() {
    claimed_tokens = {};
    prepare_forbidden = false;
    verb_called = false;
    earliest_lease_end = no_time;
    forget_claim_writes();
    end_arrivals();
}

void on_transaction_event(XactEvent event, void *) {
    switch (event) {
    case XACT_EVENT_PRE_PREPARE:
        if (prepare_forbidden)
            ereport(ERROR, errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                    errmsg("cannot PREPARE a transaction that has claimed or extended a job"),
                    errdetail("A prepared lease would hold its row after its session is gone."),
                    errhint("Commit claim() and extend() in transactions of their own."));
        break;
    case XACT_EVENT_PRE_COMMIT:
        if (verb_called)
            debug_point(DebugPoint::transaction_pre_commit);
        choose_commit_flush();
        break;
    case XACT_EVENT_COMMIT:
        check_commit_flush();
        if (verb_called)
            debug_point(DebugPoint::transaction_committed);
        // The worker that is told when to look must find what to look at.
        pending_leases_on_commit();
        if (earliest_lease_end != no_time)
            publish_lease_end(earliest_lease_end);
        pending_hints_on_commit_or_prepare();
        tell_arrivals();
        forget_transaction();
        break;
    case XACT_EVENT_ABORT:
        pending_hints_on_abort();
        give_back_arrivals();
        abandon_wait();
        pending_leases_on_abort_or_prepare();
        forget_transaction();
        break;
    case XACT_EVENT_PREPARE:
        pending_hints_on_commit_or_prepare();
        pending_leases_on_abort_or_prepare();
        forget_transaction();
        break;
    default:
        break;
    }
}

void on_subtransaction_event(SubXactEvent event, SubTransactionId ended, SubTransactionId parent,
                             void *) {
    if (event == SUBXACT_EVENT_COMMIT_SUB) {
        pending_hints_on_subcommit(ended, parent);
        pending_leases_on_subcommit(ended, parent);
        keep_subtransaction();
    } else if (event == SUBXACT_EVENT_ABORT_SUB) {
        pending_hints_on_subabort(ended);
        pending_leases_on_subabort(ended);
        undo_subtransaction();
    }
}

} // namespace

void begin_verb(const char *signature) {
    PreventCommandIfReadOnly(signature);
    PreventCommandIfParallelMode(signature);
    verb_called = true;
    CommandCounterIncrement();
    PushActiveSnapshot(GetTransactionSnapshot());
}

void end_verb() { PopActiveSnapshot(); }

void remember_claim(int64 lease_token) { add(claimed_tokens, lease_token); }

// Searched by those alone who complete what they have just claimed, which is an error.
bool claimed_in_this_transaction(int64 lease_token) {
    for (int i = claimed_tokens.count; i > 0; i--)
        if (claimed_tokens.items[i - 1] == lease_token)
            return true;
    return false;
}

void remember_lease_end(TimestampTz lease_end) {
    earliest_lease_end = Min(earliest_lease_end, lease_end);
}

void forbid_prepare() { prepare_forbidden = true; }

Snapshot register_newest_snapshot() {
    return RegisterSnapshot(IsolationUsesXactSnapshot() ? GetTransactionSnapshot()
                                                        : GetLatestSnapshot());
}

void register_transaction_callbacks() {
    RegisterXactCallback(on_transaction_event, nullptr);
    RegisterSubXactCallback(on_subtransaction_event, nullptr);
}

} // namespace faultline
