// The soak of the background worker, which is under constant attack. Client workers are killed, the
// server's own worker and launcher are terminated every few seconds, databases come and go; no job
// may be lost or stay with a dead worker, and health() must be content in the end.
#include "../poll_until.hpp"
#include "drain_database.hpp"
#include "worker_process.hpp"

#include "faultline/api.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <exception>
#include <fmt/format.h>
#include <functional>
#include <iostream>
#include <list>
#include <poll.h>
#include <random>
#include <stdexcept>

namespace {

using namespace faultline::lab;
using faultline::client::Connection;
using faultline::client::Parameter;

constexpr int round_milliseconds = 50;
constexpr int jobs_per_round = 25;
constexpr int worker_batch = 10;
constexpr double overdue_seconds_max = 2.0;
constexpr double drop_seconds_max = 2.0;
constexpr double drain_seconds_max = 60.0;

struct Options {
    std::string conninfo;
    std::string worker_program;
    double minutes = 10;
    int workers = 4;
    double slack = 1; // by which what may take its time is longer
    unsigned seed = std::random_device{}();
};

struct Figures {
    int clients_killed = 0;
    int workers_terminated = 0;
    int launchers_terminated = 0;
    int databases_dropped = 0;
    double overdue_seconds = 0; // the longest that a lease had ended and was not settled
    double drop_seconds = 0;    // the longest that DROP DATABASE took
    std::string health;
};

// Something that happens again and again, at random intervals.
struct Attack {
    std::function<void()> strike;
    double seconds_min;
    double seconds_max;
    Clock::time_point next;
};

class Soak {
  public:
    Soak(const Options &options, DrainDatabase &database)
        : options_(options), database_(database), control_(database.conninfo(), "soak-control"),
          random_(options.seed) {}

    Figures run();
    [[nodiscard]] const std::vector<std::int64_t> &acknowledged() const { return acknowledged_; }

  private:
    void start_worker();
    void kill_worker_that_claimed();
    void terminate(const char *type, int &count);
    void use_and_drop_database();
    void look_for_overdue_leases();
    void enqueue();
    bool is_time_to_enqueue();
    void wait_until_drained();
    void watch_workers(int milliseconds);

    const Options &options_;
    DrainDatabase &database_;
    Connection control_;
    std::mt19937 random_;
    std::list<WorkerProcess> workers_;
    int workers_started_ = 0;
    bool kill_due_ = false;
    std::vector<std::int64_t> acknowledged_;
    Clock::time_point next_enqueue_ = Clock::now();
    Figures figures_;
};

void Soak::start_worker() {
    const std::string name = fmt::format("soak-worker-{}", ++workers_started_);
    workers_.emplace_back(name, options_.worker_program,
                          std::vector<std::string>{"--conninfo", database_.conninfo(), "--queue",
                                                   drain_queue, "--name", name, "--batch",
                                                   std::to_string(worker_batch)});
}

void Soak::watch_workers(int milliseconds) {
    std::vector<pollfd> descriptors;
    for (const WorkerProcess &worker : workers_)
        descriptors.push_back({.fd = worker.report_descriptor(), .events = POLLIN, .revents = 0});
    poll(descriptors.data(), descriptors.size(), milliseconds);
    for (auto worker = workers_.begin(); worker != workers_.end(); ++worker) {
        const std::vector<Report> reports = worker->read_reports();
        // In the very moment in which it holds leases.
        if (kill_due_ && !reports.empty() && reports.back().moment == Moment::claimed) {
            worker->kill_hard();
            workers_.erase(worker);
            ++figures_.clients_killed;
            kill_due_ = false;
            start_worker();
            return;
        }
    }
}

void Soak::terminate(const char *type, int &count) {
    const faultline::client::Result ended = control_.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = $1",
        {Parameter(type)});
    count += ended.row_count();
}

// A dead worker's lease is in it, so that the background worker has something to do there.
void Soak::use_and_drop_database() {
    const char *name = "faultline_soak_other";
    control_.execute(fmt::format("CREATE DATABASE {}", name));
    {
        Connection other(fmt::format("{} dbname={}", options_.conninfo, name), "soak-other");
        other.execute("CREATE EXTENSION faultline");
        other.execute("SELECT faultline.create_queue('other', lease => '1 s')");
        other.execute("SELECT faultline.enqueue('other')");
        other.execute("SELECT faultline.claim('other', 'dead')");
    }
    const Clock::time_point start = Clock::now();
    control_.execute(fmt::format("DROP DATABASE {}", name));
    figures_.drop_seconds = std::max(figures_.drop_seconds, seconds_since(start));
    ++figures_.databases_dropped;
}

void Soak::look_for_overdue_leases() {
    const faultline::client::Result overdue = control_.execute(
        "SELECT coalesce(extract(epoch FROM clock_timestamp() - min(lease_expires_at)), 0)::float8"
        " FROM faultline.live_jobs WHERE state = 'r'");
    figures_.overdue_seconds = std::max(figures_.overdue_seconds, overdue.number(0, 0));
}

// Reports of workers wake us more often than that.
bool Soak::is_time_to_enqueue() {
    if (Clock::now() < next_enqueue_)
        return false;
    next_enqueue_ = Clock::now() + std::chrono::milliseconds(round_milliseconds);
    return true;
}

void Soak::enqueue() {
    if (!is_time_to_enqueue())
        return;
    const std::vector<std::int64_t> ids = faultline::client::Api(control_).enqueue_many(
        drain_queue, std::vector<std::optional<std::string>>(jobs_per_round, "{}"));
    acknowledged_.insert(acknowledged_.end(), ids.begin(), ids.end());
}

void Soak::wait_until_drained() {
    const Clock::time_point start = Clock::now();
    while (!database_.is_drained()) {
        if (seconds_since(start) > drain_seconds_max)
            throw std::runtime_error("the queue is not drained");
        watch_workers(round_milliseconds);
        look_for_overdue_leases();
    }
}

Figures Soak::run() {
    for (int i = 0; i < options_.workers; ++i)
        start_worker();
    std::vector<Attack> attacks{
        {[this] { kill_due_ = true; }, 0.5, 2.0, Clock::now()},
        {[this] { terminate("faultline worker", figures_.workers_terminated); }, 1.0, 4.0,
         Clock::now()},
        {[this] { terminate("faultline launcher", figures_.launchers_terminated); }, 10.0, 30.0,
         Clock::now()},
        {[this] { use_and_drop_database(); }, 3.0, 10.0, Clock::now()},
    };
    const Clock::time_point start = Clock::now();
    while (seconds_since(start) < options_.minutes * 60) {
        enqueue();
        for (Attack &attack : attacks) {
            if (Clock::now() < attack.next)
                continue;
            attack.strike();
            std::uniform_real_distribution<double> pause(attack.seconds_min, attack.seconds_max);
            attack.next =
                Clock::now() + std::chrono::duration_cast<Clock::duration>(Seconds(pause(random_)));
        }
        look_for_overdue_leases();
        watch_workers(round_milliseconds);
    }
    kill_due_ = false;
    wait_until_drained();
    for (WorkerProcess &worker : workers_)
        worker.stop();
    // The launcher may just have been terminated: it is back within a second or two.
    const Clock::time_point healing = Clock::now();
    do {
        poll(nullptr, 0, round_milliseconds);
        const faultline::client::Result health =
            control_.execute("SELECT coalesce(string_agg(item || ': ' || detail, '; '), '') FROM "
                             "faultline.health()");
        figures_.health = health.text(0, 0);
    } while (!figures_.health.empty() &&
             seconds_since(healing) < options_.slack * overdue_seconds_max);
    return figures_;
}

bool run(const Options &options) {
    std::cout << fmt::format("worker-soak: {} minutes, seed {}\n", options.minutes, options.seed)
              << std::flush;
    DrainDatabase database(options.conninfo);
    Soak soak(options, database);
    const Figures figures = soak.run();
    const Account account = database.take_account(soak.acknowledged());
    const bool passed =
        account.lost == 0 && account.run_to_success_twice == 0 && account.unexpected == 0 &&
        account.violations.empty() && account.leases_expired > 0 && figures.health.empty() &&
        figures.overdue_seconds < options.slack * overdue_seconds_max &&
        figures.drop_seconds < options.slack * drop_seconds_max && figures.clients_killed > 0 &&
        figures.workers_terminated > 0 && figures.databases_dropped > 0;
    std::cout << fmt::format(
        "worker-soak {}: {} jobs acknowledged, {} lost, {} run to success twice, {} unexpected; "
        "{} clients killed, {} leases expired; {} workers and {} launchers terminated, {} "
        "databases "
        "created and dropped; a lease was overdue for {:.3f} s at most, a drop took {:.3f} s at "
        "most; {} invariant violations; health: {}; seed {}\n",
        passed ? "passed" : "FAILED", account.acknowledged, account.lost,
        account.run_to_success_twice, account.unexpected, figures.clients_killed,
        account.leases_expired, figures.workers_terminated, figures.launchers_terminated,
        figures.databases_dropped, figures.overdue_seconds, figures.drop_seconds,
        account.violations.size(), figures.health.empty() ? "well" : figures.health, options.seed);
    return passed;
}

} // namespace

int main(int argument_count, char **arguments) {
    CLI::App app("A background worker under constant attack.");
    Options options;
    app.add_option("--conninfo", options.conninfo, "libpq connection string (key=value)");
    app.add_option("--worker-program", options.worker_program, "path of drain_worker")->required();
    app.add_option("--minutes", options.minutes, "how long")->check(CLI::Range(0.1, 1440.0));
    app.add_option("--workers", options.workers, "client workers")->check(CLI::Range(1, 64));
    app.add_option("--slack", options.slack, "times of a machine that has other things to do")
        ->check(CLI::Range(1.0, 60.0));
    app.add_option("--seed", options.seed, "seed of the attacks; random unless given");
    CLI11_PARSE(app, argument_count, arguments);
    try {
        return run(options) ? 0 : 1;
    } catch (const std::exception &error) {
        std::cerr << "worker-soak: " << error.what() << " (seed " << options.seed << ")\n";
        return 1;
    }
}
