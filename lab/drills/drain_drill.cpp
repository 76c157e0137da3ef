// Implements the drill. One thread reads the workers' reports and strikes in the very moment of the
// report that a fault waits for; it never waits for time to pass, only for states.
#include "drain_drill.hpp"

#include "../poll_until.hpp"

#include <algorithm>
#include <cerrno>
#include <fmt/format.h>
#include <poll.h>
#include <stdexcept>
#include <system_error>

namespace faultline::lab {

namespace {

constexpr int report_poll_milliseconds = 20;
// These questions cost the server a scan of the queue: not more often than this.
constexpr std::chrono::milliseconds drained_check_interval{100};
constexpr std::chrono::milliseconds paused_check_interval{1'000};

void poll_once(std::vector<pollfd> descriptors, int milliseconds) {
    if (poll(descriptors.data(), descriptors.size(), milliseconds) < 0 && errno != EINTR)
        throw std::system_error(errno, std::generic_category(), "could not poll the workers");
}

} // namespace

DrainDrill::DrainDrill(const DrillOptions &options, DrainDatabase &database)
    : options_(options), database_(database),
      faults_(plan_faults(options.seed, options.kills, options.pauses, options.jobs,
                          options.workers)) {}

Figures DrainDrill::run() {
    MaintenanceLoop maintenance(database_.conninfo());
    start_ = Clock::now();
    deadline_ = start_ + std::chrono::seconds(options_.drain_seconds_max);
    for (int number = 0; number < options_.workers; ++number)
        start_worker();
    drain();
    figures_.seconds = seconds_since_start();
    // Commits of killed workers may go unreported.
    if (figures_.busy_seconds == 0)
        figures_.busy_seconds = figures_.seconds;
    for (WorkerProcess &worker : workers_)
        worker.stop();
    maintenance.stop();
    if (!faults_.empty())
        figures_.missing.push_back(fmt::format("{} faults found no victim", faults_.size()));
    if (figures_.kills > 0 && figures_.kills_that_hit_held_leases == 0)
        figures_.missing.push_back("no kill hit a worker that held leases");
    if (figures_.pauses > 0 && figures_.stale_completions_refused == 0)
        figures_.missing.push_back("no paused worker tried to complete what it had lost");
    return figures_;
}

double DrainDrill::seconds_since_start() const { return seconds_since(start_); }

void DrainDrill::start_worker() {
    const std::string name = fmt::format("drain-worker-{}", ++workers_started_);
    workers_.emplace_back(name, options_.worker_program,
                          std::vector<std::string>{"--conninfo", database_.conninfo(), "--queue",
                                                   drain_queue, "--name", name, "--batch",
                                                   std::to_string(options_.batch)});
}

void DrainDrill::drain() {
    Clock::time_point next_check = Clock::now();
    while (true) {
        wait_for_reports();
        take_reports();
        resume_paused();
        const Clock::time_point now = Clock::now();
        if (is_everyone_idle() && now >= next_check) {
            if (database_.is_drained())
                return;
            next_check = now + drained_check_interval;
        }
        if (now > deadline_)
            throw std::runtime_error(fmt::format("not drained after {} s; {} of {} jobs reported",
                                                 options_.drain_seconds_max, completed_,
                                                 options_.jobs));
    }
}

void DrainDrill::wait_for_reports() {
    std::vector<pollfd> descriptors;
    for (const WorkerProcess &worker : workers_)
        descriptors.push_back({.fd = worker.report_descriptor(), .events = POLLIN, .revents = 0});
    poll_once(std::move(descriptors), report_poll_milliseconds);
}

void DrainDrill::take_reports() {
    for (auto worker = workers_.begin(); worker != workers_.end();) {
        bool was_killed = false;
        const std::vector<Report> reports = worker->read_reports();
        for (const Report &report : reports) {
            if (report.moment == Moment::completed) {
                completed_ += report.count;
                if (figures_.busy_seconds == 0 && completed_ >= busy_jobs(options_.jobs))
                    figures_.busy_seconds = seconds_since_start();
                figures_.stale_completions_refused += report.stale_count;
            }
            // Only the last report says where the worker is now.
            if (&report == &reports.back())
                was_killed = strike(worker, report.moment);
        }
        // A replacement goes to the end of the list and is met in this very round.
        worker = was_killed ? workers_.erase(worker) : std::next(worker);
    }
}

bool DrainDrill::strike(Workers::iterator worker, Moment moment) {
    if (faults_.empty() || completed_ < faults_.front().completed_jobs ||
        moment != faults_.front().moment)
        return false;
    if (faults_.front().reports_to_skip > 0) {
        --faults_.front().reports_to_skip;
        return false;
    }
    if (faults_.front().kind == FaultKind::pause) {
        strike_pause(worker);
        return false;
    }
    strike_kill(worker);
    return true;
}

void DrainDrill::strike_kill(Workers::iterator worker) {
    worker->kill_hard();
    faults_.pop_front();
    ++figures_.kills;
    // The server may still be busy with what the dead client had sent.
    poll_until(fmt::format("the session of {} to end", worker->name()),
               [&] { return database_.is_session_gone(worker->name()); });
    if (database_.leases_held_by(worker->name()) > 0)
        ++figures_.kills_that_hit_held_leases;
    start_worker();
}

void DrainDrill::strike_pause(Workers::iterator worker) {
    worker->pause();
    // Inside its transaction it holds row locks, and its leases cannot be taken over: only one that
    // is stopped between claim and completion becomes a zombie. Else the next report has its turn.
    const bool is_between_transactions = database_.is_session_idle(worker->name());
    if (!is_between_transactions || database_.leases_held_by(worker->name()) == 0) {
        worker->resume();
        return;
    }
    faults_.pop_front();
    ++figures_.pauses;
    paused_.push_back(&*worker);
    next_paused_check_ = Clock::now() + paused_check_interval;
}

void DrainDrill::resume_paused() {
    if (paused_.empty() || Clock::now() < next_paused_check_)
        return;
    next_paused_check_ = Clock::now() + paused_check_interval;
    std::erase_if(paused_, [&](WorkerProcess *worker) {
        const bool has_lost_all = database_.leases_held_by(worker->name()) == 0;
        if (has_lost_all)
            worker->resume();
        return has_lost_all;
    });
}

bool DrainDrill::is_everyone_idle() const {
    return paused_.empty() &&
           std::all_of(workers_.begin(), workers_.end(),
                       [](const WorkerProcess &worker) { return worker.is_idle(); });
}

} // namespace faultline::lab
