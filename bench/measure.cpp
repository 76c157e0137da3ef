// Implements a measured run: databases, client threads, write-ahead log and table statistics.
#include "measure.hpp"

#include "client.hpp"
#include "crew.hpp"
#include "database.hpp"
#include "package.hpp"

#include <fmt/format.h>
#include <memory>
#include <set>
#include <stdexcept>

namespace faultline::bench {

namespace {

using client::Connection;
using client::Result;

constexpr int history_batch = 1'000;
// A prepared statement is planned anew five times before its plan is kept.
constexpr int warm_up_cycles = 6;

// The clients of a run and, for a queue with one reader, that reader.
struct Clients {
    std::vector<std::unique_ptr<Client>> cyclers;
    std::unique_ptr<Client> reader;

    [[nodiscard]] std::int64_t sum(std::int64_t (Client::*count)() const) const {
        std::int64_t total = reader ? ((*reader).*count)() : 0;
        for (const std::unique_ptr<Client> &client : cyclers)
            total += ((*client).*count)();
        return total;
    }
};

Clients connect(const std::string &conninfo, const Peer &peer, const Load &load) {
    Clients clients;
    for (int number = 0; number < load.clients; ++number)
        clients.cyclers.push_back(std::make_unique<Client>(conninfo, peer, load.batch, number));
    if (!peer.tick.empty())
        clients.reader = std::make_unique<Client>(conninfo, peer, load.batch, load.clients);
    return clients;
}

void warm_up(const Clients &clients) {
    Crew crew;
    for (const std::unique_ptr<Client> &client : clients.cyclers)
        crew.add([&client] {
            for (int cycle = 0; cycle < warm_up_cycles; ++cycle)
                client->cycle();
        });
    crew.join();
    while (clients.reader && clients.reader->completed_count() == 0)
        clients.reader->read();
}

void run(const Clients &clients, double run_seconds) {
    static constexpr std::chrono::milliseconds nothing_to_read{1};
    Crew crew;
    for (const std::unique_ptr<Client> &client : clients.cyclers)
        crew.add([&client, &crew] {
            while (!crew.stopping())
                client->cycle();
        });
    if (clients.reader)
        crew.add([&clients, &crew] {
            while (!crew.stopping())
                if (!clients.reader->read())
                    std::this_thread::sleep_for(nothing_to_read);
        });
    crew.sleep_until(Clock::now() +
                     std::chrono::duration_cast<Clock::duration>(Seconds(run_seconds)));
    crew.stop_and_join(); // a client ends with its cycle, and that time counts
}

struct Totals {
    std::int64_t enqueued = 0;
    std::int64_t completed = 0;
    std::int64_t measured = 0; // completed after the warm-up
    double seconds = 0;
    double wal_bytes = 0; // of the measured jobs
};

// By the package's own client. Its log is of all jobs, the warm-up included.
Totals run_own_client(Connection &admin, const Peer &peer, const Load &load, double run_seconds) {
    Totals totals;
    totals.wal_bytes = -wal_position_bytes(admin);
    const nlohmann::json counts =
        output_of_script(run_database, fmt::format("lifecycle.mjs {} {} {} {}", peer.package,
                                                   load.batch, load.clients, run_seconds));
    totals.wal_bytes += wal_position_bytes(admin);
    totals.enqueued = counts.at("enqueued");
    totals.completed = counts.at("completed");
    totals.measured = counts.at("measured");
    totals.seconds = counts.at("seconds");
    totals.wal_bytes *=
        static_cast<double>(totals.measured) / static_cast<double>(totals.completed);
    return totals;
}

Totals run_clients(Connection &admin, const std::string &conninfo, const Peer &peer,
                   const Load &load, double run_seconds) {
    const Clients clients = connect(conninfo, peer, load);
    warm_up(clients);
    Totals totals;
    totals.measured = -clients.sum(&Client::completed_count);
    totals.wal_bytes = -wal_position_bytes(admin);
    const Clock::time_point start = Clock::now();
    run(clients, run_seconds);
    totals.seconds = seconds_since(start);
    totals.wal_bytes += wal_position_bytes(admin);
    totals.enqueued = clients.sum(&Client::enqueued_count);
    totals.completed = clients.sum(&Client::completed_count);
    totals.measured += totals.completed;
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

// Whole, so that nothing is left over: neither held between two turns, nor unread.
void give_history(const Peer &peer, const std::string &database, int jobs) {
    Client client(database, peer, history_batch, 0);
    while (client.enqueued_count() < jobs) {
        client.enqueue();
        while (peer.tick.empty() && client.completed_count() < client.enqueued_count())
            client.complete(client.claim());
    }
    while (client.completed_count() < client.enqueued_count())
        client.read();
}

} // namespace

std::vector<Peer> create_template(client::Connection &admin, const Options &options,
                                  std::string &absent) {
    const std::string database = create_template_database(admin, options.conninfo);
    const std::vector<Peer> peers = install_peers(options.peers, database, absent);
    std::set<std::string> with_history;
    for (const Peer &peer : peers)
        if (with_history.insert(peer.schema).second)
            give_history(peer, database, options.history_jobs);
    Connection(database).execute("VACUUM (ANALYZE)");
    // A checkpoint in the middle of a run would be charged to whoever is running.
    admin.execute("CHECKPOINT");
    return peers;
}

Measurement measure(client::Connection &admin, const std::string &conninfo, const Peer &peer,
                    const Load &load, double run_seconds) {
    const std::string database = copy_template_database(admin, conninfo);
    prepare_copy(peer, database);
    const Totals totals = peer.runs_own_client
                              ? run_own_client(admin, peer, load, run_seconds)
                              : run_clients(admin, database, peer, load, run_seconds);
    wait_for_backends_to_end(admin);
    Connection connection(database);
    check_nothing_lost(peer, totals, connection.execute(peer.count_unfinished).bigint(0, 0));
    return figures(connection, peer, totals);
}

} // namespace faultline::bench
