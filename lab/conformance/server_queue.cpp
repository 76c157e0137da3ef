// Implements the calls as SQL.
#include "server_queue.hpp"

#include "faultline/error.hpp"

#include <fmt/format.h>

namespace faultline::conformance {

namespace {

using client::Parameter;
using client::Parameters;
using client::Result;

constexpr const char *beginning_of_time = "'2030-01-01 00:00:00+00'::timestamptz";
// What no job and no lease has.
constexpr std::int64_t unknown_id = 1'000'000'000'000;
constexpr std::int64_t unknown_token = 7;

Parameter interval(const Verb &verb, const char *option) {
    const std::optional<std::int64_t> seconds = verb.number(option);
    return seconds ? Parameter(fmt::format("{} seconds", *seconds)) : Parameter(std::nullopt);
}

std::string since_beginning(const char *column) {
    return fmt::format("(extract(epoch FROM {} - {}) * 1000000)::bigint", column,
                       beginning_of_time);
}

std::string time_text(const Result &result, int row, int column) {
    return result.is_null(row, column) ? "-" : seconds_text(result.bigint(row, column));
}

std::string text_or_dash(const Result &result, int row, int column) {
    return result.optional_text(row, column).value_or("-");
}

} // namespace

ServerQueue::ServerQueue(const std::string &conninfo, std::string path)
    : connection_(conninfo, "conformance"), path_(std::move(path)) {}

void ServerQueue::start_over() {
    roll_back();
    for (const std::string &queue : queues_) {
        run("SELECT faultline.drop_queue($1, force => true)", {queue_name(queue)});
    }
    queues_.clear();
    numbers_.clear();
    ids_.clear();
    tokens_.clear();
    ++round_;
    run(fmt::format("SELECT faultline.set_clock({})", beginning_of_time));
}

std::string ServerQueue::queue_name(const std::string &queue) const {
    return fmt::format("{}.{}", queue, round_);
}

std::string ServerQueue::queue_array(const std::vector<std::string> &queues) const {
    std::vector<std::optional<std::string>> names;
    for (const std::string &queue : queues) {
        names.emplace_back(queue_name(queue));
    }
    return client::text_array(names);
}

int ServerQueue::number_of(std::int64_t job_id) {
    const auto [place, is_new] = numbers_.emplace(job_id, static_cast<int>(ids_.size()) + 1);
    if (is_new) {
        ids_.push_back(job_id);
    }
    return place->second;
}

std::int64_t ServerQueue::id_of(int number) const {
    const auto place = static_cast<std::size_t>(number - 1);
    return place < ids_.size() ? ids_[place] : unknown_id + number;
}

std::int64_t ServerQueue::token_of(const Held &held) const {
    const auto found = tokens_.find({held.job, held.attempt});
    return found == tokens_.end() ? unknown_token : found->second;
}

std::string ServerQueue::call(const Verb &verb) {
    try {
        return perform(verb);
    } catch (const client::Error &error) {
        if (error.sqlstate().empty()) {
            throw;
        }
        roll_back();
        return error.sqlstate();
    }
}

std::string ServerQueue::perform(const Verb &verb) {
    if (verb.name == "enqueue" || verb.name == "enqueue_many")
        return enqueue(verb);
    if (verb.name == "claim" || verb.name == "claim_any")
        return claim(verb);
    if (verb.name == "cancel" || verb.name == "redrive")
        return of_jobs(verb);
    if (verb.name.starts_with("complete") || verb.name.starts_with("fail") ||
        verb.name.starts_with("extend") || verb.name == "release")
        return of_leases(verb);
    return statement(verb);
}

std::string ServerQueue::statement(const Verb &verb) {
    const auto queue = [&] { return queue_name(verb.words.at(0)); };
    if (verb.name == "queue") {
        queues_.push_back(verb.words.at(0));
        run("SELECT faultline.create_queue($1, lease => $2, max_attempts => $3, "
            "backoff_base => $4, backoff_max => $5, backoff_jitter => 0, max_runtime => $6, "
            "keep_keys => $7, keep_finished => '3650 days')",
            {queue(), interval(verb, "lease"), verb.number("attempts"), interval(verb, "backoff"),
             interval(verb, "backoff_max"), interval(verb, "max_runtime"),
             interval(verb, "keep_keys")});
    } else if (verb.name == "pause" || verb.name == "resume") {
        run(fmt::format("SELECT faultline.{}_queue($1)", verb.name), {queue()});
    } else if (verb.name == "redrive_queue") {
        return verdicts(run("SELECT job_id, verdict FROM faultline.redrive(queue => $1, "
                            "max_jobs => coalesce($2, 1000), delay => $3)",
                            {queue(), verb.number("max"), interval(verb, "delay")}));
    } else if (verb.name == "expire") {
        return std::string(run("SELECT faultline.expire_leases()").text(0, 0));
    } else if (verb.name == "purge") {
        run("SELECT faultline.purge_dead_letters($1, $2)", {queue(), interval(verb, "older")});
    } else if (verb.name == "expire_keys") {
        run("SELECT faultline.run_duty('expire_keys')");
    } else if (verb.name == "advance") {
        run("SELECT faultline.advance_clock($1 * interval '1 s')", {std::stoi(verb.words.at(0))});
    } else {
        change_transaction(verb);
    }
    return {};
}

// Without a transaction, because an error has ended it, the other words mean nothing.
void ServerQueue::change_transaction(const Verb &verb) {
    if (verb.name == "begin") {
        connection_.begin();
        in_transaction_ = true;
    } else if (verb.name == "savepoint" && in_transaction_) {
        run("SAVEPOINT here");
        has_savepoint_ = true;
    } else if (verb.name == "rollback_to" && has_savepoint_) {
        run("ROLLBACK TO here");
    } else if (verb.name == "commit" && in_transaction_) {
        connection_.commit();
        in_transaction_ = has_savepoint_ = false;
    } else if (verb.name == "rollback") {
        roll_back();
    }
}

void ServerQueue::roll_back() {
    if (in_transaction_) {
        connection_.rollback();
    }
    in_transaction_ = has_savepoint_ = false;
}

std::string ServerQueue::numbers(const Result &result) {
    std::string text;
    for (int row = 0; row < result.row_count(); ++row) {
        text += fmt::format("{}{}", text.empty() ? "" : " ", number_of(result.bigint(row, 0)));
    }
    return text;
}

std::string ServerQueue::verdicts(const Result &result) {
    std::string text;
    for (int row = 0; row < result.row_count(); ++row) {
        const std::int64_t id = result.bigint(row, 0);
        const std::int64_t number = id > unknown_id ? id - unknown_id : number_of(id);
        text += fmt::format("{}{}:{}", text.empty() ? "" : " ", number, result.text(row, 1));
    }
    return text;
}

std::string ServerQueue::enqueue(const Verb &verb) {
    const auto payload = [](const std::string &word) { return "\"" + word + "\""; };
    if (verb.name == "enqueue") {
        const auto key = verb.options.find("key");
        return numbers(
            run("SELECT faultline.enqueue($1, $2, idempotency_key => $3, delay => $4, "
                "priority => coalesce($5, 0), max_attempts => $6)",
                {queue_name(verb.words.at(0)), payload(verb.words.at(1)),
                 key == verb.options.end() ? Parameter(std::nullopt) : Parameter(key->second),
                 interval(verb, "delay"), verb.number("priority"), verb.number("attempts")}));
    }
    std::vector<std::optional<std::string>> payloads, keys;
    for (const std::string &item : split(verb.words.at(1), ',')) {
        const std::vector<std::string> parts = split(item, ':');
        payloads.emplace_back(payload(parts[0]));
        keys.push_back(parts.size() > 1 ? std::optional(parts[1]) : std::nullopt);
    }
    return numbers(
        run("SELECT * FROM faultline.enqueue_many($1, $2, idempotency_keys => $3, "
            "delay => $4, priority => coalesce($5, 0), max_attempts => $6)",
            {queue_name(verb.words.at(0)), client::text_array(payloads), client::text_array(keys),
             interval(verb, "delay"), verb.number("priority"), verb.number("attempts")}));
}

std::string ServerQueue::claim(const Verb &verb) {
    const bool any = verb.name == "claim_any";
    const Result result =
        run(fmt::format("SELECT job_id, attempt, lease_token, {} FROM faultline.{}($1, $2, "
                        "coalesce($3, 1), $4)",
                        since_beginning("lease_expires_at"), verb.name),
            {any ? queue_array(verb.list()) : queue_name(verb.words.at(0)), verb.words.at(1),
             verb.number("max"), interval(verb, "lease")});
    std::string text;
    for (int row = 0; row < result.row_count(); ++row) {
        const int number = number_of(result.bigint(row, 0));
        const int attempt = result.integer(row, 1);
        tokens_[{number, attempt}] = result.bigint(row, 2);
        text += fmt::format("{}{}/{}@{}", text.empty() ? "" : " ", number, attempt,
                            seconds_text(result.bigint(row, 3)));
    }
    return text;
}

std::string ServerQueue::of_leases(const Verb &verb) {
    std::vector<std::int64_t> ids, tokens;
    for (const Held &held : verb.held()) {
        ids.push_back(id_of(held.job));
        tokens.push_back(token_of(held));
    }
    if (verb.name.ends_with("_many")) {
        Parameters parameters = {client::bigint_array(ids), client::bigint_array(tokens)};
        if (verb.name == "fail_many") {
            parameters.emplace_back(
                client::text_array(std::vector<std::optional<std::string>>(ids.size(), "failed")));
        } else if (verb.name == "extend_many") {
            parameters.push_back(interval(verb, "lease"));
        }
        return verdicts(run(fmt::format("SELECT job_id, verdict FROM faultline.{}($1, $2{})",
                                        verb.name, parameters.size() > 2 ? ", $3" : ""),
                            parameters));
    }
    Parameters parameters = {ids.at(0), tokens.at(0)};
    if (verb.name == "fail") {
        parameters.push_back(interval(verb, "retry"));
        parameters.emplace_back(verb.has("discard"));
        return std::string(
            run("SELECT faultline.fail($1, $2, 'failed', $3, $4)", parameters).text(0, 0));
    }
    if (verb.name == "extend") {
        parameters.push_back(interval(verb, "lease"));
        return time_text(
            run("SELECT " + since_beginning("faultline.extend($1, $2, $3)"), parameters), 0, 0);
    }
    if (verb.name == "release") {
        parameters.push_back(interval(verb, "delay"));
        run("SELECT faultline.release($1, $2, $3)", parameters);
        return {};
    }
    return std::string(run("SELECT faultline.complete($1, $2)", parameters).text(0, 0));
}

std::string ServerQueue::of_jobs(const Verb &verb) {
    std::vector<std::int64_t> ids;
    for (const std::string &number : verb.list()) {
        ids.push_back(id_of(std::stoi(number)));
    }
    if (verb.name == "cancel") {
        return verdicts(run("SELECT job_id, verdict FROM faultline.cancel($1, 'cancelled by hand')",
                            {client::bigint_array(ids)}));
    }
    return verdicts(run("SELECT job_id, verdict FROM faultline.redrive($1, delay => $2)",
                        {client::bigint_array(ids), interval(verb, "delay")}));
}

std::string ServerQueue::rows() {
    std::string rows;
    const std::string ending = fmt::format(".{}", round_);
    const Result jobs =
        run(fmt::format("SELECT job_id, queue, payload #>> '{{}}', state, priority, attempt, "
                        "max_attempts, {}, {}, lease_owner, {}, idempotency_key, last_error "
                        "FROM faultline.jobs WHERE queue LIKE $1 ORDER BY job_id",
                        since_beginning("next_run_at"), since_beginning("lease_expires_at"),
                        since_beginning("finished_at")),
            {"%" + ending});
    for (int row = 0; row < jobs.row_count(); ++row) {
        const std::string queue(jobs.text(row, 1));
        rows += fmt::format("{} {} {} {} priority {} attempt {}/{} next {} until {} by {} ended {} "
                            "key {} error {}\n",
                            number_of(jobs.bigint(row, 0)),
                            queue.substr(0, queue.size() - ending.size()), jobs.text(row, 2),
                            jobs.text(row, 3), jobs.integer(row, 4), jobs.integer(row, 5),
                            jobs.integer(row, 6), time_text(jobs, row, 7), time_text(jobs, row, 8),
                            text_or_dash(jobs, row, 9), time_text(jobs, row, 10),
                            text_or_dash(jobs, row, 11), text_or_dash(jobs, row, 12));
    }
    const Result attempts =
        run("SELECT job_id, attempt, outcome, final, error FROM faultline.attempts "
            "WHERE queue LIKE $1 ORDER BY job_id, attempt",
            {"%" + ending});
    for (int row = 0; row < attempts.row_count(); ++row) {
        rows +=
            fmt::format("{}/{} {}{} error {}\n", number_of(attempts.bigint(row, 0)),
                        attempts.integer(row, 1), attempts.text(row, 2),
                        attempts.boolean(row, 3) ? " final" : "", text_or_dash(attempts, row, 4));
    }
    return rows;
}

} // namespace faultline::conformance
