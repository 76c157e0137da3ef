// Implements the drawing of a plan from a seed.
#include "seed_plan.hpp"

#include <string>

namespace faultline::simulator {

namespace {

// Choices that are made once for a run stand at a step that no run reaches.
constexpr std::uint64_t before_the_run = 1ULL << 40U;
constexpr int restart_every_seeds = 8;
// How often a call or a fault does not happen at all in a run.
constexpr int absent_per_mille = 220;

struct Weighted {
    Op op;
    int weight;
};

constexpr Weighted usual_ops[] = {
    {Op::enqueue, 70},
    {Op::enqueue_many, 20},
    {Op::claim, 60},
    {Op::claim_any, 10},
    {Op::turn, 24},
    {Op::complete, 40},
    {Op::complete_many, 12},
    {Op::fail, 30},
    {Op::fail_many, 6},
    {Op::extend, 34},
    {Op::release, 12},
    {Op::apply_ledger, 14},
    {Op::apply_and_complete, 30},
    {Op::cancel, 24},
    {Op::redrive, 30},
    {Op::apply_and_complete_many, 8},
    {Op::pause_queue, 4},
    {Op::resume_queue, 12},
    {Op::reverse_transaction, 6},
    {Op::expire_leases, 40},
    {Op::transaction_status, 10},
    {Op::reconcile, 20},
    {Op::maintain, 6},
    {Op::read_jobs, 10},
    {Op::set_clock, 60},
    {Op::release_hold, 30},
};

struct Likely {
    Fault fault;
    int per_mille;
};

constexpr Likely usual_faults[] = {
    {Fault::cut_before_send, 8},
    {Fault::cut_after_send, 25},
    {Fault::answer_lost_after_commit, 15},
    {Fault::error_at_point, 30},
    {Fault::exit_at_point, 25},
    {Fault::hold_at_point, 60},
    {Fault::cancel_at_point, 10},
    {Fault::statement_timeout, 3},
    {Fault::actor_crash, 12},
    {Fault::actor_pause, 25},
    {Fault::repeated_call, 60},
    {Fault::wrong_token, 25},
    {Fault::clock_back, 100},
};

void draw_weights(SeedPlan &plan, const Choice &choice) {
    for (const Weighted &usual : usual_ops) {
        const std::string_view name = name_of(usual.op);
        // Without the beginnings of jobs and without time nothing happens at all.
        const bool needed = usual.op == Op::enqueue || usual.op == Op::claim ||
                            usual.op == Op::set_clock || usual.op == Op::resume_queue;
        if (!needed && choice.chance(name, absent_per_mille)) {
            continue;
        }
        const int scale = 1 << choice.below(std::string(name) + " scale", 3);
        plan.ops[static_cast<std::size_t>(usual.op)] = usual.weight * scale / 2;
    }
    for (const Likely &usual : usual_faults) {
        const std::string_view name = name_of(usual.fault);
        if (choice.chance(name, absent_per_mille)) {
            continue;
        }
        const int scale = 1 << choice.below(std::string(name) + " scale", 3);
        plan.faults[static_cast<std::size_t>(usual.fault)] = usual.per_mille * scale / 2;
    }
}

QueuePlan draw_queue(const Choice &choice, const std::string &name) {
    constexpr int leases[] = {5, 30, 30, 300};
    constexpr int runtimes[] = {0, 0, 0, 60};
    constexpr int backoffs[] = {0, 1, 10};
    return {.lease_seconds = leases[choice.below(name + " lease", 4)],
            .max_attempts = 1 + choice.below(name + " max_attempts", 4),
            .backoff_seconds = backoffs[choice.below(name + " backoff", 3)],
            .max_runtime_seconds = runtimes[choice.below(name + " max_runtime", 4)]};
}

void add_actors(SeedPlan &plan, Role role, int count, int weight) {
    for (int number = 0; number < count; ++number) {
        plan.actors.push_back(role);
        plan.actor_weights.push_back(weight / count);
    }
}

} // namespace

SeedPlan plan_of_seed(std::uint64_t seed, int steps) {
    const Choice choice(seed, before_the_run);
    SeedPlan plan;
    plan.seed = seed;
    plan.steps = steps;
    add_actors(plan, Role::producer, 1 + choice.below("producers", 2), 240);
    add_actors(plan, Role::worker, 2 + choice.below("workers", 3), 480);
    add_actors(plan, Role::operate, 1, 90);
    add_actors(plan, Role::maintenance, 1, 110);
    add_actors(plan, Role::reader, 1, 20);
    add_actors(plan, Role::chaos, 1, 100);
    draw_weights(plan, choice);
    for (int number = 0; number < queue_count; ++number) {
        plan.queues[static_cast<std::size_t>(number)] =
            draw_queue(choice, "queue " + std::to_string(number));
    }
    constexpr int transactions[] = {0, 60, 120, 250};
    plan.transaction_per_mille = transactions[choice.below("transactions", 4)];
    constexpr int keyed[] = {0, 200, 500};
    plan.keyed_per_mille = keyed[choice.below("keyed", 3)];
    plan.key_count = 1 + choice.below("keys", 8);
    constexpr int declared[] = {0, 300, 300, 700};
    plan.declared_per_mille = declared[choice.below("declared", 4)];
    constexpr int plain[] = {0, 0, 1000, 400};
    plan.plain_per_mille = plain[choice.below("plain", 4)];
    plan.restarts = seed % restart_every_seeds == 0;
    if (plan.restarts) {
        plan.ops[static_cast<std::size_t>(Op::restart_server)] = 6;
        plan.faults[static_cast<std::size_t>(Fault::kill_at_point)] = 12;
    }
    return plan;
}

} // namespace faultline::simulator
