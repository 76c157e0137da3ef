// Implements the account by queries that compare what was recorded with the views of Faultline.
#include "drill_database.hpp"

#include "drill_job.hpp"

#include <fmt/format.h>

namespace faultline::lab {

namespace {

using client::Api;
using client::Connection;
using client::Parameter;
using client::Parameters;

constexpr int max_attempts = 10'000;
constexpr client::Milliseconds backoff_base{50};
constexpr client::Milliseconds backoff_max{1'000};

std::string ids_of(const std::vector<Acknowledgement> &list) {
    std::vector<std::int64_t> ids;
    for (const Acknowledgement &each : list)
        ids.push_back(each.id);
    return client::bigint_array(ids);
}

std::string names_of(const std::vector<Acknowledgement> &list) {
    std::vector<std::optional<std::string>> names;
    for (const Acknowledgement &each : list)
        names.emplace_back(each.transaction_id);
    return client::text_array(names);
}

} // namespace

client::QueueSettings drill_queue_settings(client::Milliseconds lease) {
    return {.max_attempts = max_attempts,
            .lease = lease,
            .backoff_base = backoff_base,
            .backoff_max = backoff_max,
            .description = "a drill"};
}

void execute_at_last(Connection &connection, const std::string &statement) {
    poll_until(statement, [&] {
        try {
            connection.execute(statement);
            return true;
        } catch (const client::Error &error) {
            if (!error.retryable())
                throw;
            return false;
        }
    });
}

DrillDatabase::DrillDatabase(std::string queue, Connection connection)
    : queue_(std::move(queue)), connection_(std::move(connection)) {}

DrillDatabase DrillDatabase::of_copy(const std::string &conninfo, std::string queue) {
    return {std::move(queue), Connection(conninfo, "drill")};
}

DrillDatabase::DrillDatabase(const std::string &conninfo, std::string queue,
                             client::Milliseconds lease)
    : DrillDatabase(std::move(queue), Connection(conninfo, "drill")) {
    connection_.execute("SET client_min_messages = warning");
    connection_.execute("DROP SCHEMA IF EXISTS faultline_drill CASCADE");
    connection_.execute("CREATE SCHEMA faultline_drill");
    connection_.execute("CREATE TABLE faultline_drill.effects"
                        " (job_id bigint NOT NULL, transaction_id text NOT NULL)");
    connection_.execute("CREATE TABLE faultline_drill.charges"
                        " (transaction_id text PRIMARY KEY, calls int NOT NULL)");
    connection_.execute("SELECT faultline.create_asset($1)", {Parameter(drill_asset)});
    // Not by their first use: that is held by a worker that stands still in the middle of it.
    for (const char *account : {drill_payer, drill_payee})
        connection_.execute("SELECT faultline.open_account($1, $2, maintain_balance => false)",
                            {Parameter(account), Parameter(drill_asset)});
    Api(connection_).create_queue(queue_, drill_queue_settings(lease));
}

std::int64_t DrillDatabase::count(const std::string &sql, const Parameters &parameters) {
    return connection_.execute(sql, parameters).bigint(0, 0);
}

std::string DrillDatabase::situation(const std::string &condition, const Parameter &value) {
    const client::Result found =
        connection_.execute("SELECT concat_ws(' ', j.state, j.attempt,"
                            "       replace(t.state, 'RECONCILED', 'APPLIED'), count(t.entry_id))"
                            "  FROM faultline.jobs j JOIN faultline.transactions t USING (job_id)"
                            " WHERE " +
                                condition + " GROUP BY j.state, j.attempt, t.state",
                            {value});
    return found.row_count() == 1 ? std::string(found.text(0, 0)) : "no such job";
}

void DrillDatabase::reconnect(const std::string &conninfo) {
    poll_until("the server to take connections", [&] {
        try {
            connection_ = Connection(conninfo, "drill");
            return true;
        } catch (const client::Error &) {
            return false;
        }
    });
}

std::vector<std::int64_t> DrillDatabase::enqueue_charges(int count, Recorded &recorded) {
    client::EnqueueOptions options;
    options.kind = job_with_charge;
    std::vector<std::int64_t> jobs;
    for (int number = 0; number < count; ++number) {
        const std::string id = fmt::format("{}-charge-{}", queue_, ++charges_);
        recorded.attempted.push_back(id);
        jobs.push_back(Api(connection_).enqueue(queue_, "{}", id, options, effect_declaration(id)));
        recorded.enqueued.push_back({id, jobs.back()});
    }
    return jobs;
}

// However many there are, some must end all the time.
void DrillDatabase::await_end(const std::string &queue) {
    constexpr int look_milliseconds = 50; // the question reads all live jobs
    std::int64_t left = -1;
    while (left != 0) {
        const std::int64_t before = left;
        poll_until("jobs to end", [&] {
            poll(nullptr, 0, look_milliseconds);
            left = count("SELECT count(*) FROM faultline.jobs WHERE queue = $1"
                         " AND state IN ('queued', 'running')",
                         {Parameter(queue)});
            return left == 0 || before < 0 || left < before;
        });
    }
}

void DrillDatabase::upload(const std::string &prefix, const Recorded &recorded) {
    connection_.execute("CREATE TEMP TABLE " + prefix + "attempted (transaction_id text)");
    connection_.execute("CREATE TEMP TABLE " + prefix +
                        "told (what text, transaction_id text, id bigint)");
    std::vector<std::optional<std::string>> attempted(recorded.attempted.begin(),
                                                      recorded.attempted.end());
    connection_.execute("INSERT INTO " + prefix + "attempted SELECT unnest($1::text[])",
                        {Parameter(client::text_array(attempted))});
    const auto tell = [&](const char *what, const std::vector<Acknowledgement> &list) {
        connection_.execute("INSERT INTO " + prefix +
                                "told SELECT $1, * FROM unnest($2::text[], $3::bigint[])",
                            {Parameter(what), Parameter(names_of(list)), Parameter(ids_of(list))});
    };
    tell("enqueued", recorded.enqueued);
    tell("applied", recorded.applied);
    tell("completed", recorded.completed);
    connection_.execute("ANALYZE");
}

std::vector<std::string> DrillDatabase::violations(const std::string &grace) {
    const client::Result rows =
        connection_.execute("SELECT concat_ws(' ', invariant, subject, detail)"
                            "  FROM faultline.check_invariants(grace => $1::interval)",
                            {Parameter(grace)});
    std::vector<std::string> violations;
    for (int row = 0; row < rows.row_count(); ++row)
        violations.emplace_back(rows.text(row, 0));
    return violations;
}

void DrillDatabase::take_account(const Recorded &recorded, Figures &figures,
                                 const std::string &grace) {
    upload("", recorded);
    // As they are now, by name: a failover may give the number of a job that it lost to another.
    connection_.execute(
        "CREATE TEMP TABLE found AS SELECT t.transaction_id, t.job_id, t.entry_id, j.state,"
        "       j.attempt FROM faultline.transactions t LEFT JOIN faultline.jobs j USING (job_id)"
        " WHERE t.queue = $1",
        {Parameter(queue_)});
    connection_.execute("ANALYZE found");
    figures.acknowledged = count("SELECT count(*) FROM told");
    // Every job is to have succeeded by now, and to have its entry.
    figures.lost = count(
        "SELECT count(*) FROM told LEFT JOIN found f ON f.transaction_id = told.transaction_id"
        "   AND told.id = CASE told.what WHEN 'applied' THEN f.entry_id ELSE f.job_id END"
        " WHERE f.state IS DISTINCT FROM 'succeeded' OR f.entry_id IS NULL");
    figures.unexpected =
        count("SELECT (SELECT count(*) FROM faultline.jobs j WHERE queue = $1 AND NOT EXISTS"
              "   (SELECT FROM attempted a WHERE a.transaction_id = j.idempotency_key))"
              " + (SELECT count(*) FROM faultline_drill.effects WHERE transaction_id"
              "   NOT IN (SELECT transaction_id FROM attempted))",
              {Parameter(queue_)});
    figures.duplicate_effects =
        count("SELECT (SELECT count(*) - count(DISTINCT transaction_id)"
              "   FROM faultline_drill.effects)"
              " + (SELECT count(*) - count(DISTINCT p.transaction_id) FROM faultline.postings p"
              "   JOIN found USING (transaction_id) WHERE p.amount > 0)");
    figures.duplicate_executions =
        count("SELECT coalesce(sum(greatest(attempt - 1, 0)), 0)::bigint FROM found");
    figures.recovered += recorded.recovered;
    figures.stale_rejected += recorded.stale_rejected;
    figures.more["in_doubt"] = static_cast<double>(recorded.in_doubt);
    for (const std::string &error : recorded.errors)
        figures.failures.push_back("a client failed: " + error);
    figures.expect(
        count("SELECT count(*) FROM (SELECT transaction_id FROM found WHERE entry_id IS NOT NULL)"
              " AS entries FULL JOIN faultline_drill.effects USING (transaction_id)"
              " WHERE entries IS NULL OR effects IS NULL") == 0,
        "the application's rows and the entries differ");
    for (std::string &violation : violations(grace))
        figures.violations.push_back(std::move(violation));
}

void DrillDatabase::remove() {
    connection_.execute("SELECT faultline.drop_queue($1, force => true)", {Parameter(queue_)});
    connection_.execute("DROP SCHEMA faultline_drill CASCADE");
}

} // namespace faultline::lab
