// Implements the first phase: steps, chaos, and the state in which a run begins.
#include "run.hpp"
#include "marks.hpp"

#include "faultline/error.hpp"

#include <fmt/format.h>

namespace faultline::simulator {

namespace {

constexpr std::int64_t second_us = 1'000'000;
constexpr int actor_pause_steps_max = 25;
constexpr int crash_while_waiting_per_mille = 100;

} // namespace

Run::Run(Cluster &cluster, const SeedPlan &plan, const RunOptions &options)
    : cluster_(cluster), plan_(plan), options_(options) {
    for (const Role role : plan.actors) {
        Actor &actor = actors_.emplace_back();
        actor.number = static_cast<int>(actors_.size());
        actor.role = role;
        actor.name = fmt::format("{}-{}", name_of(role), actor.number);
    }
}

RunReport Run::run() {
    prepare_database();
    for (int number = 1; number <= plan_.steps; ++number) {
        if (!options_.steps_left_out.contains(number)) {
            step(number);
        }
        if (!report_.violations.empty()) {
            break; // the rest would only hide where it began
        }
    }
    if (report_.violations.empty()) {
        quiet_down();
        drain();
        const FinalState final_state = read_final_state();
        const Checked checked = check_history(history_, final_state);
        report_.violations.insert(report_.violations.end(), checked.violations.begin(),
                                  checked.violations.end());
        report_.account = checked.account;
        report_.marks.merge(marks_of(history_, final_state));
    }
    return std::move(report_);
}

Session &Run::desk() {
    if (desk_ == nullptr || desk_->is_lost()) {
        desk_ = std::make_unique<Session>(conninfo_, "desk");
    }
    return *desk_;
}

// Sessions of both paths meet in one run.
Session &Run::session_of(Actor &actor) {
    if (!actor.session) {
        actor.session.emplace(conninfo_, actor.name);
        const Choice choice(plan_.seed, static_cast<std::uint64_t>(step_));
        const bool plain = choice.chance("plain", plan_.plain_per_mille);
        actor.session->execute(plain ? "SET faultline.fast_path = off"
                                     : "SET faultline.fast_path = on");
        history_.note({{"step", step_}, {"actor", actor.name}, {"fast_path", !plain}});
    }
    return *actor.session;
}

void Run::prepare_database() {
    conninfo_ = cluster_.fresh_database();
    set_clock(0);
    for (int number = 0; number < queue_count; ++number) {
        const QueuePlan &queue = plan_.queues[static_cast<std::size_t>(number)];
        // Without jitter, which would be the server's own chance.
        desk().execute("SELECT faultline.create_queue($1, max_attempts => $2, "
                       "lease => $3 * interval '1 s', backoff_base => $4 * interval '1 s', "
                       "backoff_max => '1 min', backoff_jitter => 0, keep_finished => '3650 days', "
                       "keep_keys => '3650 days', max_runtime => $5 * interval '1 s')",
                       {queue_name(number), queue.max_attempts, queue.lease_seconds,
                        queue.backoff_seconds, queue.max_runtime_seconds});
    }
    desk().execute("SELECT faultline.create_asset($1)", {asset});
    desk().execute("SELECT faultline.open_account($1, $2, min_balance => 0)",
                   {poor_account, asset});
    desk().execute("SELECT faultline.open_account('account0', $1)", {asset});
}

void Run::step(int number) {
    step_ = number;
    const Choice choice(plan_.seed, static_cast<std::uint64_t>(number));
    Actor &actor = actors_[static_cast<std::size_t>(choice.weighted("actor", plan_.actor_weights))];
    if (actor.role == Role::chaos) {
        chaos_step(choice);
    } else if (actor.parked != nullptr) {
        crash_while_waiting(actor, choice);
    } else if (actor.paused_until <= number) {
        actor_step(actor, choice);
    }
    settle_waiting();
    if (number % options_.check_every_steps == 0) {
        check_state("3650 days");
    }
}

void Run::actor_step(Actor &actor, const Choice &choice) {
    const auto happens = [&](Fault fault) {
        return !options_.faults_left_out.contains(fault) &&
               choice.chance(name_of(fault), plan_.per_mille(fault));
    };
    if (happens(Fault::actor_crash) && actor.session) {
        count(Fault::actor_crash);
        cut_connection(actor);
        forget(actor);
        history_.note({{"step", step_}, {"actor", actor.name}, {"fault", "actor_crash"}});
        return;
    }
    if (happens(Fault::actor_pause) && actor.transaction == 0) {
        count(Fault::actor_pause);
        actor.paused_until = step_ + 1 + choice.below("pause", actor_pause_steps_max);
        history_.note({{"step", step_}, {"actor", actor.name}, {"fault", "actor_pause"}});
        return;
    }
    std::optional<Call> call = next_call(actor, world_, plan_, choice, step_);
    if (!call) {
        return;
    }
    // It changes partitions: it would wait for every open transaction, and all others for it.
    const bool alone = parked_.empty() && ghosts_.empty() && world_.prepared.empty() &&
                       std::all_of(actors_.begin(), actors_.end(),
                                   [](const Actor &other) { return other.transaction == 0; });
    if (call->op == Op::maintain && !alone) {
        call = bounded_call(Op::expire_leases, 1000);
    }
    if (actor.transaction == 0 && !is_transaction_control(call->op) && call->op != Op::maintain &&
        choice.chance("transaction", plan_.transaction_per_mille)) {
        begin_transaction(actor, choice);
    }
    perform(actor, std::move(*call), choice);
}

// Its statement goes on without it, and may take effect.
void Run::crash_while_waiting(Actor &actor, const Choice &choice) {
    if (options_.faults_left_out.contains(Fault::actor_crash) ||
        plan_.per_mille(Fault::actor_crash) == 0 ||
        !choice.chance("crash while waiting", crash_while_waiting_per_mille)) {
        return;
    }
    Event &event = *std::exchange(actor.parked, nullptr);
    std::erase(parked_, &actor);
    count(event, Fault::actor_crash);
    actor.session->cut();
    lose_connection(actor, &event);
    forget(actor);
}

void Run::chaos_step(const Choice &choice) {
    const std::array weights = {plan_.weight(Op::set_clock), plan_.weight(Op::release_hold),
                                plan_.weight(Op::restart_server)};
    switch (choice.weighted("chaos", weights)) {
    case 1:
        release_hold();
        return;
    case 2:
        restart_server(choice);
        return;
    default:
        break;
    }
    constexpr std::int64_t steps_forward[] = {1, 2, 6, 11, 31, 31, 61, 61, 301, 4000, 86'400 + 7};
    constexpr std::int64_t steps_back[] = {3, 45, 3700, 2 * 86'400};
    if (!options_.faults_left_out.contains(Fault::clock_back) &&
        choice.chance(name_of(Fault::clock_back), plan_.per_mille(Fault::clock_back))) {
        count(Fault::clock_back);
        set_clock(now_us_ - steps_back[choice.below("back", 4)] * second_us);
        return;
    }
    count(Fault::clock_forward);
    set_clock(now_us_ + steps_forward[choice.below("forward", 11)] * second_us);
}

void Run::set_clock(std::int64_t now_us) {
    now_us_ = now_us;
    latest_us_ = std::max(latest_us_, now_us);
    desk().execute(fmt::format("SELECT faultline.set_clock({} + $1 * interval '1 microsecond')",
                               beginning_of_time),
                   {now_us});
    history_.note({{"step", step_}, {"op", "set_clock"}, {"t", now_us}});
}

void Run::hold(const std::string &point) {
    desk().execute("SELECT pg_advisory_lock(hashtext('faultline.debug_points'), hashtext($1))",
                   {point});
    held_point_ = point;
}

void Run::release_hold() {
    if (held_point_.empty()) {
        return;
    }
    history_.note({{"step", step_}, {"op", "release_hold"}, {"point", held_point_}});
    held_point_.clear();
    desk().execute("SELECT pg_advisory_unlock_all()");
}

void Run::check_state(const char *grace) {
    const client::Result result = desk().execute(
        "SELECT invariant, subject, detail FROM faultline.check_invariants($1)", {grace});
    for (int row = 0; row < result.row_count(); ++row) {
        const std::string name(result.text(row, 0));
        // What only has to happen in the end, and has a number from 101, is asked at the end.
        if (name < "INV_100") {
            violation(name, fmt::format("{}: {}", result.text(row, 1), result.text(row, 2)));
        }
    }
}

void Run::restart_server(const Choice &choice) {
    if (options_.faults_left_out.contains(Fault::server_restart)) {
        return;
    }
    const bool crashes = choice.chance("immediate", 700);
    count(crashes ? Fault::server_crash : Fault::server_restart);
    history_.note({{"step", step_}, {"op", "restart_server"}, {"immediate", crashes}});
    cluster_.restart(crashes);
    server_went_down();
}

} // namespace faultline::simulator
