// Implements claims with a backlog.
#include "backlog_measure.hpp"

#include "client.hpp"
#include "database.hpp"
#include "figures.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <stdexcept>

namespace faultline::bench {

namespace {

using client::Connection;
using client::Parameter;

constexpr int fill_batch_max = 10'000;
// A prepared statement is planned anew five times before its plan is kept.
constexpr int warm_up_cycles = 10;

int fill_batch(std::int64_t count) {
    return static_cast<int>(std::min<std::int64_t>(count, fill_batch_max));
}

void fill_ready(const std::string &database, const Peer &peer, std::int64_t count) {
    if (count <= 0)
        return;
    Client client(database, peer, fill_batch(count), 0);
    while (client.enqueued_count() < count)
        client.enqueue();
}

void fill_running(const std::string &database, const Peer &peer, std::int64_t count) {
    fill_ready(database, peer, count);
    Client client(database, peer, fill_batch(count), 0);
    for (std::int64_t claimed = 0; claimed < count;) {
        const Claimed jobs = client.claim();
        if (jobs.empty())
            throw std::runtime_error(peer.name + ": nothing to claim right after enqueue");
        claimed += std::ssize(jobs.ids);
    }
}

void fill_scheduled(const std::string &database, const Peer &peer, std::int64_t count) {
    Connection connection(database);
    connection.execute(fmt::format("PREPARE schedule (int) AS {}", peer.enqueue_scheduled));
    for (std::int64_t filled = 0; filled < count; filled += fill_batch(count))
        connection.execute_prepared("schedule", {Parameter(fill_batch(count))});
}

// As autovacuum would soon do it.
void settle(Connection &admin, const std::string &database) {
    Connection(database).execute("VACUUM (ANALYZE)");
    admin.execute("CHECKPOINT");
}

std::vector<double> claim_milliseconds(Client &client, int jobs) {
    std::vector<double> milliseconds;
    for (int job = 0; job < jobs; ++job) {
        client.enqueue();
        const Clock::time_point start = Clock::now();
        const Claimed claimed = client.claim();
        milliseconds.push_back(milliseconds_since(start));
        if (claimed.empty())
            throw std::runtime_error("a claim found nothing although jobs wait");
        client.complete(claimed);
    }
    return milliseconds;
}

std::vector<ClaimRound> measure_rounds(const std::string &baseline, const std::string &database,
                                       const Peer &peer, const Options &options) {
    Client baseline_client(baseline, peer, 1, 0);
    Client client(database, peer, 1, 1);
    claim_milliseconds(baseline_client, warm_up_cycles);
    claim_milliseconds(client, warm_up_cycles);
    std::vector<ClaimRound> rounds;
    for (int round = 0; round < options.rounds; ++round) {
        const bool baseline_first = round % 2 == 0;
        std::vector<double> before;
        if (baseline_first)
            before = claim_milliseconds(baseline_client, options.jobs);
        const std::vector<double> measured = claim_milliseconds(client, options.jobs);
        if (!baseline_first)
            before = claim_milliseconds(baseline_client, options.jobs);
        rounds.push_back({.p50 = percentile(measured, 0.5),
                          .p99 = percentile(measured, 0.99),
                          .baseline_p50 = percentile(before, 0.5)});
    }
    return rounds;
}

// A copy whose leases hold, when the peer has any that end.
std::string fresh_copy(Connection &admin, const Peer &peer, const Options &options,
                       const char *name) {
    const std::string database = copy_template_database(admin, options.conninfo, name);
    prepare_copy(peer, database);
    if (!peer.long_lease.empty())
        Connection(database).execute(peer.long_lease);
    return database;
}

} // namespace

std::vector<BacklogResult> measure_backlog(Connection &admin, const Peer &peer,
                                           const Options &options) {
    const std::string baseline = fresh_copy(admin, peer, options, run_database);
    fill_ready(baseline, peer, ready_baseline);
    settle(admin, baseline);
    std::vector<BacklogResult> results;
    const auto measure = [&](const std::string &database, const Standing &standing) {
        settle(admin, database);
        results.push_back(
            {.standing = standing, .rounds = measure_rounds(baseline, database, peer, options)});
        progress(fmt::format("{:<16} {} ready, {} scheduled, {} running: {:.3f} ms", peer.name,
                             standing.ready, standing.scheduled, standing.running,
                             results.back().rounds.front().p50));
    };
    std::string database = fresh_copy(admin, peer, options, second_database);
    std::int64_t ready = 0;
    for (const std::int64_t wanted : options.ready) { // ascending
        fill_ready(database, peer, wanted - ready);
        ready = wanted;
        measure(database, {.ready = ready});
    }
    if (!peer.enqueue_scheduled.empty()) {
        database = fresh_copy(admin, peer, options, second_database);
        fill_scheduled(database, peer, options.scheduled);
        fill_ready(database, peer, ready_baseline);
        measure(database, {.ready = ready_baseline, .scheduled = options.scheduled});
    }
    database = fresh_copy(admin, peer, options, second_database);
    fill_running(database, peer, options.running);
    fill_ready(database, peer, ready_baseline);
    measure(database, {.ready = ready_baseline, .running = options.running});
    return results;
}

} // namespace faultline::bench
