// Implements the clients. Batches are asked for again under their idempotency keys; leases whose
// answer was lost end by themselves, and others take the jobs.
#include "turn_load.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace faultline::lab {

namespace {

using client::Api;
using client::Connection;
using client::Job;
using client::Parameter;
using client::Verdict;

constexpr client::Milliseconds wait_max{1'000};

std::vector<client::Lease> leases_of(const std::vector<Job> &jobs) {
    std::vector<client::Lease> leases;
    for (const Job &job : jobs)
        leases.push_back({job.job_id, job.lease_token});
    return leases;
}

} // namespace

TurnLoad::TurnLoad(DrillDatabase &database, TurnLoadOptions options)
    : options_(std::move(options)), route_(options_.conninfo) {
    Api(database.connection()).create_queue(options_.queue, drill_queue_settings(drill_lease));
    database.connection().execute("CREATE TABLE faultline_drill.turned (job_id bigint NOT NULL)");
    producer_ = std::jthread([this](const std::stop_token &stop) {
        run_recorded(route_, record_, [this, &stop] { produce(stop); });
    });
    for (int number = 0; number < options_.workers; ++number)
        workers_.emplace_back(
            [this, number] { run_recorded(route_, record_, [this, number] { work(number); }); });
}

TurnLoad::~TurnLoad() {
    route_.abandon();
    stop_.request();
}

void TurnLoad::produce(const std::stop_token &stop) {
    ReconnectingClient client(route_, record_, "turn-producer");
    const Clock::time_point start = Clock::now();
    for (std::int64_t job = 0; !stop.stop_requested(); job += options_.batch) {
        while (!stop.stop_requested() &&
               seconds_since(start) * options_.jobs_per_second < static_cast<double>(job))
            pause_shortly();
        std::vector<std::optional<std::string>> keys;
        std::vector<std::optional<std::string>> payloads;
        for (int number = 0; number < options_.batch; ++number) {
            keys.emplace_back(fmt::format("{}-{}", options_.queue, job + number));
            payloads.emplace_back(nlohmann::json(*keys.back()).dump());
            record_.attempt(*keys.back());
        }
        const std::vector<std::int64_t> ids =
            client.until_answered("enqueue_many", [&](Connection &connection, bool) {
                return Api(connection).enqueue_many(options_.queue, payloads, keys);
            });
        for (std::size_t number = 0; number < ids.size(); ++number)
            record_.enqueue(*keys[number], ids[number]);
    }
}

void TurnLoad::work(int number) {
    const std::string name = fmt::format("turn-worker-{}", number);
    ReconnectingClient client(route_, record_, name);
    std::vector<Job> jobs;
    while (!stop_.requested()) {
        const Clock::time_point begun = Clock::now();
        client::Turn turn = take_turn(client, name, jobs);
        note(turn, jobs, begun);
        jobs = std::move(turn.claimed);
        if (jobs.empty())
            client.until_answered("wait", [&](Connection &connection, bool) {
                Api(connection).wait_for_jobs({options_.queue}, wait_max, stop_);
                return true;
            });
    }
}

client::Turn TurnLoad::take_turn(ReconnectingClient &client, const std::string &name,
                                 const std::vector<Job> &done) {
    return client.until_answered("turn", [&](Connection &connection, bool) {
        client::Transaction transaction(connection);
        client::Turn turn =
            Api(connection).turn(options_.queue, name, leases_of(done), options_.batch);
        std::vector<std::int64_t> succeeded;
        for (const client::VerdictRow &row : turn.completed)
            if (row.verdict == Verdict::succeeded)
                succeeded.push_back(row.job_id);
        if (!succeeded.empty())
            connection.execute("INSERT INTO faultline_drill.turned SELECT unnest($1::bigint[])",
                               {Parameter(client::bigint_array(succeeded))});
        transaction.commit();
        return turn;
    });
}

void TurnLoad::note(const client::Turn &turn, const std::vector<Job> &done,
                    Clock::time_point begun) {
    for (std::size_t number = 0; number < done.size(); ++number)
        switch (turn.completed[number].verdict) {
        case Verdict::succeeded:
        case Verdict::already_succeeded:
            record_.complete(nlohmann::json::parse(done[number].payload), done[number].job_id,
                             begun);
            break;
        case Verdict::stale_lease:
            record_.reject_stale();
            break;
        default:
            record_.fail(fmt::format("turn() left job {} as it was", done[number].job_id));
        }
}

void TurnLoad::finish(DrillDatabase &database) {
    producer_.request_stop();
    producer_.join();
    database.await_end(options_.queue);
    stop_.request();
    workers_.clear();
}

TurnAccount TurnLoad::take_account(DrillDatabase &database) {
    const Recorded recorded = record_.all();
    database.upload("turn_", recorded);
    Connection &connection = database.connection();
    connection.execute("CREATE TEMP TABLE turn_jobs AS SELECT job_id, idempotency_key, state"
                       "  FROM faultline.jobs WHERE queue = $1",
                       {Parameter(options_.queue)});
    connection.execute("ANALYZE turn_jobs");
    return {
        .acknowledged = static_cast<std::int64_t>(recorded.enqueued.size()),
        .lost = database.count("SELECT count(*) FROM turn_told LEFT JOIN turn_jobs j"
                               "   ON j.job_id = id AND j.idempotency_key = transaction_id"
                               "  LEFT JOIN faultline_drill.turned ON turned.job_id = id"
                               " WHERE j.state IS DISTINCT FROM 'succeeded' OR turned IS NULL"),
        .unexpected = database.count(
            "SELECT (SELECT count(*) FROM turn_jobs j LEFT JOIN turn_attempted a"
            "   ON a.transaction_id = j.idempotency_key WHERE a IS NULL)"
            " + (SELECT count(*) FROM faultline_drill.turned LEFT JOIN turn_jobs j USING (job_id)"
            "   WHERE j IS NULL)"),
        .duplicates =
            database.count("SELECT count(*) - count(DISTINCT job_id) FROM faultline_drill.turned"),
        .in_doubt = recorded.in_doubt,
    };
}

} // namespace faultline::lab
