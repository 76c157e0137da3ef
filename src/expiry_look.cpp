// Owns the ways to find leases that have ended.  There is no index on leases: it would make
// every claim write to it.
#include "expiry_look.hpp"

#include "access.hpp"
#include "debug_point.hpp"
#include "leases/lease_end.hpp"
#include "storage/columns.hpp"
#include "storage/order.hpp"
#include "storage/relations.hpp"

#include "../core/lease.hpp"
#include "../core/limits.hpp"

namespace faultline {

namespace {

// So many waiting jobs in a row, and no running one will follow in this priority.
constexpr int waiting_jobs_passed_max = 200;

bool may_settle(TupleTableSlot *row) {
    return has_access(queue_of_job(read_int32(row, live_column::queue_id)), AccessLevel::operate);
}

void note_row(EndedLeases &leases, TupleTableSlot *row) {
    if (live_state(row) != core::JobState::running)
        return;
    if (!lease_expired(row, leases.now))
        leases.next_end = Min(leases.next_end, lease_end(row, leases.now));
    else if (leases.count < leases.jobs_max && may_settle(row))
        leases.job_ids[leases.count++] = read_int64(row, live_column::job_id);
}

void walk_queue(EndedLeases &leases, Finder &order, int32 queue_id) {
    int passed = 0;
    seek_priority(order, queue_id, core::priority_min);
    while (leases.count < leases.jobs_max && next_row(order)) {
        CHECK_FOR_INTERRUPTS();
        note_row(leases, order.slot);
        passed = live_state(order.slot) == core::JobState::running ? 0 : passed + 1;
        if (passed <= waiting_jobs_passed_max &&
            read_int64(order.slot, live_column::next_run_at) <= leases.now)
            continue;
        passed = 0;
        seek_next_priority(order, queue_id, priority_of(order.slot));
    }
}

bool find_next_queue(Finder &queues, int32 *queue_id) {
    ScanKeyData key;
    ScanKeyInit(&key, 1, BTGreaterStrategyNumber, F_INT4GT, Int32GetDatum(*queue_id));
    start_search(queues, &key);
    if (!next_row(queues))
        return false;
    *queue_id = read_int32(queues.slot, live_column::queue_id);
    return true;
}

} // namespace

void look_everywhere(EndedLeases &leases) {
    Relation table = open_relation(relation_ids().live_jobs, AccessShareLock);
    TupleTableSlot *slot = table_slot_create(table, nullptr);
    TableScanDesc scan = table_beginscan(table, GetActiveSnapshot(), 0, nullptr);
    bool enters = attach_leases(leases.now);
    while (leases.count < leases.jobs_max &&
           table_scan_getnextslot(scan, ForwardScanDirection, slot)) {
        CHECK_FOR_INTERRUPTS();
        note_row(leases, slot);
        if (enters && live_state(slot) == core::JobState::running)
            enter_lease_if_unknown({.job_id = read_int64(slot, live_column::job_id),
                                    .token = read_int64(slot, live_column::lease_token),
                                    .ends_at = lease_end(slot, leases.now),
                                    .attempt = read_int32(slot, live_column::attempt)});
    }
    table_endscan(scan);
    ExecDropSingleTupleTableSlot(slot);
    table_close(table, NoLock);
}

CandidateLeases collect_candidates(EndedLeases &leases) {
    CandidateLeases candidates = {};
    candidates.leases = static_cast<KnownLease *>(palloc(sizeof(KnownLease) * leases.jobs_max));
    candidates.count =
        collect_ended_leases(leases.now, candidates.leases, leases.jobs_max, &leases.next_end);
    debug_point(DebugPoint::look_after_memory);
    return candidates;
}

void look_at_candidates(EndedLeases &leases, const CandidateLeases &candidates) {
    Relation table = open_relation(relation_ids().live_jobs, AccessShareLock);
    Finder by_id = open_finder(table, relation_ids().live_jobs_pkey, GetActiveSnapshot(), 1);
    for (int i = 0; i < candidates.count; i++) {
        CHECK_FOR_INTERRUPTS();
        const KnownLease &lease = candidates.leases[i];
        ScanKeyData key;
        int64_key(&key, 1, lease.job_id);
        start_search(by_id, &key);
        // A lease is known only once its row is committed, and its token never comes back.
        if (!next_row(by_id) || !holds_lease(by_id.slot, lease.token)) {
            leave_lease(lease.job_id, lease.token);
            continue;
        }
        note_row(leases, by_id.slot);
        if (!lease_expired(by_id.slot, leases.now))
            correct_lease_end(lease, lease_end(by_id.slot, leases.now));
    }
    close_finder(by_id);
    table_close(table, NoLock);
}

void look_where_claims_begin(EndedLeases &leases) {
    Relation table = open_relation(relation_ids().live_jobs, AccessShareLock);
    Oid index = relation_ids().live_jobs_order;
    Finder queues = open_finder(table, index, GetActiveSnapshot(), 1);
    Finder order = open_order(table, GetActiveSnapshot());
    int32 queue_id = PG_INT32_MIN;
    while (leases.count < leases.jobs_max && find_next_queue(queues, &queue_id))
        walk_queue(leases, order, queue_id);
    close_finder(order);
    close_finder(queues);
    table_close(table, NoLock);
}

} // namespace faultline
