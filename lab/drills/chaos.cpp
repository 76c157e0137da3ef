// Implements the faults.
#include "chaos.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <numeric>

namespace faultline::lab {

namespace {

using client::Connection;
using client::Parameter;
using client::Result;

constexpr const char *of_clients = "application_name ~ '^(drill|turn)-'";
constexpr const char *other_database = "drill_other";
constexpr double held_seconds = 5;
constexpr double horizon_seconds = 20;
constexpr double storm_seconds = 5;
constexpr double pause_seconds = 2;

} // namespace

const std::vector<Chaos::Fault> Chaos::faults = {
    {"worker killed", &Chaos::kill_worker},
    {"worker frozen", &Chaos::freeze_worker},
    {"cut at COMMIT", &Chaos::cut_at_commits},
    {"network slow", &Chaos::delay_network},
    {"requests lost", &Chaos::lose_requests},
    {"answers lost", &Chaos::lose_answers},
    {"half-open connections", &Chaos::leave_half_open},
    {"sessions terminated", &Chaos::terminate_sessions},
    {"session kill -9", &Chaos::kill_session},
    {"postmaster kill -9", &Chaos::kill_postmaster},
    {"power cut", &Chaos::cut_power},
    {"restart", &Chaos::restart_server},
    {"background worker terminated", &Chaos::terminate_background},
    {"horizon held", &Chaos::hold_horizon},
    {"rows held", &Chaos::hold_rows},
    {"prepared transaction left", &Chaos::hold_prepared},
    {"all attempts fail", &Chaos::fail_attempts},
    {"tables rewritten", &Chaos::rewrite_tables},
    {"database dropped", &Chaos::drop_other_database},
    {"queues paused", &Chaos::pause_queues},
    {"plain path", &Chaos::take_plain_path},
};

Chaos::Chaos(Stage &stage, DrillDatabase &database, TcpProxy &proxy, Load &load, TurnLoad &turns,
             unsigned seed)
    : stage_(stage), database_(database), load_(load), turns_(turns), network_(stage, proxy, load),
      random_(seed) {}

std::size_t Chaos::kinds() { return faults.size(); }

const Chaos::Fault &Chaos::next() {
    if (left_.empty()) {
        left_.resize(faults.size());
        std::iota(left_.begin(), left_.end(), 0);
        std::shuffle(left_.begin(), left_.end(), random_);
    }
    const Fault &fault = faults[left_.back()];
    left_.pop_back();
    return fault;
}

void Chaos::strike(const Fault &fault) { (this->*fault.strike)(); }

void Chaos::count(std::int64_t times, Clock::time_point struck_at) {
    poll_until("work to go on", [&] {
        load_.record().throw_if_failed();
        turns_.record().throw_if_failed();
        return load_.record().is_working_since(struck_at) &&
               turns_.record().is_working_since(struck_at);
    });
    stage_.figures.faults += times;
    stage_.figures.recovery_seconds.push_back(seconds_since(struck_at));
}

void Chaos::let_pass(double seconds) {
    const Clock::time_point start = Clock::now();
    poll_until(
        "time to pass", [&] { return seconds_since(start) >= seconds; }, Seconds(seconds + 1));
}

// Workers of the load are after the same jobs.
std::int64_t Chaos::await_held_job(WorkerProcess &worker) {
    std::int64_t job = 0;
    poll_until("a worker to hold a job", [&] {
        Recorded recorded;
        database_.enqueue_charges(1, recorded);
        load_.record().add(recorded);
        for (const Report &report : worker.read_reports())
            job = report.moment == Moment::held ? report.count : 0;
        return job != 0;
    });
    return job;
}

void Chaos::await_success(std::int64_t job) {
    poll_until("others to take over", [&] {
        return database_.situation("j.job_id = $1", Parameter(job)).starts_with("succeeded");
    });
    ++stage_.figures.recovered;
}

void Chaos::kill_worker() {
    const std::vector<std::string> points = {"claimed", "charged", "applying", "applied",
                                             "completing"};
    std::uniform_int_distribution<std::size_t> any(0, points.size() - 1);
    WorkerProcess worker = stage_.held_worker(points[any(random_)]);
    const std::int64_t job = await_held_job(worker);
    const Clock::time_point struck_at = Clock::now();
    worker.kill_hard();
    await_success(job);
    count(1, struck_at);
}

void Chaos::freeze_worker() {
    WorkerProcess worker = stage_.held_worker("claimed");
    const std::int64_t job = await_held_job(worker);
    const Clock::time_point struck_at = Clock::now();
    worker.pause();
    await_success(job);
    count(1, struck_at);
    worker.resume();
    const std::vector<Report> reports = worker.stop();
    const bool is_refused = reports.size() == 1 && reports.front().stale_count == 1;
    stage_.figures.stale_rejected += is_refused ? 1 : 0;
    stage_.figures.expect(is_refused, "a zombie was not refused");
}

void Chaos::cut_at_commits() { network_.cut_at_commits(); }
void Chaos::delay_network() { network_.delay(50); }
void Chaos::lose_requests() { network_.lose_requests(); }
void Chaos::lose_answers() { network_.lose_answers(); }
void Chaos::leave_half_open() { network_.leave_half_open(100); }

void Chaos::terminate_sessions() {
    const Clock::time_point struck_at = Clock::now();
    const std::int64_t ended = database_.count(fmt::format(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE {}", of_clients));
    stage_.figures.expect(ended > 0, "no session was terminated");
    count(ended, struck_at);
}

void Chaos::kill_session() {
    const std::int64_t victim = database_.count(fmt::format(
        "SELECT pid FROM pg_stat_activity WHERE {} ORDER BY random() LIMIT 1", of_clients));
    const Clock::time_point struck_at = Clock::now();
    stage_.server->kill(static_cast<int>(victim));
    database_.reconnect(stage_.conninfo);
    count(1, struck_at);
}

void Chaos::kill_postmaster() {
    const Clock::time_point struck_at = Clock::now();
    stage_.server->kill_postmaster();
    stage_.server->restart(true);
    database_.reconnect(stage_.conninfo);
    count(1, struck_at);
}

void Chaos::cut_power() {
    const Clock::time_point struck_at = Clock::now();
    stage_.server->restart(true);
    database_.reconnect(stage_.conninfo);
    count(1, struck_at);
}

void Chaos::restart_server() {
    const Clock::time_point struck_at = Clock::now();
    stage_.server->restart(false);
    database_.reconnect(stage_.conninfo);
    count(1, struck_at);
}

// Both come back by themselves: leases end in the database all the time.
void Chaos::terminate_background() {
    const std::string since(database_.connection().execute("SELECT clock_timestamp()").text(0, 0));
    const Clock::time_point struck_at = Clock::now();
    const std::int64_t ended =
        database_.count("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                        " WHERE backend_type IN ('faultline worker', 'faultline launcher')");
    poll_until("launcher and worker to be back", [&] {
        return database_.count("SELECT count(DISTINCT backend_type) FROM pg_stat_activity"
                               " WHERE backend_type IN ('faultline worker', 'faultline launcher')"
                               "   AND backend_start > $1::timestamptz",
                               {Parameter(since)}) == 2;
    });
    count(ended, struck_at);
}

// A forgotten transaction: nothing that ends now can be cleaned away.
void Chaos::hold_horizon() {
    Connection holder(stage_.conninfo, "holder");
    holder.execute("BEGIN ISOLATION LEVEL REPEATABLE READ");
    holder.execute("SELECT count(*) FROM faultline.queues");
    count(1, Clock::now());
    let_pass(horizon_seconds);
    holder.execute("ROLLBACK");
}

// Jobs that are ready, and that nobody can take. Paused, so that nobody takes them before.
void Chaos::lock_rows(Connection &holder) {
    constexpr int rows = 20;
    database_.connection().execute("SELECT faultline.pause_queue($1)", {Parameter(stage_.queue)});
    Recorded recorded;
    database_.enqueue_charges(rows, recorded);
    load_.record().add(recorded);
    const Result locked =
        holder.execute("SELECT FROM faultline.live_jobs j JOIN faultline.queues q USING (queue_id)"
                       " WHERE q.name = $1 AND j.state = 'q' LIMIT $2 FOR UPDATE OF j",
                       {Parameter(stage_.queue), Parameter(rows)});
    database_.connection().execute("SELECT faultline.resume_queue($1)", {Parameter(stage_.queue)});
    stage_.figures.expect(locked.row_count() == rows, "the rows were not locked");
}

void Chaos::hold_rows() {
    Connection holder(stage_.conninfo, "holder");
    holder.execute("BEGIN");
    lock_rows(holder);
    count(1, Clock::now());
    let_pass(held_seconds);
    holder.execute("ROLLBACK");
}

void Chaos::hold_prepared() {
    {
        Connection holder(stage_.conninfo, "holder");
        holder.execute("BEGIN");
        lock_rows(holder);
        holder.execute("PREPARE TRANSACTION 'soak'");
    }
    count(1, Clock::now());
    let_pass(held_seconds);
    database_.connection().execute("ROLLBACK PREPARED 'soak'");
}

void Chaos::fail_attempts() {
    load_.fail_attempts(true);
    let_pass(storm_seconds);
    load_.fail_attempts(false);
    count(1, Clock::now());
}

// Every row moves: what the memory says of their places is wrong from then on.
void Chaos::rewrite_tables() {
    const Clock::time_point struck_at = Clock::now();
    for (const char *statement :
         {"VACUUM FULL faultline.live_jobs", "REINDEX TABLE faultline.live_jobs"})
        execute_at_last(database_.connection(), statement);
    count(2, struck_at);
}

// In it a dead worker's lease, so that the background worker has something to do there.
void Chaos::drop_other_database() {
    Connection postgres(stage_.server->conninfo("postgres"), "drill");
    postgres.execute(fmt::format("CREATE DATABASE {}", other_database));
    {
        Connection other(stage_.server->conninfo(other_database), "other");
        other.execute("CREATE EXTENSION faultline");
        other.execute("SELECT faultline.create_queue('other', lease => '1 s')");
        other.execute("SELECT faultline.enqueue('other')");
        other.execute("SELECT faultline.claim('other', 'dead')");
    }
    const Clock::time_point struck_at = Clock::now();
    postgres.execute(fmt::format("DROP DATABASE {} WITH (FORCE)", other_database));
    count(1, struck_at);
}

void Chaos::pause_queues() {
    const auto all = [&](const char *function) {
        database_.connection().execute(
            fmt::format("SELECT faultline.{}(name) FROM faultline.queues", function));
    };
    all("pause_queue");
    // A call that had begun before may still answer with jobs.
    let_pass(pause_seconds / 2);
    const Clock::time_point paused_at = Clock::now();
    let_pass(pause_seconds / 2);
    stage_.figures.expect(!load_.record().is_working_since(paused_at) &&
                              !turns_.record().is_working_since(paused_at),
                          "a paused queue gave jobs");
    all("resume_queue");
    count(1, Clock::now());
}

// As an operator would who suspects the memory, while everybody works.
void Chaos::take_plain_path() {
    Connection postgres(stage_.server->conninfo("postgres"), "drill");
    const Clock::time_point struck_at = Clock::now();
    postgres.execute("ALTER SYSTEM SET faultline.fast_path = off");
    postgres.execute("SELECT pg_reload_conf()");
    load_.await_completions(100);
    postgres.execute("ALTER SYSTEM RESET faultline.fast_path");
    postgres.execute("SELECT pg_reload_conf()");
    count(1, struck_at);
}

} // namespace faultline::lab
