// Implements the behaviour of actors: careful clients mostly, and now and then careless ones, who
// act under leases that they have lost.
#include "actor.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <initializer_list>

namespace faultline::simulator {

namespace {

constexpr int jobs_per_call_max = 3;
constexpr int repeats_doubt_per_mille = 750;
constexpr int keeps_ended_lease_per_mille = 200;
constexpr int keeps_lost_lease_per_mille = 400;

int weighted_op(const SeedPlan &plan, const Choice &choice, std::initializer_list<Op> ops) {
    std::vector<int> weights;
    for (const Op op : ops) {
        weights.push_back(plan.weight(op));
    }
    return choice.weighted("op", weights);
}

Op chosen_op(const SeedPlan &plan, const Choice &choice, std::initializer_list<Op> ops) {
    return ops.begin()[weighted_op(plan, choice, ops)];
}

Item item_of(const Grant &grant) { return {.job = grant.job, .token = grant.token}; }

NewJob new_job(const SeedPlan &plan, const Choice &choice, int step, int number, bool many) {
    const std::string nth = std::to_string(number);
    NewJob job;
    job.label = fmt::format("s{}", step);
    if (many) {
        job.label += '.' + nth;
    }
    if (choice.chance("keyed" + nth, plan.keyed_per_mille)) {
        job.key =
            fmt::format("{}{}", many ? "many" : "key", choice.below("key" + nth, plan.key_count));
        // Now and then the key comes with another request than before.
        job.label = job.key + (choice.chance("conflict" + nth, 150) ? "other" : "");
    }
    const Choice of_label(plan.seed, hash_of(job.label));
    job.declares = of_label.chance("declares", plan.declared_per_mille);
    return job;
}

Call producer_call(const SeedPlan &plan, const Choice &choice, int step) {
    if (chosen_op(plan, choice, {Op::enqueue, Op::enqueue_many}) == Op::enqueue) {
        return enqueue_call(plan, new_job(plan, choice, step, 0, false));
    }
    std::vector<NewJob> jobs;
    const int count = 1 + choice.below("jobs", jobs_per_call_max);
    for (int number = 0; number < count; ++number) {
        jobs.push_back(new_job(plan, choice, step, number, true));
    }
    return enqueue_many_call(plan, jobs);
}

// The lease acted on; with a wrong token when chance has it.
Item chosen_item(const Actor &actor, const World &world, const SeedPlan &plan, const Choice &choice,
                 const Grant &grant) {
    Item item = item_of(grant);
    if (!choice.chance(name_of(Fault::wrong_token), plan.per_mille(Fault::wrong_token))) {
        return item;
    }
    if (choice.chance("other job", 500) && !world.jobs.empty()) {
        item.job = world.jobs[choice.bits("which job") % world.jobs.size()];
        return item;
    }
    item.token =
        actor.held.front().token == item.token ? item.token / 2 + 1 : actor.held.front().token;
    return item;
}

std::vector<Item> items_held(const Actor &actor) {
    std::vector<Item> items;
    for (const Grant &held : actor.held) {
        items.push_back(item_of(held));
    }
    return items;
}

Call call_under_lease(const Actor &actor, const SeedPlan &plan, const Choice &choice, Op op,
                      const Grant &grant, const Item &item) {
    switch (op) {
    case Op::fail: {
        constexpr int delays[] = {-1, -1, 0, 20};
        return fail_call(item, choice.chance("discard", 150), delays[choice.below("retry", 4)]);
    }
    case Op::apply_ledger:
    case Op::apply_and_complete:
        return apply_call(op, plan, grant, item, choice.chance("altered", 60));
    case Op::complete_many:
    case Op::fail_many:
    case Op::apply_and_complete_many:
        return many_call(op, items_held(actor));
    default:
        return lease_call(op, item);
    }
}

Call lease_holder_call(const Actor &actor, const World &world, const SeedPlan &plan,
                       const Choice &choice, Op op) {
    const Grant &grant = actor.held[choice.bits("lease") % actor.held.size()];
    const Item item = chosen_item(actor, world, plan, choice, grant);
    const bool wrong = item.job != grant.job || item.token != grant.token;
    Call call = call_under_lease(actor, plan, choice, op, grant, item);
    call.careless = wrong && call.items.size() == 1 ? Fault::wrong_token : Fault::none;
    return call;
}

Call worker_call(const Actor &actor, const World &world, const SeedPlan &plan,
                 const Choice &choice) {
    const bool claims = actor.held.empty() || choice.chance("claims", 300);
    const int jobs_max = 1 + choice.below("jobs", jobs_per_call_max);
    if (claims) {
        return chosen_op(plan, choice, {Op::claim, Op::claim_any}) == Op::claim
                   ? claim_call(choice.below("queue", queue_count), actor.name, jobs_max)
                   : claim_any_call(actor.name, jobs_max);
    }
    const Op op = chosen_op(plan, choice,
                            {Op::complete, Op::complete_many, Op::fail, Op::fail_many, Op::extend,
                             Op::release, Op::apply_ledger, Op::apply_and_complete,
                             Op::apply_and_complete_many, Op::turn});
    if (op == Op::turn) {
        return turn_call(choice.below("queue", queue_count), actor.name, items_held(actor),
                         jobs_max);
    }
    return lease_holder_call(actor, world, plan, choice, op);
}

std::optional<Call> operator_call(const Actor &actor, const World &world, const SeedPlan &plan,
                                  const Choice &choice) {
    if (actor.transaction == 0 && !world.prepared.empty() && choice.chance("prepared", 400)) {
        const int transaction = world.prepared[choice.bits("which") % world.prepared.size()];
        return prepared_call(
            choice.chance("keeps", 600) ? Op::commit_prepared : Op::rollback_prepared, transaction);
    }
    const Op op = chosen_op(plan, choice,
                            {Op::resume_queue, Op::pause_queue, Op::cancel, Op::redrive,
                             Op::reverse_transaction, Op::transaction_status});
    const int queue = choice.below("queue", queue_count);
    if (op == Op::resume_queue || op == Op::pause_queue) {
        return queue_call(op, queue);
    }
    if (op == Op::reverse_transaction || op == Op::transaction_status) {
        if (world.transaction_ids.empty()) {
            return std::nullopt;
        }
        const std::string &id =
            world.transaction_ids[choice.bits("id") % world.transaction_ids.size()];
        return op == Op::reverse_transaction ? reverse_call(id) : status_call(id);
    }
    std::vector<std::int64_t> jobs;
    if (!world.jobs.empty() && (op == Op::cancel || choice.chance("by id", 400))) {
        const int count = 1 + choice.below("jobs", jobs_per_call_max);
        for (int number = 0; number < count; ++number) {
            jobs.push_back(
                world.jobs[choice.bits("job" + std::to_string(number)) % world.jobs.size()]);
        }
    }
    if (op == Op::cancel) {
        return jobs.empty() ? std::nullopt : std::optional(cancel_call(jobs));
    }
    return redrive_call(jobs, queue);
}

Call maintenance_call(const SeedPlan &plan, const Choice &choice) {
    const Op op = chosen_op(plan, choice, {Op::expire_leases, Op::reconcile, Op::maintain});
    return op == Op::maintain ? plain_call(op)
                              : bounded_call(op, choice.chance("all", 500) ? 1000 : 2);
}

// Inside a transaction it goes on, ends it, or takes back what followed a savepoint.
std::optional<Call> transaction_end(Actor &actor, const SeedPlan &plan, const Choice &choice) {
    if (actor.savepoint_after >= 0 && choice.chance("rollback to", 300)) {
        return plain_call(Op::rollback_to);
    }
    if (actor.calls_in_transaction == 0 || choice.chance("goes on", 450)) {
        return std::nullopt;
    }
    if (choice.chance("rollback", 250)) {
        return plain_call(Op::rollback);
    }
    if (!plan.restarts && choice.chance("prepare", 200)) {
        return prepared_call(Op::prepare, actor.transaction);
    }
    return plain_call(Op::commit);
}

} // namespace

std::optional<Call> next_call(Actor &actor, const World &world, const SeedPlan &plan,
                              const Choice &choice, int step) {
    if (actor.transaction != 0) {
        if (std::optional<Call> end = transaction_end(actor, plan, choice)) {
            return end;
        }
    } else if (actor.doubt) {
        const Call call = *std::exchange(actor.doubt, std::nullopt);
        if (choice.chance("repeats doubt", repeats_doubt_per_mille)) {
            return call;
        }
    } else if (!world.past_calls.empty() &&
               choice.chance(name_of(Fault::repeated_call), plan.per_mille(Fault::repeated_call))) {
        Call call = world.past_calls[choice.bits("past call") % world.past_calls.size()];
        call.careless = Fault::repeated_call;
        return call;
    }
    switch (actor.role) {
    case Role::producer:
        return producer_call(plan, choice, step);
    case Role::worker:
        return worker_call(actor, world, plan, choice);
    case Role::operate:
        return operator_call(actor, world, plan, choice);
    case Role::maintenance:
        return maintenance_call(plan, choice);
    default:
        return plain_call(Op::read_jobs);
    }
}

namespace {

void drop_lease(Actor &actor, const Item &item) {
    std::erase_if(actor.held, [&](const Grant &grant) {
        return grant.job == item.job && grant.token == item.token;
    });
}

template <typename Value> void note_once(std::vector<Value> &values, const Value &value) {
    if (std::find(values.begin(), values.end(), value) == values.end()) {
        values.push_back(value);
    }
}

} // namespace

void learn(Actor &actor, World &world, const Event &event, const Choice &choice) {
    const Call &call = event.call;
    if (event.ending == Ending::info) {
        if (event.transaction == 0 && is_repeatable(call.op)) {
            actor.doubt = call;
        }
        return;
    }
    for (const Grant &grant : event.answer.grants) {
        actor.held.push_back(grant);
        note_once(world.jobs, grant.job);
    }
    for (const std::int64_t job : event.answer.job_ids) {
        note_once(world.jobs, job);
    }
    for (const NewJob &job : call.jobs) {
        if (job.declares) {
            note_once(world.transaction_ids, "t-" + job.label);
        }
    }
    if (event.ending == Ending::ok && !call.transaction_id.empty()) {
        note_once(world.transaction_ids, call.transaction_id);
    }
    const bool ended = event.ending == Ending::ok && ends_attempt(call.op) &&
                       !choice.chance("keeps ended lease", keeps_ended_lease_per_mille);
    const bool lost = event.ending == Ending::fail &&
                      (event.sqlstate == "JQ001" || event.sqlstate == "JQ002") &&
                      !choice.chance("keeps lost lease", keeps_lost_lease_per_mille);
    if (ended || lost) {
        for (const Item &item : call.items) {
            drop_lease(actor, item);
        }
    }
}

} // namespace faultline::simulator
