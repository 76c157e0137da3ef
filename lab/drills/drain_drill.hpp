// Owns the course of the drain drill: workers at work, faults when they are due, and the end.
#pragma once

#include "drain_database.hpp"
#include "fault_plan.hpp"
#include "worker_process.hpp"

#include <chrono>
#include <cstdint>
#include <deque>
#include <list>
#include <optional>
#include <string>
#include <vector>

namespace faultline::lab {

struct DrillOptions {
    std::string conninfo;
    std::string worker_program;
    std::int64_t jobs;
    int workers;
    int batch; // jobs per claim
    int kills;
    int pauses;
    std::uint64_t seed;
    int drain_seconds_max;
};

struct Figures {
    Account account;
    int kills = 0;
    int kills_that_hit_held_leases = 0;
    int pauses = 0;
    std::int64_t stale_completions_refused = 0;
    // From the first worker's start until the queue was empty. The end is spent waiting for the
    // leases of the dead, so speed is counted while there is work for all: see busy_jobs().
    double seconds = 0;
    double busy_seconds = 0;
    // Why this drill proves nothing, if so: faults that did not fire.
    std::vector<std::string> missing;
};

// The first nine tenths of the jobs.
constexpr std::int64_t busy_jobs(std::int64_t jobs) { return jobs / 10 * 9; }

class DrainDrill {
  public:
    DrainDrill(const DrillOptions &options, DrainDatabase &database);

    // Drains the full queue under faults and stops all workers. Throws when a worker misbehaves or
    // the queue is not empty in time.
    Figures run();

  private:
    using Workers = std::list<WorkerProcess>;

    [[nodiscard]] double seconds_since_start() const;
    void start_worker();
    void drain();
    void take_reports();
    // The worker that has just reported `moment` is the victim, if the next fault is due.
    // Returns whether it was killed.
    bool strike(Workers::iterator worker, Moment moment);
    void strike_kill(Workers::iterator worker);
    void strike_pause(Workers::iterator worker);
    void resume_paused();
    [[nodiscard]] bool is_everyone_idle() const;
    void wait_for_reports();

    const DrillOptions options_;
    DrainDatabase &database_;
    std::deque<Fault> faults_; // still to come
    Workers workers_;
    std::vector<WorkerProcess *> paused_; // each until its leases have ended
    std::chrono::steady_clock::time_point next_paused_check_;
    int workers_started_ = 0;
    std::int64_t completed_ = 0;
    Figures figures_;
    std::chrono::steady_clock::time_point start_;
    std::chrono::steady_clock::time_point deadline_;
};

} // namespace faultline::lab
