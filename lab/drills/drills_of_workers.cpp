// Drills that strike worker processes: D01 kills them, D05 freezes them.
#include "stage.hpp"

#include <fmt/format.h>
#include <map>

namespace faultline::lab {

namespace {

using client::Parameter;
using client::Result;

constexpr double sweep_seconds_max = 2;
// All victims are at their points before it ends, also on a busy machine.
constexpr std::chrono::milliseconds killed_lease{5'000};
constexpr double lease_seconds = Seconds(drill_lease).count();

struct Victim {
    std::string point;
    WorkerProcess process;
    std::int64_t job;
};

// A job with its worker for each point, `rounds` times.
std::vector<Victim> held_victims(Stage &stage, DrillDatabase &database,
                                 const std::vector<std::string> &points, int rounds,
                                 Recorded &recorded) {
    std::vector<Victim> victims;
    database.enqueue_charges(rounds * static_cast<int>(points.size()), recorded);
    for (int round = 0; round < rounds; ++round)
        for (const std::string &point : points)
            victims.push_back({point, stage.held_worker(point), 0});
    for (Victim &victim : victims)
        victim.job = await_held(victim.process);
    return victims;
}

const std::map<std::string, std::string> found_at = {
    {"claiming", "queued 0 INIT 0"},    {"claimed", "running 1 INIT 0"},
    {"charged", "running 1 INIT 0"},    {"applying", "running 1 INIT 0"},
    {"applied", "running 1 APPLIED 1"}, {"completing", "running 1 APPLIED 1"},
    {"finishing", "running 1 INIT 0"},  {"finished", "succeeded 1 APPLIED 1"},
};

void check_end(Stage &stage, DrillDatabase &database, const Victim &victim,
               const std::string &killed_at) {
    const Result end = database.connection().execute(
        "SELECT state = 'succeeded', extract(epoch FROM finished_at - $2::timestamptz)::float8"
        "  FROM faultline.jobs WHERE job_id = $1",
        {Parameter(victim.job), Parameter(killed_at)});
    const double seconds = end.number(0, 1);
    stage.figures.recovered += end.boolean(0, 0) ? 1 : 0;
    stage.figures.recovery_seconds.push_back(seconds);
    stage.figures.expect(
        seconds <= Seconds(killed_lease).count() + stage.bound(sweep_seconds_max),
        fmt::format("killed at {}: its job ended {:.2f} s later", victim.point, seconds));
}

// Until the jobs of the dead have been done by others.
void kill_one_at_each_point(Stage &stage, DrillDatabase &database, Record &record) {
    std::vector<std::string> points;
    for (const auto &[point, found] : found_at)
        points.push_back(point);
    Recorded recorded;
    std::vector<Victim> victims = held_victims(stage, database, points, 1, recorded);
    record.add(recorded);
    for (const Victim &victim : victims) {
        const std::string found = database.situation("j.job_id = $1", Parameter(victim.job));
        stage.figures.expect(found == found_at.at(victim.point),
                             fmt::format("at {}: {}", victim.point, found));
    }
    const std::string killed_at(
        database.connection().execute("SELECT faultline.clock_now()").text(0, 0));
    for (Victim &victim : victims) {
        victim.process.kill_hard();
        ++stage.figures.faults;
    }
    LoadOptions options = stage.load_options();
    options.producers = 0;
    Load others(options);
    database.await_end();
    others.stop();
    record.add(others.record().all());
    for (const Victim &victim : victims)
        if (victim.point != "finished")
            check_end(stage, database, victim, killed_at);
}

} // namespace

// The crash points of a job's way: what is found at each, and that others take over in time.
void kill_workers(Stage &stage) {
    DrillDatabase database(stage.conninfo, stage.queue, killed_lease);
    Record record;
    for (int round = 0; round < stage.times(5, 1); ++round)
        kill_one_at_each_point(stage, database, record);
    Load load(stage.load_options());
    load.await_completions(100);
    load.record().add(record.all());
    stage.finish(load, database);
    // Once by the one that died, once by the one that took over: the receiver tells them apart.
    stage.figures.more["calls_outside_repeated"] = static_cast<double>(
        database.count("SELECT count(*) FROM faultline_drill.charges WHERE calls = 2"));
    stage.figures.expect(stage.figures.more["calls_outside_repeated"] > 0,
                         "no call outside was repeated under its transaction id");
}

// Zombies: frozen for three leases, while others take over, and then back at work.
void freeze_workers(Stage &stage) {
    DrillDatabase database(stage.conninfo, stage.queue);
    Recorded recorded;
    std::vector<Victim> victims =
        held_victims(stage, database, {"claimed"}, stage.times(20, 4), recorded);
    for (Victim &victim : victims)
        victim.process.pause();
    const Clock::time_point frozen_at = Clock::now();
    Load load(stage.load_options());
    load.record().add(recorded);
    for (const Victim &victim : victims) {
        poll_until("others to take over", [&] {
            return database.situation("j.job_id = $1", Parameter(victim.job))
                .starts_with("succeeded 2");
        });
        stage.figures.recovery_seconds.push_back(seconds_since(frozen_at));
        ++stage.figures.recovered;
    }
    poll_until("three leases to pass",
               [&] { return seconds_since(frozen_at) > 3 * lease_seconds; });
    for (Victim &victim : victims) {
        victim.process.resume();
        const std::vector<Report> reports = victim.process.stop();
        ++stage.figures.faults;
        const bool is_refused = reports.size() == 1 && reports.front().stale_count == 1;
        stage.figures.stale_rejected += is_refused ? 1 : 0;
        stage.figures.expect(is_refused, "a zombie was not refused");
    }
    stage.finish(load, database);
}

} // namespace faultline::lab
