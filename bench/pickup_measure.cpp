// Implements the ways to wait for a job.
#include "pickup_measure.hpp"

#include "crew.hpp"
#include "database.hpp"
#include "package.hpp"

#include <algorithm>
#include <condition_variable>
#include <cstdio>
#include <deque>
#include <fmt/format.h>
#include <memory>
#include <optional>
#include <poll.h>
#include <random>
#include <stdexcept>
#include <thread>

namespace faultline::bench {

namespace {

using client::Connection;

constexpr int warm_up_jobs = 8;
constexpr std::chrono::seconds receipt_seconds_max{30};
constexpr std::chrono::milliseconds pause_min{5};
constexpr std::chrono::seconds package_poll_period{2}; // pg-boss's default
constexpr int wait_milliseconds_max = 500;             // a worker looks that often whether to stop

// When jobs were received, as the workers tell.
class Receipts {
  public:
    void add(Clock::time_point time) {
        const std::lock_guard lock(mutex_);
        times_.push_back(time);
        added_.notify_one();
    }

    Clock::time_point take(const Crew &crew) {
        std::unique_lock lock(mutex_);
        const Clock::time_point deadline = Clock::now() + receipt_seconds_max;
        while (times_.empty()) {
            added_.wait_for(lock, std::chrono::milliseconds(wait_milliseconds_max));
            if (times_.empty() && (crew.stopping() || Clock::now() > deadline))
                throw std::runtime_error("no worker received the job");
        }
        const Clock::time_point time = times_.front();
        times_.pop_front();
        return time;
    }

  private:
    std::mutex mutex_;
    std::condition_variable added_;
    std::deque<Clock::time_point> times_;
};

// A session that hears notifications.
class Listener {
  public:
    explicit Listener(const std::string &conninfo)
        : connection_(PQconnectdb(conninfo.c_str()), PQfinish),
          listening_(PQexec(connection_.get(), "LISTEN bench"), PQclear) {
        if (PQresultStatus(listening_.get()) != PGRES_COMMAND_OK)
            throw std::runtime_error(PQerrorMessage(connection_.get()));
    }

    void wait() {
        pollfd socket{.fd = PQsocket(connection_.get()), .events = POLLIN, .revents = 0};
        if (poll(&socket, 1, wait_milliseconds_max) > 0 && PQconsumeInput(connection_.get()) == 0)
            throw std::runtime_error(PQerrorMessage(connection_.get()));
        while (PGnotify *heard = PQnotifies(connection_.get()))
            PQfreemem(heard);
    }

  private:
    std::unique_ptr<PGconn, void (*)(PGconn *)> connection_;
    std::unique_ptr<PGresult, void (*)(PGresult *)> listening_;
};

// Waits, claims, notes the time, completes.
void work(const Crew &crew, const std::string &database, const Way &way, Receipts &receipts) {
    Client client(database, way.peer, 1, 1);
    std::optional<Listener> listener;
    if (way.waiting == Waiting::notified)
        listener.emplace(database);
    while (!crew.stopping()) {
        const Claimed claimed = client.claim();
        if (!claimed.empty()) {
            receipts.add(Clock::now());
            client.complete(claimed);
        } else if (way.waiting == Waiting::polling) {
            std::this_thread::sleep_for(poll_period);
        } else if (way.waiting == Waiting::notified) {
            listener->wait();
        } else {
            client.connection().execute(fmt::format(
                "CALL faultline.wait_for_jobs(ARRAY['bench'], '{} ms')", wait_milliseconds_max));
        }
    }
}

// Another program's worker, whose clock is ours. It ends by itself after so many jobs.
class PackageWorker {
  public:
    PackageWorker(const Way &way, int jobs)
        : pipe_(popen(script_command(run_database,
                                     fmt::format("pickup.mjs {} {}", way.peer.package, jobs))
                          .c_str(),
                      "r"),
                pclose) {
        if (!pipe_ || line() != "ready\n")
            throw std::runtime_error(way.name + ": its worker does not start");
    }

    void work(Receipts &receipts) {
        for (std::string text = line(); !text.empty(); text = line())
            receipts.add(Clock::time_point(std::chrono::nanoseconds(std::stoll(text))));
    }

  private:
    std::string line() {
        char text[64];
        return fgets(text, sizeof text, pipe_.get()) == nullptr ? "" : text;
    }

    std::unique_ptr<FILE, int (*)(FILE *)> pipe_;
};

void pause(std::chrono::milliseconds pause_max) {
    static std::mt19937 random(184467);
    std::this_thread::sleep_for(std::chrono::milliseconds(
        std::uniform_int_distribution<long>(pause_min.count(), pause_max.count())(random)));
}

double milliseconds_between(Clock::time_point start, Clock::time_point end) {
    return 1000 * Seconds(end - start).count();
}

// Enqueues jobs one by one; the first ones are not counted.
void produce(const Crew &crew, Client &client, const Way &way, int jobs, Receipts &receipts,
             Pickup &pickup) {
    for (int job = -warm_up_jobs; job < jobs; ++job) {
        pause(way.pause_max);
        const Clock::time_point call = Clock::now();
        client.enqueue();
        const Clock::time_point committed = Clock::now();
        const Clock::time_point received = receipts.take(crew);
        if (job < 0)
            continue;
        pickup.call.push_back(milliseconds_between(call, committed));
        pickup.from_commit.push_back(milliseconds_between(committed, received));
        pickup.from_call.push_back(milliseconds_between(call, received));
    }
}

void measure_round_trips(const std::string &database, const Way &way, int calls, Pickup &pickup) {
    Connection connection(database);
    connection.prepare("round_trip", "SELECT 1");
    for (int call = -warm_up_jobs; call < calls; ++call) {
        pause(way.pause_max);
        const Clock::time_point start = Clock::now();
        connection.execute_prepared("round_trip");
        if (call >= 0)
            pickup.call.push_back(milliseconds_since(start));
    }
}

Peer notifying(Peer peer) {
    peer.enqueue_one = fmt::format("WITH job AS ({}) SELECT id, pg_notify('bench', '') FROM job",
                                   peer.enqueue_one);
    return peer;
}

} // namespace

std::vector<Way> pickup_ways(const std::vector<Peer> &peers) {
    std::vector<Way> ways{{.name = "bare round trip", .waiting = Waiting::round_trip, .peer = {}}};
    for (const Peer &peer : peers) {
        if (peer.runs_own_client)
            continue; // its package has a way of its own
        if (peer.schema == "faultline")
            ways.push_back({.name = peer.name + ", wait_for_jobs()",
                            .waiting = Waiting::procedure,
                            .peer = peer});
        if (peer.schema == "textbook")
            ways.push_back({.name = peer.name + ", LISTEN",
                            .waiting = Waiting::notified,
                            .peer = notifying(peer)});
        if (peer.package == "graphile-worker")
            ways.push_back(
                {.name = "graphile-worker client", .waiting = Waiting::package, .peer = peer});
        else if (peer.package == "pg-boss")
            ways.push_back({.name = "pg-boss client, polls 2 s",
                            .waiting = Waiting::package,
                            .peer = peer,
                            .pause_max = 2 * package_poll_period,
                            .jobs_divisor = 20});
        else
            ways.push_back({.name = fmt::format("{}, polls {} ms", peer.name, poll_period.count()),
                            .waiting = Waiting::polling,
                            .peer = peer,
                            .pause_max = 2 * poll_period});
    }
    return ways;
}

std::string what_way_needs(const Way &way, Connection &connection) {
    if (way.waiting == Waiting::procedure &&
        connection.execute("SELECT to_regproc('faultline.wait_for_jobs')").is_null(0, 0))
        return "this version has no procedure faultline.wait_for_jobs()";
    return "";
}

void measure_pickup(Connection &admin, const Way &way, const Options &options, Pickup &pickup) {
    const std::string database = copy_template_database(admin, options.conninfo);
    prepare_copy(way.peer, database);
    const int jobs = std::max(1, options.jobs / way.jobs_divisor);
    if (way.waiting == Waiting::round_trip)
        return measure_round_trips(database, way, jobs, pickup);
    Client client(database, way.peer, 1, 0);
    Receipts receipts;
    Crew crew;
    std::optional<PackageWorker> package;
    if (way.waiting == Waiting::package) {
        package.emplace(way, warm_up_jobs + jobs);
        crew.add([&] { package->work(receipts); });
    } else {
        crew.add([&] { work(crew, database, way, receipts); });
    }
    produce(crew, client, way, jobs, receipts, pickup);
    crew.stop_and_join();
}

} // namespace faultline::bench
