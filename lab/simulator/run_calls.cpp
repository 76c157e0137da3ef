// Implements one call of an actor: the fault that strikes it, the wait for others, the answer.
#include "marks.hpp"
#include "run.hpp"

#include "faultline/error.hpp"

#include <chrono>
#include <fmt/format.h>
#include <stdexcept>

namespace faultline::simulator {

namespace {

using Clock = std::chrono::steady_clock;

constexpr int first_look_milliseconds = 4;
constexpr int look_milliseconds_max = 50;
// No statement takes so long that nobody holds up, so that the seed alone decides which end by it.
constexpr int statement_timeout_milliseconds = 1'000;
constexpr std::chrono::seconds answer_seconds_max{60};
// Beyond that the order in which those who wait are woken would depend on the machine.
constexpr std::size_t parked_max = 3;
constexpr int keeps_rolled_back_lease_per_mille = 300;

using Points = std::vector<std::string>;

bool is_verb(Op op) { return !points_of(op).empty(); }

const char *action_of(Fault fault) {
    switch (fault) {
    case Fault::error_at_point:
        return "error";
    case Fault::exit_at_point:
        return "exit";
    case Fault::kill_at_point:
        return "kill";
    case Fault::answer_lost_after_commit:
        return "drop_connection";
    default:
        return "wait";
    }
}

bool waits_at_point(Fault fault) {
    return fault == Fault::hold_at_point || fault == Fault::cancel_at_point ||
           fault == Fault::statement_timeout;
}

bool is_at_point(Fault fault) {
    return waits_at_point(fault) || fault == Fault::error_at_point ||
           fault == Fault::exit_at_point || fault == Fault::kill_at_point;
}

} // namespace

Fault Run::pick_fault(const Actor &actor, const Call &call, const Choice &choice) const {
    constexpr Fault candidates[] = {
        Fault::cut_before_send,          Fault::cut_after_send, Fault::kill_at_point,
        Fault::answer_lost_after_commit, Fault::hold_at_point,  Fault::cancel_at_point,
        Fault::statement_timeout,        Fault::error_at_point, Fault::exit_at_point};
    const bool commits = call.op == Op::commit || (actor.transaction == 0 && is_verb(call.op));
    for (const Fault fault : candidates) {
        const bool possible = fault == Fault::answer_lost_after_commit ? commits
                              : fault == Fault::statement_timeout      ? is_verb(call.op)
                              : is_at_point(fault)
                                  ? is_verb(call.op) || call.op == Op::commit
                                  : call.op != Op::rollback && call.op != Op::rollback_to;
        // One point at a time holds somebody up.
        const bool free = !waits_at_point(fault) || held_point_.empty();
        if (possible && free && !options_.faults_left_out.contains(fault) &&
            choice.chance(name_of(fault), plan_.per_mille(fault))) {
            return fault;
        }
    }
    return Fault::none;
}

void Run::begin_transaction(Actor &actor, const Choice &choice) {
    constexpr const char *isolations[] = {"READ COMMITTED", "READ COMMITTED", "REPEATABLE READ",
                                          "SERIALIZABLE"};
    const int isolation = choice.below("isolation", 4);
    session_of(actor);
    actor.transaction = ++world_.transactions;
    actor.calls_in_transaction = 0;
    actor.snapshot = isolation >= 2;
    actor.savepoint_after = -1;
    actor.session->execute(begin_call(isolations[isolation]).sql);
    history_.note({{"step", step_},
                   {"actor", actor.name},
                   {"op", "begin"},
                   {"transaction", actor.transaction},
                   {"isolation", isolations[isolation]}});
}

void Run::arm(Actor &actor, Event &event, Fault fault, const Choice &choice) {
    std::string point = "transaction_committed";
    if (fault != Fault::answer_lost_after_commit) {
        Points points = points_of(event.call.op);
        // PostgreSQL ends the time of a statement before it commits.
        if ((event.transaction == 0 && fault != Fault::statement_timeout) ||
            event.call.op == Op::commit) {
            points.emplace_back("transaction_pre_commit");
        }
        if (fault == Fault::kill_at_point && event.transaction == 0) {
            points.emplace_back("transaction_committed");
        }
        point = points[choice.bits("point") % points.size()];
    }
    if (waits_at_point(fault)) {
        hold(point);
    }
    actor.session->execute(
        fmt::format("SET faultline.debug_points = '{}={}'", point, action_of(fault)));
    if (fault == Fault::statement_timeout) {
        actor.session->execute(
            fmt::format("SET statement_timeout = {}", statement_timeout_milliseconds));
    }
    actor.armed = point;
    history_.note({{"step", step_}, {"armed", point}, {"action", action_of(fault)}});
}

void Run::disarm(Actor &actor) {
    if (!actor.armed.empty() && actor.session) {
        actor.session->execute("RESET faultline.debug_points");
        actor.session->execute("RESET statement_timeout");
    }
    actor.armed.clear();
}

void Run::perform(Actor &actor, Call call, const Choice &choice) {
    session_of(actor);
    if (actor.transaction != 0 && !is_transaction_control(call.op) && actor.savepoint_after < 0 &&
        choice.chance("savepoint", 250)) {
        actor.session->execute("SAVEPOINT simulated");
        actor.savepoint_after = static_cast<int>(history_.events().size());
    }
    const Fault fault = pick_fault(actor, call, choice);
    if (actor.transaction == 0 && is_repeatable(call.op)) {
        world_.past_calls.push_back(call);
    }
    Event &event = history_.begin(step_, now_us_, actor.number, actor.name, std::move(call));
    ++report_.calls;
    if (event.call.careless != Fault::none) {
        count(event, event.call.careless);
    }
    event.transaction = is_transaction_control(event.call.op) && event.call.op != Op::commit
                            ? 0
                            : actor.transaction;
    event.snapshot = actor.transaction != 0 && actor.snapshot;
    if (fault == Fault::cut_before_send) {
        count(event, fault);
        history_.end(event, Ending::fail, Fate::aborted);
        cut_connection(actor);
        return;
    }
    if (fault != Fault::none && fault != Fault::cut_after_send) {
        arm(actor, event, fault, choice);
    }
    actor.session->send(event.call.sql, event.call.parameters);
    if (fault == Fault::cut_after_send) {
        count(event, fault);
        actor.session->cut();
        lose_connection(actor, &event);
        return;
    }
    wait_or_park(actor, event, fault);
}

bool Run::may_park(const Actor &actor, const std::vector<int> &blockers) {
    if (parked_.size() >= parked_max) {
        return false;
    }
    const int own = actor.session->server_process();
    bool waits_for_me = false;
    for (const Actor *other : parked_) {
        for (const int blocker : other->blockers) {
            if (std::find(blockers.begin(), blockers.end(), blocker) != blockers.end()) {
                return false;
            }
            waits_for_me = waits_for_me || blocker == own;
        }
    }
    if (waits_for_me && actor.transaction == 0) {
        violation("DEADLOCK", fmt::format("{} and another call wait for each other", actor.name));
    }
    return !waits_for_me;
}

void Run::wait_or_park(Actor &actor, Event &event, Fault fault) {
    const Clock::time_point deadline = Clock::now() + answer_seconds_max;
    int look = first_look_milliseconds;
    bool cancelled = false;
    while (!actor.session->wait(look)) {
        look = std::min(2 * look, look_milliseconds_max);
        if (Clock::now() > deadline) {
            throw std::runtime_error("no answer to " + event.call.sql);
        }
        std::vector<int> blockers = cluster_.blockers_of(actor.session->server_process());
        if (blockers.empty() || cancelled) {
            continue;
        }
        event.was_blocked = true;
        if (waits_at_point(fault)) {
            mark(point_mark(Fault::hold_at_point, actor.armed));
        }
        if (fault == Fault::statement_timeout) {
            continue; // until its time is over
        }
        // Nobody else's end may bring the server down.
        const bool may_wait = fault != Fault::cancel_at_point && fault != Fault::kill_at_point;
        if (may_wait && may_park(actor, blockers)) {
            if (fault == Fault::hold_at_point) {
                count(event, fault);
            }
            actor.parked = &event;
            actor.blockers = std::move(blockers);
            parked_.push_back(&actor);
            return;
        }
        count(event, fault == Fault::cancel_at_point ? fault : Fault::cancel_blocked);
        actor.session->cancel();
        cancelled = true;
    }
    if (fault == Fault::statement_timeout && actor.session->sqlstate() == "57014") {
        count(event, fault);
        mark("statement timed out at a debug point");
    }
    if (waits_at_point(fault)) {
        release_hold();
    } else if (fault != Fault::none &&
               (actor.session->is_lost() || actor.session->sqlstate() == "38000")) {
        count(event, fault);
        mark(point_mark(fault, actor.armed));
    }
    if (fault == Fault::kill_at_point && actor.session->is_lost()) {
        mark("server killed at a debug point");
        cluster_.wait_for_crash_restart();
        answer_came(actor, event);
        server_went_down();
        return;
    }
    answer_came(actor, event);
}

void Run::answer_came(Actor &actor, Event &event) {
    if (actor.session->is_lost()) {
        lose_connection(actor, &event);
        return;
    }
    take_answer(actor, event);
    disarm(actor);
}

void Run::take_answer(Actor &actor, Event &event) {
    const Choice choice(plan_.seed, static_cast<std::uint64_t>(event.step));
    event.sqlstate = actor.session->sqlstate();
    const bool good = event.sqlstate.empty();
    if (good) {
        read_answer(event.call, actor.session->take_result(), event.answer);
    } else if (!error_is_expected(event)) {
        violation("ERROR", fmt::format("{}: {} {}", name_of(event.call.op), event.sqlstate,
                                       actor.session->message()));
    }
    const bool in_transaction = actor.transaction != 0;
    const Fate fate = !good ? Fate::aborted : in_transaction ? Fate::open : Fate::committed;
    ++actor.calls_in_transaction;
    if (good && !parked_.empty()) {
        mark(event.call.op == Op::claim           ? "claim beside a held call"
             : event.call.op == Op::expire_leases ? "expiry beside a held call"
                                                  : "call beside a held call");
    }
    history_.end(event, good ? Ending::ok : Ending::fail, fate);
    learn(actor, world_, event, choice);
    switch (event.call.op) {
    case Op::rollback_to:
        history_.abort_since(actor.transaction, actor.savepoint_after);
        mark("savepoint taken back");
        actor.savepoint_after = -1;
        break;
    case Op::commit:
    case Op::rollback:
        end_of_transaction(actor, event, good && event.call.op == Op::commit);
        break;
    case Op::prepare:
        if (good) {
            world_.prepared.push_back(actor.transaction);
            actor.transaction = 0;
        } else {
            end_of_transaction(actor, event, false);
        }
        break;
    case Op::commit_prepared:
    case Op::rollback_prepared: {
        const int transaction = event.call.detail["transaction"];
        if (good) {
            history_.decide_transaction(transaction, event.call.op == Op::commit_prepared
                                                         ? Fate::committed
                                                         : Fate::aborted);
            std::erase(world_.prepared, transaction);
        }
        break;
    }
    default:
        if (!good && in_transaction) {
            actor.session->execute("ROLLBACK");
            end_of_transaction(actor, event, false);
        }
        break;
    }
}

void Run::end_of_transaction(Actor &actor, const Event &event, bool committed) {
    const Choice choice(plan_.seed, static_cast<std::uint64_t>(event.step));
    const int transaction = std::exchange(actor.transaction, 0);
    history_.decide_transaction(transaction, committed ? Fate::committed : Fate::aborted);
    if (committed || choice.chance("keeps rolled back", keeps_rolled_back_lease_per_mille)) {
        return;
    }
    for (const Event &past : history_.events()) {
        if (past.transaction != transaction) {
            continue;
        }
        for (const Grant &grant : past.answer.grants) {
            std::erase_if(actor.held, [&](const Grant &held) { return held.token == grant.token; });
        }
    }
}

void Run::cut_connection(Actor &actor) {
    if (actor.session) {
        actor.session->cut();
    }
    lose_connection(actor, nullptr);
}

void Run::lose_connection(Actor &actor, Event *event) {
    const bool was_commit = event != nullptr && event->call.op == Op::commit;
    if (event != nullptr) {
        history_.end(*event, Ending::info,
                     event->transaction == 0 || was_commit ? Fate::unknown : Fate::open);
        learn(actor, world_, *event, Choice(plan_.seed, static_cast<std::uint64_t>(event->step)));
        if (event->call.op == Op::prepare || event->call.op == Op::commit_prepared ||
            event->call.op == Op::rollback_prepared) {
            // Whether it is there is asked when the run has become quiet.
            if (event->call.op == Op::prepare) {
                world_.prepared.push_back(actor.transaction);
                actor.transaction = 0;
            }
        }
    }
    if (actor.transaction != 0) {
        history_.decide_transaction(std::exchange(actor.transaction, 0),
                                    was_commit ? Fate::unknown : Fate::aborted);
    }
    actor.armed.clear();
    if (!actor.session) {
        return;
    }
    const int server_process = actor.session->server_process();
    actor.session.reset();
    if (!cluster_.wait_until_gone_or_blocked(server_process)) {
        count(Fault::ghost_statement);
        ghosts_.push_back(server_process);
    }
}

void Run::forget(Actor &actor) {
    actor.held.clear();
    actor.doubt.reset();
}

bool Run::settle_one(Actor &actor) {
    int look = 0;
    while (!actor.session->wait(look)) {
        std::vector<int> blockers = cluster_.blockers_of(actor.session->server_process());
        if (!blockers.empty()) {
            actor.blockers = std::move(blockers);
            return false;
        }
        look = std::min(look + 1, look_milliseconds_max);
    }
    Event &event = *std::exchange(actor.parked, nullptr);
    std::erase(parked_, &actor);
    answer_came(actor, event);
    return true;
}

// Those who can go on do so, and then those who waited for them.
void Run::settle_waiting() {
    bool again = true;
    while (again) {
        again = false;
        for (Actor *actor : parked_) {
            if (settle_one(*actor)) {
                again = true;
                break;
            }
        }
        again = again || settle_ghosts();
    }
}

bool Run::settle_ghosts() {
    const std::size_t ended = std::erase_if(ghosts_, [&](int server_process) {
        return cluster_.wait_until_gone_or_blocked(server_process);
    });
    if (ended > 0) {
        mark("statement of a lost client ended");
    }
    return ended > 0;
}

void Run::server_went_down() {
    held_point_.clear();
    desk_.reset();
    ghosts_.clear();
    parked_.clear();
    for (Actor &actor : actors_) {
        Event *event = std::exchange(actor.parked, nullptr);
        if (actor.session || event != nullptr) {
            if (!actor.held.empty()) {
                mark("server down while leases are held");
            }
            lose_connection(actor, event);
        }
    }
}

} // namespace faultline::simulator
