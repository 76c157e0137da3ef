// Implements the second phase: faults stop, everybody's loose ends are tied, and then healthy
// workers must bring every job to an end within the bound.
#include "run.hpp"

#include "faultline/error.hpp"

#include <fmt/format.h>

namespace faultline::simulator {

namespace {

constexpr std::int64_t second_us = 1'000'000;
// A round lasts longer than any lease and any back-off, so each brings every job at least one step
// on: a lease that is held ends, a job that waits is run. A job has at most as many attempts as the
// largest max_attempts (5), and one round may pass before its first and after its last.
constexpr int rounds_max = 2 * 5 + 2;
constexpr std::int64_t round_us = 3700 * second_us;

} // namespace

void Run::quiet_down() {
    step_ = plan_.steps + 1;
    history_.note({{"phase", "liveness"}});
    release_hold();
    // Those who end their transactions let the others go on.
    bool again = true;
    while (again) {
        again = false;
        settle_waiting();
        for (Actor &actor : actors_) {
            if (actor.parked == nullptr && actor.transaction != 0) {
                const Choice choice(plan_.seed, static_cast<std::uint64_t>(step_) + actor.number);
                Call call = plain_call(choice.chance("keeps", 500) ? Op::commit : Op::rollback);
                Event &event =
                    history_.begin(step_, now_us_, actor.number, actor.name, std::move(call));
                event.transaction = event.call.op == Op::commit ? actor.transaction : 0;
                event.snapshot = actor.snapshot;
                actor.session->send(event.call.sql);
                wait_or_park(actor, event, Fault::none);
                again = true;
            }
        }
        if (!again && !world_.prepared.empty()) {
            again = true;
            end_prepared();
        }
    }
    if (!parked_.empty() || !ghosts_.empty()) {
        violation("LIVENESS", "a statement still waits though every transaction has ended");
    }
    for (Actor &actor : actors_) {
        actor.session.reset();
    }
}

// One whose fate nobody knows is decided by whether it is still there.
void Run::end_prepared() {
    for (const int transaction : std::exchange(world_.prepared, {})) {
        const std::string gid = fmt::format("simulated{}", transaction);
        const bool present =
            desk().execute("SELECT 1 FROM pg_prepared_xacts WHERE gid = $1", {gid}).row_count() > 0;
        if (present) {
            desk().execute(fmt::format("COMMIT PREPARED '{}'", gid));
        }
        history_.decide_transaction(transaction, present ? Fate::committed : Fate::unknown);
    }
    settle_waiting();
}

int Run::live_jobs() {
    return static_cast<int>(
        desk()
            .execute("SELECT count(*) FROM faultline.jobs WHERE state IN ('queued', 'running')")
            .bigint(0, 0));
}

// The faultless worker: whatever is declared is applied, everything else completed.
void Run::drain_queue(Session &session, int queue) {
    Call claim = claim_call(queue, "drain", 1000);
    Answer answer;
    read_answer(claim, session.execute(claim.sql, claim.parameters), answer);
    Event &event = history_.begin(step_, now_us_, 0, "drain", std::move(claim));
    event.answer = answer;
    history_.end(event, Ending::ok, Fate::committed);
    std::vector<Item> items;
    for (const Grant &grant : answer.grants) {
        items.push_back({.job = grant.job, .token = grant.token});
    }
    if (items.empty()) {
        return;
    }
    Call completion = many_call(Op::apply_and_complete_many, items);
    Event &completed = history_.begin(step_, now_us_, 0, "drain", std::move(completion));
    read_answer(completed.call, session.execute(completed.call.sql, completed.call.parameters),
                completed.answer);
    history_.end(completed, Ending::ok, Fate::committed);
    for (const Verdict &verdict : completed.answer.verdicts) {
        // The poor account cannot pay: the attempt fails, until the job becomes a dead letter.
        if (verdict.verdict == "insufficient_funds") {
            fail_drained(session, completed.call, verdict.job);
        }
    }
}

void Run::fail_drained(Session &session, const Call &completion, std::int64_t job) {
    for (const Item &item : completion.items) {
        if (item.job != job) {
            continue;
        }
        Event &event = history_.begin(step_, now_us_, 0, "drain", fail_call(item, false, -1));
        read_answer(event.call, session.execute(event.call.sql, event.call.parameters),
                    event.answer);
        history_.end(event, Ending::ok, Fate::committed);
    }
}

void Run::drain() {
    Session &session = desk();
    for (int queue = 0; queue < queue_count; ++queue) {
        session.execute("SELECT faultline.resume_queue($1)", {queue_name(queue)});
    }
    set_clock(latest_us_);
    while (live_jobs() > 0) {
        if (++report_.liveness_rounds > rounds_max) {
            violation("LIVENESS", fmt::format("{} jobs are still live after {} rounds", live_jobs(),
                                              rounds_max));
            return;
        }
        set_clock(now_us_ + round_us);
        session.execute("SELECT faultline.maintain()");
        // Those that were delayed or backing off are due by now.
        for (int queue = 0; queue < queue_count; ++queue) {
            drain_queue(session, queue);
        }
    }
    session.execute("SELECT faultline.maintain()");
    session.execute("SELECT faultline.maintain()");
    const client::Result again =
        session.execute("SELECT coalesce(sum(rows), 0)::bigint FROM faultline.reconcile()");
    if (again.bigint(0, 0) != 0) {
        violation("LIVENESS", "reconciliation finds something to do after it has done everything");
    }
    check_state("3650 days");
    check_eventual();
}

// With no grace: what had to happen in the end has happened.
void Run::check_eventual() {
    const client::Result result = desk().execute(
        "SELECT invariant, subject, detail FROM faultline.check_invariants('0') "
        "WHERE invariant IN ('INV_101', 'INV_102', 'INV_103', 'INV_104', 'INV_105', 'INV_106')");
    for (int row = 0; row < result.row_count(); ++row) {
        violation(std::string(result.text(row, 0)),
                  fmt::format("{}: {}", result.text(row, 1), result.text(row, 2)));
    }
    // The audit looked in while leases were overdue and the clock went back; that was told then.
    const client::Result findings = desk().execute(
        "SELECT code, subject, evidence FROM faultline.findings WHERE code NOT LIKE 'INV_1__' "
        "AND code NOT IN ('INV_021', 'INV_032')");
    for (int row = 0; row < findings.row_count(); ++row) {
        violation("FINDING", fmt::format("{} {}: {}", findings.text(row, 0), findings.text(row, 1),
                                         findings.text(row, 2)));
    }
}

FinalState Run::read_final_state() {
    FinalState state;
    const client::Result jobs =
        desk().execute("SELECT job_id, state, attempt, payload ->> 'label', idempotency_key "
                       "FROM faultline.jobs ORDER BY job_id");
    for (int row = 0; row < jobs.row_count(); ++row) {
        state.jobs.push_back({jobs.bigint(row, 0), std::string(jobs.text(row, 1)),
                              jobs.integer(row, 2), jobs.optional_text(row, 3).value_or(""),
                              jobs.optional_text(row, 4).value_or("")});
    }
    const client::Result steps = desk().execute(
        "SELECT job_id, coalesce(lease_token, 0), attempt, generation, "
        "coalesce(from_state::text, ' '), to_state FROM faultline.job_events ORDER BY event_id");
    for (int row = 0; row < steps.row_count(); ++row) {
        state.steps.push_back({steps.bigint(row, 0), steps.bigint(row, 1), steps.integer(row, 2),
                               steps.integer(row, 3), steps.text(row, 4).front(),
                               steps.text(row, 5).front()});
    }
    const client::Result entries = desk().execute(
        "SELECT entry_id, job_id, transaction_id FROM faultline.ledger_entries ORDER BY entry_id");
    for (int row = 0; row < entries.row_count(); ++row) {
        state.entries.push_back({entries.bigint(row, 0),
                                 entries.is_null(row, 1) ? 0 : entries.bigint(row, 1),
                                 std::string(entries.text(row, 2))});
    }
    const client::Result failed = desk().execute(
        "SELECT job_id, lease_token FROM faultline.ended_attempts WHERE outcome = 'f'");
    for (int row = 0; row < failed.row_count(); ++row) {
        state.failed_attempts.push_back({failed.bigint(row, 0), failed.bigint(row, 1)});
    }
    const client::Result expired =
        desk().execute("SELECT DISTINCT error FROM faultline.ended_attempts WHERE outcome = 'x'");
    for (int row = 0; row < expired.row_count(); ++row) {
        state.errors_of_expiry.emplace_back(expired.text(row, 0));
    }
    return state;
}

} // namespace faultline::simulator
