// Owns the lists of leases that the current transaction has changed or holds; no lock.
#include "pending.hpp"

#include "lease_table.hpp"

#include "../storage/columns.hpp"
#include "../storage/table.hpp"
#include "../transaction_list.hpp"

namespace faultline {

namespace {

struct Step {
    KnownLease lease;
    SubTransactionId subtransaction;
    bool granted; // otherwise it ended
};

TransactionList<Step> steps;
TransactionList<int64> held_jobs;

void note_step(TupleTableSlot *row, bool granted) {
    KnownLease lease = {.job_id = read_int64(row, live_column::job_id),
                        .token = read_int64(row, live_column::lease_token),
                        .ends_at = read_int64(row, live_column::lease_expires_at),
                        .attempt = read_int32(row, live_column::attempt)};
    add(steps, {lease, GetCurrentSubTransactionId(), granted});
}

void take_step(const Step &step) {
    if (step.granted)
        enter_lease(step.lease);
    else
        leave_lease(step.lease.job_id, step.lease.token);
}

// The lists go with the memory of the transaction.
void forget_all() {
    for (int i = 0; i < held_jobs.count; i++)
        let_go_of_lease(held_jobs.items[i]);
    held_jobs = {};
    steps = {};
}

} // namespace

void note_lease_granted(TupleTableSlot *row) {
    if (leases_are_shared())
        note_step(row, true);
}

void note_lease_ended(TupleTableSlot *row) {
    if (leases_are_shared())
        note_step(row, false);
}

void hold_lease_until_end(int64 job_id) {
    if (!leases_are_shared())
        return;
    add(held_jobs, job_id);
    hold_lease(job_id);
}

// What was noted is told before the leases are let go of.
void pending_leases_on_commit() {
    for (int i = 0; i < steps.count; i++)
        take_step(steps.items[i]);
    forget_all();
}

void pending_leases_on_abort_or_prepare() { forget_all(); }

void pending_leases_on_subcommit(SubTransactionId ended, SubTransactionId parent) {
    for (int i = steps.count - 1; i >= 0 && steps.items[i].subtransaction == ended; i--)
        steps.items[i].subtransaction = parent;
}

void pending_leases_on_subabort(SubTransactionId ended) {
    while (steps.count > 0 && steps.items[steps.count - 1].subtransaction == ended)
        steps.count--;
}

} // namespace faultline
