// Owns one run of a seed: one thread, one statement in flight, and from the seed alone who acts,
// what goes wrong and when. First everything is allowed (safety); then faults stop, and all jobs
// must come to an end within a bound (liveness).
#pragma once

#include "actor.hpp"
#include "checker.hpp"
#include "cluster.hpp"
#include "history.hpp"
#include "seed_plan.hpp"

#include <algorithm>
#include <array>
#include <memory>
#include <set>
#include <string>
#include <vector>

namespace faultline::simulator {

struct RunOptions {
    int check_every_steps = 60;
    std::set<int> steps_left_out; // while a failing history is made smaller
    std::set<Fault> faults_left_out;
};

struct RunReport {
    History history;
    std::vector<Violation> violations;
    std::array<int, fault_count> faults{};
    std::set<std::string> marks;
    Account account;
    int calls = 0;
    int liveness_rounds = 0;
};

class Run {
  public:
    Run(Cluster &cluster, const SeedPlan &plan, const RunOptions &options);
    RunReport run();

  private:
    void prepare_database();
    void step(int number);
    void actor_step(Actor &actor, const Choice &choice);
    void crash_while_waiting(Actor &actor, const Choice &choice);
    void chaos_step(const Choice &choice);

    // One call of an actor, with the fault that chance has in store for it.
    void perform(Actor &actor, Call call, const Choice &choice);
    void begin_transaction(Actor &actor, const Choice &choice);
    Fault pick_fault(const Actor &actor, const Call &call, const Choice &choice) const;
    void arm(Actor &actor, Event &event, Fault fault, const Choice &choice);
    void disarm(Actor &actor);
    void wait_or_park(Actor &actor, Event &event, Fault fault);
    bool may_park(const Actor &actor, const std::vector<int> &blockers);
    void take_answer(Actor &actor, Event &event);
    void answer_came(Actor &actor, Event &event);
    void end_of_transaction(Actor &actor, const Event &event, bool committed);
    // The connection is gone: what the client does not know, it does not know.
    void lose_connection(Actor &actor, Event *event);
    void cut_connection(Actor &actor);
    void forget(Actor &actor);
    void settle_waiting();
    bool settle_one(Actor &actor);
    bool settle_ghosts();
    void server_went_down();

    void set_clock(std::int64_t now_us);
    void hold(const std::string &point);
    void release_hold();
    void check_state(const char *grace);
    void restart_server(const Choice &choice);

    // Second phase.
    void quiet_down();
    void drain();
    void end_prepared();
    void drain_queue(Session &session, int queue);
    void fail_drained(Session &session, const Call &completion, std::int64_t job);
    void check_eventual();
    int live_jobs();
    FinalState read_final_state();

    void count(Fault fault) { ++report_.faults[static_cast<std::size_t>(fault)]; }
    void count(Event &event, Fault fault) {
        event.faults.push_back(fault);
        count(fault);
    }
    void mark(const std::string &name) { report_.marks.insert(name); }
    void violation(const std::string &name, const std::string &detail) {
        report_.violations.push_back({name, detail, step_});
    }
    Session &desk();
    Session &session_of(Actor &actor);

    Cluster &cluster_;
    const SeedPlan &plan_;
    const RunOptions &options_;
    RunReport report_;
    History &history_ = report_.history;
    std::string conninfo_;
    std::vector<Actor> actors_;
    World world_;
    std::unique_ptr<Session> desk_; // sets the clock, holds debug points, looks at the state
    std::vector<Actor *> parked_;   // in the order in which they began to wait
    std::vector<int> ghosts_;       // processes that still work for a client that is gone
    std::string held_point_;
    std::int64_t now_us_ = 0;
    std::int64_t latest_us_ = 0; // that it ever was
    int step_ = 0;
};

} // namespace faultline::simulator
