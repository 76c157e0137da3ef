// Drills of time: D10 attacks the background worker, which ends leases; D12 moves the clocks of the
// server and of workers; D16 lets thousands of leases end at once, and all attempts fail.
#include "drain_database.hpp"
#include "stage.hpp"

#include "../processes.hpp"

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fmt/format.h>

namespace faultline::lab {

namespace {

using client::Connection;
using client::Parameter;
using client::Result;

constexpr double overdue_seconds_max = 2;

// A queue from which nobody claims: only the background worker ends its leases.
class DesertedQueue {
  public:
    DesertedQueue(DrillDatabase &database, const char *lease)
        : database_(database), name_(database.queue() + "-deserted") {
        database_.connection().execute(
            "SELECT faultline.create_queue($1, lease => $2::interval, max_attempts => 10000,"
            " backoff_base => '0')",
            {Parameter(name_), Parameter(lease)});
    }

    // A worker claims a job and is never seen again.
    std::int64_t desert() {
        Connection &connection = database_.connection();
        const std::int64_t job =
            connection.execute("SELECT faultline.enqueue($1, priority => -1)", {Parameter(name_)})
                .bigint(0, 0);
        const Result claimed = connection.execute(
            "SELECT job_id FROM faultline.claim($1, 'deserter', 1000)", {Parameter(name_)});
        return claimed.row_count() > 0 ? job : 0;
    }

    bool is_settled(std::int64_t job) {
        return database_.count("SELECT count(*) FROM faultline.jobs"
                               " WHERE job_id = $1 AND state = 'queued'",
                               {Parameter(job)}) == 1;
    }

    void remove() {
        database_.connection().execute("SELECT faultline.drop_queue($1, force => true)",
                                       {Parameter(name_)});
    }

  private:
    DrillDatabase &database_;
    const std::string name_;
};

class BackgroundDrill {
  public:
    explicit BackgroundDrill(Stage &stage)
        : stage_(stage), database_(stage.conninfo, stage.queue), load_(stage.load_options()),
          deserted_(database_, "300 ms") {}

    void play() {
        for (int round = 0; round < stage_.times(5, 1); ++round)
            for (const char *type : {"faultline worker", "faultline launcher"}) {
                terminate(await_process(type));
                freeze(await_process(type));
                kill(await_process(type));
            }
        deserted_.remove();
        stage_.finish(load_, database_);
    }

  private:
    // The worker of a database is there while leases end in it.
    int await_process(const char *type) {
        int process = 0;
        std::int64_t job = deserted_.desert();
        poll_until(type, [&] {
            if (deserted_.is_settled(job))
                job = deserted_.desert();
            const Result found = database_.connection().execute(
                "SELECT pid FROM pg_stat_activity WHERE backend_type = $1"
                "   AND coalesce(datname, current_database()) = current_database()",
                {Parameter(type)});
            process = found.row_count() == 1 ? found.integer(0, 0) : 0;
            return process != 0;
        });
        return process;
    }

    void terminate(int process) {
        struck_at_ = Clock::now();
        ::kill(process, SIGTERM);
        await_gone(process);
        await_settled();
    }

    // That ends all sessions; the worker's time begins when the server takes new ones.
    void kill(int process) {
        stage_.server->kill(process);
        await_gone(process);
        database_.reconnect(stage_.conninfo);
        struck_at_ = Clock::now();
        await_settled();
    }

    // Workers of the load end the leases in their own queue meanwhile.
    void freeze(int process) {
        struck_at_ = Clock::now();
        ::kill(process, SIGSTOP);
        poll_until("the process to stop", [&] { return process_state(process) == 'T'; });
        ++stage_.figures.faults;
        load_.seconds_until_working(struck_at_);
        load_.await_completions(50);
        struck_at_ = Clock::now();
        ::kill(process, SIGCONT);
        await_settled();
    }

    void await_gone(int process) {
        poll_until("the process to go", [&] { return process_state(process) == process_gone; });
        ++stage_.figures.faults;
    }

    void await_settled() {
        const std::int64_t job = deserted_.desert();
        poll_until("a lease to be settled", [&] { return deserted_.is_settled(job); });
        const double seconds = seconds_since(struck_at_);
        stage_.figures.recovery_seconds.push_back(seconds);
        ++stage_.figures.recovered;
        stage_.figures.expect(seconds < stage_.bound(overdue_seconds_max),
                              fmt::format("a lease was settled after {:.2f} s", seconds));
    }

    Stage &stage_;
    DrillDatabase database_;
    Load load_;
    DesertedQueue deserted_;
    Clock::time_point struck_at_;
};

// The virtual clock of a database, which goes on by itself, some hours off.
class MovingClock {
  public:
    explicit MovingClock(const std::string &conninfo)
        : connection_(conninfo, "drill-clock"),
          thread_([this](const std::stop_token &stop) { tick(stop); }) {}

    // Returns when calls go by the new time.
    void set(int hours) {
        hours_ = hours;
        const int ticks = ticks_;
        poll_until("the clock to be set", [&] { return ticks_ > ticks + 1; });
    }

  private:
    void tick(const std::stop_token &stop) {
        while (!stop.stop_requested()) {
            connection_.execute("SELECT faultline.set_clock(clock_timestamp()"
                                " + make_interval(hours => $1))",
                                {Parameter(hours_.load())});
            ++ticks_;
            poll(nullptr, 0, 20);
        }
    }

    Connection connection_;
    std::atomic<int> hours_ = 0;
    std::atomic<int> ticks_ = 0;
    std::jthread thread_;
};

// A worker whose own clock is wrong keeps its lease, and finishes its job.
void mislead_worker(Stage &stage, DrillDatabase &database, Recorded &recorded, const char *offset) {
    constexpr const char *faketime = "/usr/bin/faketime";
    if (!std::filesystem::exists(faketime)) {
        stage.figures.more["workers_with_a_wrong_clock"] = 0; // see scripts/setup
        return;
    }
    database.enqueue_charges(1, recorded);
    WorkerProcess worker = stage.held_worker("claimed", {faketime, "-f", offset});
    poll_until("the worker to claim", [&] { return !worker.read_reports().empty(); });
    const std::vector<Report> reports = worker.stop();
    ++stage.figures.faults;
    ++stage.figures.more["workers_with_a_wrong_clock"];
    stage.figures.expect(reports.size() == 1 && reports.front().count == 1,
                         fmt::format("a worker whose clock is {} off did not finish", offset));
}

void jump(Stage &stage, Load &load, MovingClock &clock, int hours) {
    load.await_completions(50);
    const Clock::time_point struck_at = Clock::now();
    clock.set(hours);
    ++stage.figures.faults;
    stage.figures.recovery_seconds.push_back(load.seconds_until_working(struck_at));
}

} // namespace

void attack_background_worker(Stage &stage) { BackgroundDrill(stage).play(); }

void move_clocks(Stage &stage) {
    DrillDatabase database(stage.conninfo, stage.queue);
    Recorded recorded;
    mislead_worker(stage, database, recorded, "+1h");
    mislead_worker(stage, database, recorded, "-1h");
    DesertedQueue deserted(database, "1 s");
    MovingClock clock(stage.conninfo);
    Load load(stage.load_options());
    load.record().add(recorded);
    for (int round = 0; round < stage.times(5, 1); ++round) {
        jump(stage, load, clock, 1);
        jump(stage, load, clock, 0); // an hour back: what waits is due an hour later
        jump(stage, load, clock, 1);
        jump(stage, load, clock, 26);
        // Dead, and its lease ends in 25 hours by the clock that is set back.
        const std::int64_t job = deserted.desert();
        stage.figures.expect(job != 0, "no job was claimed before the clock went back");
        const Clock::time_point struck_at = Clock::now();
        jump(stage, load, clock, 1);
        poll_until("the lease of the dead worker to be ended",
                   [&] { return deserted.is_settled(job); });
        stage.figures.recovery_seconds.push_back(seconds_since(struck_at));
        ++stage.figures.recovered;
        jump(stage, load, clock, 27);
        jump(stage, load, clock, 0);
    }
    clock.set(48);
    deserted.remove();
    // Entries that were made after the clock was set back are older than their jobs.
    stage.grace = "3 days";
    stage.finish(load, database);
}

namespace {

// Of the tenths of the time in which retries are due: the fullest by the mean of all.
double peak_by_mean(DrillDatabase &database) {
    return database.connection()
        .execute("WITH due AS (SELECT extract(epoch FROM next_run_at)::float8 AS t"
                 "  FROM faultline.jobs WHERE queue = $1 AND state = 'queued' AND attempt = 1),"
                 " tenths AS (SELECT count(*) AS n FROM due, (SELECT min(t) AS first,"
                 "     max(t) + 0.001 AS last FROM due) AS ends"
                 "   GROUP BY width_bucket(t, first, last, 10))"
                 " SELECT max(n)::float8 / (sum(n)::float8 / 10) FROM tenths",
                 {Parameter(database.queue())})
        .number(0, 0);
}

// Thousands of leases of dead workers end at once.
void end_leases_at_once(Stage &stage, DrillDatabase &database, Recorded &recorded) {
    Connection &connection = database.connection();
    const int jobs = stage.times(10'000, 1'000);
    constexpr const char *spread = "20 s"; // long enough to look before the first is due
    connection.execute("SELECT faultline.alter_queue($1, backoff_base => $2::interval,"
                       " backoff_max => $2::interval)",
                       {Parameter(stage.queue), Parameter(spread)});
    database.enqueue_charges(jobs, recorded);
    std::int64_t claimed = 0;
    while (claimed < jobs)
        claimed += connection
                       .execute("SELECT job_id FROM faultline.claim($1, 'deserter', 10000)",
                                {Parameter(stage.queue)})
                       .row_count();
    const Clock::time_point start = Clock::now();
    poll_until("all leases to be settled", [&] {
        connection.execute("SELECT faultline.expire_leases()");
        return database.count("SELECT count(*) FROM faultline.jobs"
                              " WHERE queue = $1 AND state = 'running'",
                              {Parameter(stage.queue)}) == 0;
    });
    stage.figures.recovery_seconds.push_back(seconds_since(start));
    stage.figures.faults += claimed;
    const double peak = peak_by_mean(database);
    stage.figures.more["leases_ended_at_once"] = static_cast<double>(claimed);
    stage.figures.more["peak_by_mean_of_retries"] = peak;
    stage.figures.expect(peak < 3,
                         fmt::format("retries come in a wave: {:.1f} times the mean", peak));
    connection.execute("SELECT faultline.alter_queue($1, backoff_base => '50 ms',"
                       " backoff_max => '1 s')",
                       {Parameter(stage.queue)});
}

double completions_per_second(Load &load, double seconds) {
    const Clock::time_point start = Clock::now();
    const std::int64_t before = load.record().completed();
    poll_until("figures", [&] { return seconds_since(start) >= seconds; });
    return static_cast<double>(load.record().completed() - before) / seconds_since(start);
}

// For a while no attempt succeeds; the load goes on as before.
void fail_all_attempts(Stage &stage, Load &load) {
    constexpr double share_wanted = 0.9;
    constexpr double seconds_max = 60;
    const double storm_seconds = stage.times(60, 5);
    load.await_completions(20);
    const double before = completions_per_second(load, 2);
    load.fail_attempts(true);
    const Clock::time_point struck_at = Clock::now();
    poll_until(
        "the storm to pass", [&] { return seconds_since(struck_at) > storm_seconds; },
        Seconds(storm_seconds + 1));
    load.fail_attempts(false);
    ++stage.figures.faults;
    const Clock::time_point calm_at = Clock::now();
    double after = 0;
    while (after < share_wanted * before && seconds_since(calm_at) < seconds_max)
        after = completions_per_second(load, 1);
    stage.figures.recovery_seconds.push_back(seconds_since(calm_at));
    stage.figures.more["completions_per_second_before"] = before;
    stage.figures.more["completions_per_second_after"] = after;
    stage.figures.expect(
        after >= share_wanted * before,
        fmt::format("{:.0f} jobs/s before the storm, {:.0f} after", before, after));
}

} // namespace

void storm_of_retries(Stage &stage) {
    DrillDatabase database(stage.conninfo, stage.queue);
    Recorded recorded;
    end_leases_at_once(stage, database, recorded);
    LoadOptions options = stage.load_options();
    options.jobs_per_second = 20; // of each producer; far below what the workers can do
    options.backlog_max = 1'000'000;
    Load load(options);
    fail_all_attempts(stage, load);
    load.record().add(recorded);
    stage.finish(load, database);
}

} // namespace faultline::lab
