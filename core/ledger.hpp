// The ledger's rules: states of a transaction, and what reconciliation does with what it finds.
// Pure rules: no PostgreSQL, no clock, no allocation.
#pragma once

#include "job_state.hpp"

#include <array>
#include <cstdint>
#include <string_view>

namespace faultline::core {

// The letter is what ledger_transactions.state holds.
enum class TransactionState : char {
    init = 'i',
    applied = 'a',
    reconciled = 'r',
    failed = 'f',
};

inline constexpr std::array<TransactionState, 4> transaction_states = {
    TransactionState::init, TransactionState::applied, TransactionState::reconciled,
    TransactionState::failed};

constexpr std::string_view transaction_state_name(TransactionState state) {
    switch (state) {
    case TransactionState::init:
        return "INIT";
    case TransactionState::applied:
        return "APPLIED";
    case TransactionState::reconciled:
        return "RECONCILED";
    case TransactionState::failed:
        return "FAILED";
    }
    return "unknown";
}

// Reconciled and failed are final; what was applied is undone only by another transaction.
constexpr bool transaction_step_allowed(TransactionState from, TransactionState to) {
    switch (from) {
    case TransactionState::init:
        return to == TransactionState::applied || to == TransactionState::failed;
    case TransactionState::applied:
        return to == TransactionState::reconciled;
    case TransactionState::reconciled:
    case TransactionState::failed:
        return false;
    }
    return false;
}

constexpr bool transaction_has_entry(TransactionState state) {
    return state == TransactionState::applied || state == TransactionState::reconciled;
}

static_assert(transaction_step_allowed(TransactionState::init, TransactionState::applied));
static_assert(!transaction_step_allowed(TransactionState::init, TransactionState::reconciled));
static_assert(!transaction_step_allowed(TransactionState::applied, TransactionState::failed));

// Where reconciliation finds the job of a transaction.
enum class JobSituation {
    queued,
    running,
    lease_ended,
    succeeded,
    failed,
    cancelled,
    replaced, // redriven: the job has gone on to a later generation
    gone,     // its history has aged out, or its queue was dropped
};
inline constexpr std::array<JobSituation, 8> job_situations = {
    JobSituation::queued,    JobSituation::running, JobSituation::lease_ended,
    JobSituation::succeeded, JobSituation::failed,  JobSituation::cancelled,
    JobSituation::replaced,  JobSituation::gone};

constexpr std::string_view job_situation_name(JobSituation situation) {
    switch (situation) {
    case JobSituation::queued:
        return "queued";
    case JobSituation::running:
        return "running";
    case JobSituation::lease_ended:
        return "lease_ended";
    case JobSituation::succeeded:
        return "succeeded";
    case JobSituation::failed:
        return "failed";
    case JobSituation::cancelled:
        return "cancelled";
    case JobSituation::replaced:
        return "replaced";
    case JobSituation::gone:
        return "gone";
    }
    return "unknown";
}

enum class EntrySituation { none, equal, different };
inline constexpr std::array<EntrySituation, 3> entry_situations = {
    EntrySituation::none, EntrySituation::equal, EntrySituation::different};

constexpr std::string_view entry_situation_name(EntrySituation situation) {
    switch (situation) {
    case EntrySituation::none:
        return "none";
    case EntrySituation::equal:
        return "equal";
    case EntrySituation::different:
        return "different";
    }
    return "unknown";
}

enum class ReconcileRule {
    nothing,       // consistent; final, or waiting for its worker
    r0_applied,    // INIT with an equal entry: APPLIED
    r1_succeeded,  // lease ended, entry exists: the job succeeded
    r2_settled,    // lease ended, no entry: retried, cancelled or failed for good
    r3_failed,     // INIT, nobody will apply it any more: FAILED
    r4_reconciled, // APPLIED and the job succeeded: RECONCILED
    r5_finding,    // anything else that does not agree: reported, not repaired
};

constexpr std::string_view reconcile_rule_name(ReconcileRule rule) {
    switch (rule) {
    case ReconcileRule::nothing:
        return "none";
    case ReconcileRule::r0_applied:
        return "R0";
    case ReconcileRule::r1_succeeded:
        return "R1";
    case ReconcileRule::r2_settled:
        return "R2";
    case ReconcileRule::r3_failed:
        return "R3";
    case ReconcileRule::r4_reconciled:
        return "R4";
    case ReconcileRule::r5_finding:
        return "R5";
    }
    return "unknown";
}

// Nobody is going to apply anything for a job in this situation.
constexpr bool job_is_over(JobSituation job) {
    return job == JobSituation::succeeded || job == JobSituation::failed ||
           job == JobSituation::cancelled || job == JobSituation::replaced ||
           job == JobSituation::gone;
}

// The one rule that applies, for each combination.  A job without a row any more counts as
// succeeded when it has an entry: with an entry it cannot have ended in any other way.
constexpr ReconcileRule reconcile_rule(JobSituation job, EntrySituation entry,
                                       TransactionState state) {
    if (entry == EntrySituation::different)
        return ReconcileRule::r5_finding;
    bool has_entry = entry == EntrySituation::equal;
    if (state == TransactionState::init && has_entry)
        return ReconcileRule::r0_applied;
    if (has_entry != transaction_has_entry(state))
        return ReconcileRule::r5_finding;
    if (has_entry && (job == JobSituation::queued || job == JobSituation::failed ||
                      job == JobSituation::cancelled || job == JobSituation::replaced))
        return ReconcileRule::r5_finding;
    if (job == JobSituation::lease_ended)
        return has_entry ? ReconcileRule::r1_succeeded : ReconcileRule::r2_settled;
    if (state == TransactionState::init && job_is_over(job))
        return ReconcileRule::r3_failed;
    if (state == TransactionState::applied && job_is_over(job))
        return ReconcileRule::r4_reconciled;
    if (state == TransactionState::failed &&
        (job == JobSituation::queued || job == JobSituation::running ||
         job == JobSituation::succeeded))
        return ReconcileRule::r5_finding;
    return ReconcileRule::nothing;
}

// Every move brings its transaction nearer to a final state; so reconciliation ends.
constexpr int open_steps(TransactionState state) {
    switch (state) {
    case TransactionState::init:
        return 2;
    case TransactionState::applied:
        return 1;
    case TransactionState::reconciled:
    case TransactionState::failed:
        return 0;
    }
    return 0;
}

} // namespace faultline::core
