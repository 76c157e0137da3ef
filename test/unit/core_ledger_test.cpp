// The ledger's states, and what reconciliation does in each combination of job, entry and state.
#include <set>
#include <string_view>

#include <catch2/catch.hpp>

#include "core/ledger.hpp"

using namespace faultline::core;

namespace {

struct Combination {
    JobSituation job;
    EntrySituation entry;
    TransactionState state;
    ReconcileRule rule() const { return reconcile_rule(job, entry, state); }
};

template <typename Check> void for_all_combinations(Check check) {
    int count = 0;
    for (const JobSituation job : job_situations) {
        for (const EntrySituation entry : entry_situations) {
            for (const TransactionState state : transaction_states) {
                INFO(job_situation_name(job) << ", entry " << entry_situation_name(entry) << ", "
                                             << transaction_state_name(state));
                check(Combination{job, entry, state});
                count++;
            }
        }
    }
    CHECK(count == 8 * 3 * 4);
}

// The state that a rule leads to; R1 and R2 move the job, R5 nothing.
TransactionState state_after(const Combination &found) {
    switch (found.rule()) {
    case ReconcileRule::r0_applied:
        return TransactionState::applied;
    case ReconcileRule::r3_failed:
        return TransactionState::failed;
    case ReconcileRule::r4_reconciled:
        return TransactionState::reconciled;
    default:
        return found.state;
    }
}

bool moves_transaction(ReconcileRule rule) {
    return rule == ReconcileRule::r0_applied || rule == ReconcileRule::r3_failed ||
           rule == ReconcileRule::r4_reconciled;
}

bool settles_job(ReconcileRule rule) {
    return rule == ReconcileRule::r1_succeeded || rule == ReconcileRule::r2_settled;
}

} // namespace

TEST_CASE("a transaction has three legal steps, and two final states", "[core][ledger]") {
    int legal = 0;
    for (const TransactionState from : transaction_states) {
        for (const TransactionState to : transaction_states) {
            legal += transaction_step_allowed(from, to) ? 1 : 0;
        }
    }
    CHECK(legal == 3);
    CHECK(transaction_step_allowed(TransactionState::init, TransactionState::applied));
    CHECK(transaction_step_allowed(TransactionState::init, TransactionState::failed));
    CHECK(transaction_step_allowed(TransactionState::applied, TransactionState::reconciled));
}

TEST_CASE("names of states, situations and rules differ", "[core][ledger]") {
    std::set<std::string_view> names;
    for (const TransactionState state : transaction_states) {
        names.insert(transaction_state_name(state));
    }
    for (const JobSituation job : job_situations) {
        names.insert(job_situation_name(job));
    }
    for (const EntrySituation entry : entry_situations) {
        names.insert(entry_situation_name(entry));
    }
    CHECK(names.size() == 4 + 8 + 3);
    CHECK(names.count("unknown") == 0);
}

TEST_CASE("reconciliation moves transactions along legal steps only", "[core][ledger]") {
    for_all_combinations([](const Combination &found) {
        const TransactionState after = state_after(found);
        if (moves_transaction(found.rule())) {
            CHECK(transaction_step_allowed(found.state, after));
            CHECK(open_steps(after) < open_steps(found.state));
        }
    });
}

TEST_CASE("what reconciliation has moved agrees with the entry", "[core][ledger]") {
    for_all_combinations([](const Combination &found) {
        if (moves_transaction(found.rule())) {
            CHECK(found.entry != EntrySituation::different);
            CHECK(transaction_has_entry(state_after(found)) ==
                  (found.entry == EntrySituation::equal));
        }
    });
}

TEST_CASE("final states get no rule but a finding, or their job's", "[core][ledger]") {
    for_all_combinations([](const Combination &found) {
        if (open_steps(found.state) == 0) {
            CHECK_FALSE(moves_transaction(found.rule()));
            CHECK((found.rule() == ReconcileRule::nothing ||
                   found.rule() == ReconcileRule::r5_finding || settles_job(found.rule())));
        }
    });
}

TEST_CASE("an entry with other content is never built on", "[core][ledger]") {
    for_all_combinations([](const Combination &found) {
        if (found.entry == EntrySituation::different) {
            CHECK(found.rule() == ReconcileRule::r5_finding);
        }
    });
}

TEST_CASE("a job is settled when its lease has ended, by what its entry says", "[core][ledger]") {
    for_all_combinations([](const Combination &found) {
        if (settles_job(found.rule())) {
            CHECK(found.job == JobSituation::lease_ended);
            CHECK((found.rule() == ReconcileRule::r1_succeeded) ==
                  (found.entry == EntrySituation::equal));
        }
    });
}

TEST_CASE("a live worker is left alone", "[core][ledger]") {
    CHECK(reconcile_rule(JobSituation::running, EntrySituation::none, TransactionState::init) ==
          ReconcileRule::nothing);
    CHECK(reconcile_rule(JobSituation::running, EntrySituation::equal, TransactionState::applied) ==
          ReconcileRule::nothing);
    CHECK(reconcile_rule(JobSituation::queued, EntrySituation::none, TransactionState::init) ==
          ReconcileRule::nothing);
}

// Nothing is left open for ever: whatever is open waits for a job that is not over, or has a rule.
TEST_CASE("an open transaction of an ended job has a rule", "[core][ledger]") {
    for_all_combinations([](const Combination &found) {
        if (open_steps(found.state) > 0 && job_is_over(found.job)) {
            CHECK(found.rule() != ReconcileRule::nothing);
        }
    });
}

// R0 is followed by the rule of APPLIED, in the same pass; after that a second pass changes
// nothing.
TEST_CASE("the rules end", "[core][ledger]") {
    for_all_combinations([](const Combination &found) {
        Combination now = found;
        int steps = 0;
        while (moves_transaction(now.rule())) {
            now.state = state_after(now);
            steps++;
            REQUIRE(steps <= open_steps(found.state));
        }
        CHECK_FALSE(moves_transaction(now.rule()));
    });
}

// A disagreement that no rule repairs is reported, never passed over in silence.
TEST_CASE("state and entry disagree nowhere without a rule", "[core][ledger]") {
    for_all_combinations([](const Combination &found) {
        const bool has_entry = found.entry == EntrySituation::equal;
        if (found.entry != EntrySituation::different &&
            has_entry != transaction_has_entry(found.state)) {
            CHECK((found.rule() == ReconcileRule::r5_finding ||
                   found.rule() == ReconcileRule::r0_applied));
        }
    });
}
