// Implements the statements.
#include "calls.hpp"

#include <fmt/format.h>

namespace faultline::simulator {

namespace {

using client::Parameter;
using nlohmann::json;
using Optional = std::optional<std::string>;

// What a label decides, so that a repeated request is the same request.
struct Request {
    int queue;
    int priority;
    Optional delay;
    std::optional<int> max_attempts;
    Optional ledger;
};

std::string effect_json(const SeedPlan &plan, const std::string &label, const std::string &id) {
    const Choice choice(plan.seed, hash_of(label));
    const int debit = choice.below("debit", account_count);
    const int credit = (debit + 1 + choice.below("credit", account_count - 1)) % account_count;
    const bool poor = choice.chance("poor", 80);
    return json({{"transaction_id", id},
                 {"debit", poor ? poor_account : fmt::format("account{}", debit)},
                 {"credit", fmt::format("account{}", credit)},
                 {"amount", 1 + choice.below("amount", 100)},
                 {"asset", asset}})
        .dump();
}

std::string payload_of(const NewJob &job) { return json({{"label", job.label}}).dump(); }

Request request_of(const SeedPlan &plan, const NewJob &job) {
    // A key belongs to one queue and one request; the label of a keyed job is made from its key.
    const Choice choice(plan.seed, hash_of(job.label));
    constexpr int priorities[] = {0, 0, 0, -5, 7};
    const int delay = choice.below("delay", 6);
    Request request = {.queue = choice.below("queue", queue_count),
                       .priority = priorities[choice.below("priority", 5)],
                       .delay = delay == 0   ? Optional("5 s")
                                : delay == 1 ? Optional("1 min")
                                             : std::nullopt,
                       .max_attempts = std::nullopt,
                       .ledger = std::nullopt};
    if (!job.key.empty()) {
        request.queue = static_cast<int>(hash_of(job.key) % queue_count);
    }
    if (choice.chance("max_attempts", 200)) {
        request.max_attempts = 1 + choice.below("attempts", 5);
    }
    if (job.declares) {
        request.ledger = effect_json(plan, job.label, "t-" + job.label);
    }
    return request;
}

Call made(Op op, std::string sql, client::Parameters parameters = {}) {
    return {.op = op,
            .sql = std::move(sql),
            .parameters = std::move(parameters),
            .items = {},
            .jobs = {},
            .transaction_id = {},
            .detail = json::object(),
            .careless = Fault::none};
}

std::string grant_columns() {
    return fmt::format("job_id, lease_token, attempt, (extract(epoch FROM lease_expires_at "
                       "- {}) * 1000000)::bigint AS ends_us, payload ->> 'label' AS label, "
                       "ledger ->> 'transaction_id' AS transaction_id",
                       beginning_of_time);
}

std::string id_array(const std::vector<Item> &items) {
    std::vector<std::int64_t> ids;
    for (const Item &item : items) {
        ids.push_back(item.job);
    }
    return client::bigint_array(ids);
}

std::string token_array(const std::vector<Item> &items) {
    std::vector<std::int64_t> tokens;
    for (const Item &item : items) {
        tokens.push_back(item.token);
    }
    return client::bigint_array(tokens);
}

std::vector<Item> items_of(const std::vector<std::int64_t> &jobs) {
    std::vector<Item> items;
    for (const std::int64_t job : jobs) {
        items.push_back({.job = job, .token = 0});
    }
    return items;
}

} // namespace

std::string queue_name(int queue) { return fmt::format("queue{}", queue); }

Call enqueue_call(const SeedPlan &plan, const NewJob &job) {
    const Request request = request_of(plan, job);
    Call call = made(Op::enqueue,
                     "SELECT faultline.enqueue($1, $2, idempotency_key => $3, delay => $4, "
                     "priority => $5, max_attempts => $6, ledger => $7)",
                     {queue_name(request.queue), payload_of(job),
                      job.key.empty() ? Parameter(std::nullopt) : Parameter(job.key), request.delay,
                      request.priority, request.max_attempts, request.ledger});
    call.jobs = {job};
    call.detail["queue"] = queue_name(request.queue);
    return call;
}

// All of them share a queue; keys of enqueue_many() are never those of enqueue().
Call enqueue_many_call(const SeedPlan &plan, const std::vector<NewJob> &jobs) {
    std::vector<Optional> payloads, keys, ledgers;
    for (const NewJob &job : jobs) {
        payloads.push_back(payload_of(job));
        keys.push_back(job.key.empty() ? std::nullopt : Optional(job.key));
        ledgers.push_back(job.declares ? Optional(effect_json(plan, job.label, "t-" + job.label))
                                       : std::nullopt);
    }
    Call call = made(Op::enqueue_many,
                     "SELECT * FROM faultline.enqueue_many($1, $2, idempotency_keys => $3, "
                     "ledger => $4)",
                     {queue_name(0), client::text_array(payloads), client::text_array(keys),
                      client::text_array(ledgers)});
    call.jobs = jobs;
    return call;
}

Call claim_call(int queue, const std::string &worker, int jobs_max) {
    Call call = made(Op::claim, "SELECT " + grant_columns() + " FROM faultline.claim($1, $2, $3)",
                     {queue_name(queue), worker, jobs_max});
    call.detail = {{"queue", queue_name(queue)}, {"max_jobs", jobs_max}};
    return call;
}

Call claim_any_call(const std::string &worker, int jobs_max) {
    Call call =
        made(Op::claim_any, "SELECT " + grant_columns() + " FROM faultline.claim_any($1, $2, $3)",
             {client::text_array({queue_name(1), queue_name(0)}), worker, jobs_max});
    call.detail = {{"max_jobs", jobs_max}};
    return call;
}

Call turn_call(int queue, const std::string &worker, const std::vector<Item> &items, int jobs_max) {
    Call call = made(Op::turn,
                     "SELECT " + grant_columns() +
                         ", verdict FROM faultline.turn($1, $2, $3, $4, max_jobs => $5)",
                     {queue_name(queue), worker, id_array(items), token_array(items), jobs_max});
    call.items = items;
    call.detail = {{"queue", queue_name(queue)}, {"max_jobs", jobs_max}};
    return call;
}

Call lease_call(Op op, const Item &item) {
    std::string sql = fmt::format("SELECT faultline.{}($1, $2)", name_of(op));
    if (op == Op::extend) {
        sql = fmt::format("SELECT (extract(epoch FROM faultline.extend($1, $2) - {}) * "
                          "1000000)::bigint",
                          beginning_of_time);
    }
    Call call = made(op, std::move(sql), {item.job, item.token});
    call.items = {item};
    return call;
}

Call fail_call(const Item &item, bool discard, int retry_seconds) {
    Call call =
        made(Op::fail, "SELECT faultline.fail($1, $2, 'simulated', $3, $4)",
             {item.job, item.token,
              retry_seconds < 0 || discard ? Parameter(std::nullopt)
                                           : Parameter(client::Milliseconds(retry_seconds * 1000)),
              discard});
    call.items = {item};
    call.detail["discard"] = discard;
    return call;
}

Call many_call(Op op, const std::vector<Item> &items) {
    client::Parameters parameters = {id_array(items), token_array(items)};
    std::string more;
    if (op == Op::fail_many) {
        parameters.emplace_back(
            client::text_array(std::vector<Optional>(items.size(), "simulated")));
        more = ", $3";
    }
    Call call = made(
        op, fmt::format("SELECT job_id, verdict FROM faultline.{}($1, $2{})", name_of(op), more),
        std::move(parameters));
    call.items = items;
    return call;
}

Call apply_call(Op op, const SeedPlan &plan, const Grant &grant, const Item &item, bool altered) {
    if (!grant.transaction_id.empty()) {
        Call call =
            made(op,
                 fmt::format("SELECT verdict, entry_id FROM faultline.{}($1, $2, "
                             "amount => $3)",
                             name_of(op)),
                 {item.job, item.token, altered ? Parameter(100'000) : Parameter(std::nullopt)});
        call.items = {item};
        call.transaction_id = grant.transaction_id;
        call.detail["altered"] = altered;
        return call;
    }
    const std::string id = "u-" + grant.label;
    const json effect = json::parse(effect_json(plan, grant.label, id));
    Call call = made(op,
                     fmt::format("SELECT verdict, entry_id FROM faultline.{}($1, $2, $3, $4, $5, "
                                 "$6, $7)",
                                 name_of(op)),
                     {item.job, item.token, id, effect["debit"].get<std::string>(),
                      effect["credit"].get<std::string>(),
                      effect["amount"].get<std::int64_t>() + (altered ? 100'000 : 0), asset});
    call.items = {item};
    call.transaction_id = id;
    call.detail["altered"] = altered;
    return call;
}

Call cancel_call(const std::vector<std::int64_t> &jobs) {
    Call call = made(Op::cancel, "SELECT job_id, verdict FROM faultline.cancel($1, 'simulated')",
                     {client::bigint_array(jobs)});
    call.items = items_of(jobs);
    return call;
}

Call redrive_call(const std::vector<std::int64_t> &jobs, int queue) {
    if (jobs.empty()) {
        Call call = made(Op::redrive, "SELECT job_id, verdict FROM faultline.redrive(queue => $1)",
                         {queue_name(queue)});
        call.detail["queue"] = queue_name(queue);
        return call;
    }
    Call call = made(Op::redrive, "SELECT job_id, verdict FROM faultline.redrive($1)",
                     {client::bigint_array(jobs)});
    call.items = items_of(jobs);
    return call;
}

Call queue_call(Op op, int queue) {
    Call call = made(op, fmt::format("SELECT faultline.{}($1)", name_of(op)), {queue_name(queue)});
    call.detail["queue"] = queue_name(queue);
    return call;
}

Call reverse_call(const std::string &transaction_id) {
    Call call = made(Op::reverse_transaction,
                     "SELECT faultline.reverse_transaction($1, $2, 'simulated') AS entry_id",
                     {transaction_id, "r-" + transaction_id});
    call.transaction_id = transaction_id;
    return call;
}

Call status_call(const std::string &transaction_id) {
    Call call =
        made(Op::transaction_status, "SELECT state, entry_id FROM faultline.transaction_status($1)",
             {transaction_id});
    call.transaction_id = transaction_id;
    return call;
}

Call bounded_call(Op op, int rows_max) {
    Call call = made(op,
                     op == Op::reconcile ? "SELECT sum(rows)::bigint FROM faultline.reconcile($1)"
                                         : "SELECT faultline.expire_leases($1)",
                     {rows_max});
    call.detail["max"] = rows_max;
    return call;
}

Call plain_call(Op op) {
    switch (op) {
    case Op::maintain:
        // Of the duties that go by real time the figures would differ from run to run.
        return made(op,
                    "SELECT string_agg(duty, ',') FILTER (WHERE error IS NOT NULL), sum(done) "
                    "FILTER (WHERE duty IN ('expire_leases', 'reconcile', 'expire_keys'))::bigint "
                    "FROM faultline.maintain()");
    case Op::read_jobs:
        return made(op, "SELECT job_id, state, attempt FROM faultline.jobs ORDER BY job_id");
    case Op::commit:
        return made(op, "COMMIT");
    case Op::rollback_to:
        return made(op, "ROLLBACK TO simulated");
    default:
        return made(Op::rollback, "ROLLBACK");
    }
}

Call begin_call(const std::string &isolation) {
    return made(Op::begin, "BEGIN ISOLATION LEVEL " + isolation);
}

Call prepared_call(Op op, int transaction) {
    const char *words = op == Op::prepare           ? "PREPARE TRANSACTION"
                        : op == Op::commit_prepared ? "COMMIT PREPARED"
                                                    : "ROLLBACK PREPARED";
    Call call = made(op, fmt::format("{} 'simulated{}'", words, transaction));
    call.detail["transaction"] = transaction;
    return call;
}

bool ends_attempt(Op op) {
    return op == Op::complete || op == Op::complete_many || op == Op::turn || op == Op::fail ||
           op == Op::fail_many || op == Op::release || op == Op::apply_and_complete ||
           op == Op::apply_and_complete_many;
}

bool is_transaction_control(Op op) {
    return op == Op::begin || op == Op::commit || op == Op::rollback || op == Op::rollback_to ||
           op == Op::prepare || op == Op::commit_prepared || op == Op::rollback_prepared;
}

bool is_repeatable(Op op) {
    return !is_transaction_control(op) && op != Op::maintain && op != Op::read_jobs &&
           op != Op::transaction_status;
}

namespace {

void read_grant(const client::Result &result, int row, Answer &answer) {
    answer.grants.push_back({.job = result.bigint(row, 0),
                             .token = result.bigint(row, 1),
                             .attempt = result.integer(row, 2),
                             .ends_us = result.bigint(row, 3),
                             .label = result.optional_text(row, 4).value_or(""),
                             .transaction_id = result.optional_text(row, 5).value_or("")});
}

void read_grants(const client::Result &result, Answer &answer) {
    for (int row = 0; row < result.row_count(); ++row) {
        read_grant(result, row, answer);
    }
}

void read_turn(const client::Result &result, Answer &answer) {
    for (int row = 0; row < result.row_count(); ++row) {
        if (result.text(row, 6) == "claimed") {
            read_grant(result, row, answer);
        } else {
            answer.verdicts.push_back({result.bigint(row, 0), std::string(result.text(row, 6))});
        }
    }
}

void read_verdicts(const client::Result &result, Answer &answer) {
    for (int row = 0; row < result.row_count(); ++row) {
        answer.verdicts.push_back({result.bigint(row, 0), std::string(result.text(row, 1))});
    }
}

void read_jobs(const client::Result &result, Answer &answer) {
    for (int row = 0; row < result.row_count(); ++row) {
        answer.seen.push_back(
            {result.bigint(row, 0), std::string(result.text(row, 1)), result.integer(row, 2)});
    }
}

} // namespace

void read_answer(const Call &call, const client::Result &result, Answer &answer) {
    const auto optional_bigint = [&](int column) {
        return result.row_count() == 0 || result.is_null(0, column) ? 0 : result.bigint(0, column);
    };
    switch (call.op) {
    case Op::enqueue:
    case Op::enqueue_many:
        for (int row = 0; row < result.row_count(); ++row) {
            answer.job_ids.push_back(result.bigint(row, 0));
        }
        break;
    case Op::claim:
    case Op::claim_any:
        read_grants(result, answer);
        break;
    case Op::turn:
        read_turn(result, answer);
        break;
    case Op::complete:
    case Op::fail:
        answer.word = result.text(0, 0);
        break;
    case Op::complete_many:
    case Op::fail_many:
    case Op::apply_and_complete_many:
    case Op::cancel:
    case Op::redrive:
        read_verdicts(result, answer);
        break;
    case Op::apply_ledger:
    case Op::apply_and_complete:
    case Op::transaction_status:
        answer.word = result.row_count() == 0 ? "none" : std::string(result.text(0, 0));
        answer.entry_id = optional_bigint(1);
        break;
    case Op::reverse_transaction:
        answer.entry_id = optional_bigint(0);
        break;
    case Op::extend:
    case Op::expire_leases:
    case Op::reconcile:
        answer.count = optional_bigint(0);
        break;
    case Op::maintain:
        answer.word = result.optional_text(0, 0).value_or("");
        answer.count = optional_bigint(1);
        break;
    case Op::read_jobs:
        read_jobs(result, answer);
        break;
    default:
        break;
    }
}

} // namespace faultline::simulator
