// Implements the drill's questions to the database. They use the contract (functions and the view
// faultline.jobs), and a table of the drill's own for what the workers saw happen.
#include "drain_database.hpp"

#include "faultline/api.hpp"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <fmt/format.h>
#include <mutex>
#include <stdexcept>

namespace faultline::lab {

namespace {

using client::Api;
using client::Connection;
using client::Milliseconds;
using client::Parameter;
using client::Parameters;

constexpr std::int64_t enqueue_batch = 10'000;
constexpr Milliseconds lease{3'000};
// A job that is hit by every fault must still have an attempt left.
constexpr int max_attempts = 100;
constexpr Milliseconds backoff{100};
constexpr std::chrono::seconds maintenance_interval{1};

std::string created_database(const std::string &conninfo) {
    Connection admin(conninfo);
    admin.execute("SET client_min_messages = warning");
    admin.execute(fmt::format("DROP DATABASE IF EXISTS {} WITH (FORCE)", drain_database_name));
    admin.execute(fmt::format("CREATE DATABASE {}", drain_database_name));
    return fmt::format("{} dbname={}", conninfo, drain_database_name);
}

} // namespace

DrainDatabase::DrainDatabase(const std::string &conninfo)
    : conninfo_(created_database(conninfo)), connection_(conninfo_, "drain-drill") {
    connection_.execute("CREATE EXTENSION faultline");
    // No unique constraint: a second success must show, not be refused.
    connection_.execute("CREATE TABLE drained (job_id bigint NOT NULL)");
    connection_.execute("CREATE TABLE acknowledged (job_id bigint NOT NULL)");
    Api(connection_)
        .create_queue(drain_queue, {.max_attempts = max_attempts,
                                    .lease = lease,
                                    .backoff_base = backoff,
                                    .backoff_max = backoff,
                                    .description = "drain drill"});
}

std::int64_t DrainDatabase::count(const std::string &sql, const Parameters &parameters) {
    return connection_.execute(sql, parameters).bigint(0, 0);
}

std::vector<std::int64_t> DrainDatabase::enqueue(std::int64_t jobs) {
    std::vector<std::int64_t> acknowledged;
    while (static_cast<std::int64_t>(acknowledged.size()) < jobs) {
        const std::int64_t done = static_cast<std::int64_t>(acknowledged.size());
        std::vector<std::optional<std::string>> payloads;
        for (std::int64_t number = done; number < std::min(jobs, done + enqueue_batch); ++number)
            payloads.push_back(fmt::format(R"({{"order": {}, "currency": "EUR"}})", number));
        const std::vector<std::int64_t> ids = Api(connection_).enqueue_many(drain_queue, payloads);
        acknowledged.insert(acknowledged.end(), ids.begin(), ids.end());
    }
    return acknowledged;
}

bool DrainDatabase::is_drained() {
    return count("SELECT count(*) FROM (SELECT FROM faultline.jobs WHERE queue = $1"
                 " AND state IN ('queued', 'running') LIMIT 1) AS unfinished",
                 {Parameter(drain_queue)}) == 0;
}

std::int64_t DrainDatabase::leases_held_by(const std::string &worker) {
    return count("SELECT count(*) FROM faultline.jobs WHERE queue = $1 AND state = 'running'"
                 " AND lease_owner = $2",
                 {Parameter(drain_queue), Parameter(worker)});
}

bool DrainDatabase::is_session_idle(const std::string &worker) {
    return count("SELECT count(*) FROM pg_stat_activity"
                 " WHERE application_name = $1"
                 " AND (state = 'idle' OR query LIKE 'CALL faultline.wait_for_jobs(%')",
                 {Parameter(worker)}) == 1;
}

bool DrainDatabase::is_session_gone(const std::string &worker) {
    return count("SELECT count(*) FROM pg_stat_activity WHERE application_name = $1",
                 {Parameter(worker)}) == 0;
}

Account DrainDatabase::take_account(const std::vector<std::int64_t> &acknowledged) {
    connection_.execute("INSERT INTO acknowledged (job_id) SELECT unnest($1::bigint[])",
                        {Parameter(client::bigint_array(acknowledged))});
    connection_.execute("ANALYZE");
    Account account{
        .acknowledged = static_cast<std::int64_t>(acknowledged.size()),
        .lost = count("SELECT count(*) FROM acknowledged"
                      " LEFT JOIN (SELECT DISTINCT job_id FROM drained) AS drained USING (job_id)"
                      " LEFT JOIN (SELECT DISTINCT job_id FROM faultline.jobs"
                      "             WHERE queue = $1 AND state = 'succeeded') AS succeeded"
                      "        USING (job_id)"
                      " WHERE drained.job_id IS NULL OR succeeded.job_id IS NULL",
                      {Parameter(drain_queue)}),
        .run_to_success_twice = count("SELECT count(*) FROM (SELECT FROM drained"
                                      " GROUP BY job_id HAVING count(*) > 1) AS twice"),
        .unexpected = count("SELECT count(*) FROM drained LEFT JOIN acknowledged USING (job_id)"
                            " WHERE acknowledged.job_id IS NULL"),
        // No attempt fails in this drill: every attempt but the last ended with its lease.
        .leases_expired = count("SELECT coalesce(sum(attempt - 1), 0) FROM faultline.jobs"
                                " WHERE queue = $1 AND state = 'succeeded'",
                                {Parameter(drain_queue)}),
        .violations = {},
    };
    for (const client::InvariantViolation &row : Api(connection_).check_invariants())
        account.violations.push_back(
            fmt::format("{} {}: {}", row.invariant, row.subject, row.detail));
    return account;
}

MaintenanceLoop::MaintenanceLoop(const std::string &conninfo)
    : thread_([this, conninfo](const std::stop_token &stop) { run(stop, conninfo); }) {}

void MaintenanceLoop::run(const std::stop_token &stop, const std::string &conninfo) {
    try {
        Connection connection(conninfo, "drain-maintenance");
        std::mutex mutex;
        std::condition_variable_any wake;
        std::unique_lock lock(mutex);
        while (!stop.stop_requested()) {
            // A duty's failure is a row, so that it does not keep the others from their turn.
            const client::Result failed = connection.execute(
                "SELECT duty, error FROM faultline.maintain() WHERE error IS NOT NULL");
            if (failed.row_count() > 0)
                throw std::runtime_error(fmt::format("maintenance duty {} failed: {}",
                                                     failed.text(0, 0), failed.text(0, 1)));
            wake.wait_for(lock, stop, maintenance_interval, [] { return false; });
        }
    } catch (...) {
        failure_ = std::current_exception();
    }
}

void MaintenanceLoop::stop() {
    thread_.request_stop();
    thread_.join();
    if (failure_)
        std::rethrow_exception(failure_);
}

} // namespace faultline::lab
