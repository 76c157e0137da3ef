// Implements a measured run: databases, client threads, write-ahead log and table statistics.
#include "measure.hpp"

#include "client.hpp"
#include "database.hpp"

#include <algorithm>
#include <atomic>
#include <barrier>
#include <chrono>
#include <exception>
#include <fmt/format.h>
#include <memory>
#include <stdexcept>
#include <thread>
#include <vector>

namespace faultline::bench {

namespace {

using client::Connection;
using client::Result;
using Clock = std::chrono::steady_clock;

constexpr int history_jobs = 20'000; // finished jobs of each peer before the first run
constexpr int history_batch = 1'000;
// A prepared statement is planned anew five times before its plan is kept.
constexpr int warm_up_cycles = 6;

// What the client threads of a run share.
struct Crew {
    explicit Crew(int clients) : warmed(clients + 1), started(clients + 1), failures(clients) {}

    std::barrier<> warmed;
    std::barrier<> started;
    std::atomic<bool> stop{false};
    std::vector<std::exception_ptr> failures;
};

void run_client(Crew &crew, std::size_t number, std::unique_ptr<Client> &client,
                std::int64_t &warm_up_completed, auto create) {
    try {
        client = create();
        for (int cycle = 0; cycle < warm_up_cycles; ++cycle)
            client->cycle();
        warm_up_completed = client->completed_count();
    } catch (...) {
        crew.failures[number] = std::current_exception();
        crew.stop = true;
    }
    crew.warmed.arrive_and_wait();
    crew.started.arrive_and_wait();
    try {
        while (!crew.stop)
            client->cycle();
    } catch (...) {
        crew.failures[number] = std::current_exception();
        crew.stop = true;
    }
}

struct Totals {
    std::int64_t enqueued = 0;
    std::int64_t completed = 0;
    std::int64_t measured = 0; // completed after the warm-up
    double seconds = 0;
    double wal_bytes = 0; // of the measured jobs
};

void wait_until_stopped(const Crew &crew, Clock::time_point deadline) {
    constexpr std::chrono::milliseconds look_again{20};
    while (!crew.stop && Clock::now() < deadline)
        std::this_thread::sleep_until(std::min(deadline, Clock::now() + look_again));
}

Totals run_clients(Connection &admin, const std::string &conninfo, const Peer &peer,
                   const Scenario &scenario, double run_seconds) {
    const auto count = static_cast<std::size_t>(scenario.clients);
    Crew crew(scenario.clients);
    std::vector<std::unique_ptr<Client>> clients(count);
    std::vector<std::int64_t> warm_up_completed(count);
    Totals totals;
    {
        std::vector<std::jthread> threads;
        for (std::size_t number = 0; number < count; ++number)
            threads.emplace_back([&, number] {
                run_client(crew, number, clients[number], warm_up_completed[number], [&] {
                    return std::make_unique<Client>(conninfo, peer, scenario.batch,
                                                    static_cast<int>(number));
                });
            });
        crew.warmed.arrive_and_wait();
        totals.wal_bytes = -wal_position_bytes(admin);
        const Clock::time_point start = Clock::now();
        crew.started.arrive_and_wait();
        wait_until_stopped(crew, start + std::chrono::duration_cast<Clock::duration>(
                                             std::chrono::duration<double>(run_seconds)));
        crew.stop = true;
        threads.clear(); // joins: a client ends with its cycle, and that time counts
        totals.seconds = std::chrono::duration<double>(Clock::now() - start).count();
        totals.wal_bytes += wal_position_bytes(admin);
    }
    for (const std::exception_ptr &failure : crew.failures)
        if (failure)
            std::rethrow_exception(failure);
    for (std::size_t number = 0; number < count; ++number) {
        totals.enqueued += clients[number]->enqueued_count();
        totals.completed += clients[number]->completed_count();
        totals.measured += clients[number]->completed_count() - warm_up_completed[number];
    }
    return totals;
}

void check_nothing_lost(const Peer &peer, const Totals &totals, std::int64_t unfinished) {
    if (unfinished != totals.enqueued - totals.completed)
        throw std::runtime_error(fmt::format("{}: {} jobs enqueued and {} completed, but {} left",
                                             peer.name, totals.enqueued, totals.completed,
                                             unfinished));
    if (totals.measured == 0)
        throw std::runtime_error(fmt::format("{}: no job was completed in the run", peer.name));
}

Measurement figures(Connection &connection, const Peer &peer, const Totals &totals) {
    const Result updates =
        connection.execute(fmt::format("SELECT n_tup_hot_upd, n_tup_upd FROM pg_stat_all_tables"
                                       " WHERE relid = '{}'::regclass",
                                       peer.hot_table));
    const double update_count = updates.number(0, 1);
    const auto measured = static_cast<double>(totals.measured);
    return {
        .jobs_per_second = measured / totals.seconds,
        .wal_bytes_per_job = totals.wal_bytes / measured,
        .hot_updates_percent = update_count == 0 ? 0 : 100 * updates.number(0, 0) / update_count,
        .dead_rows_per_job = dead_row_count(connection) / static_cast<double>(totals.completed),
    };
}

} // namespace

void create_template(client::Connection &admin, const std::string &conninfo) {
    const std::string database = create_template_database(admin, conninfo);
    for (const Peer &peer : peers()) {
        for (const char *statement : peer.setup)
            Connection(database).execute(statement);
        Client client(database, peer, history_batch, 0);
        while (client.completed_count() < history_jobs)
            client.cycle();
    }
    Connection(database).execute("VACUUM (ANALYZE)");
}

Measurement measure(client::Connection &admin, const std::string &conninfo, const Peer &peer,
                    const Scenario &scenario, double run_seconds) {
    const std::string database = copy_template_database(admin, conninfo);
    if (peer.after_copy != nullptr)
        Connection(database).execute(peer.after_copy);
    const Totals totals = run_clients(admin, database, peer, scenario, run_seconds);
    wait_for_backends_to_end(admin);
    Connection connection(database);
    check_nothing_lost(peer, totals, connection.execute(peer.count_unfinished).bigint(0, 0));
    return figures(connection, peer, totals);
}

} // namespace faultline::bench
