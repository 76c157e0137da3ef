// Implements a measured run: phases of preparing a pool of claimed jobs, which is not measured, and
// of ending them by all clients at once, which is.
#include "ledger_measure.hpp"

#include "database.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <exception>
#include <fmt/format.h>
#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <thread>
#include <vector>

namespace faultline::bench {

namespace {

using client::Connection;
using client::Parameter;
using client::Parameters;
using client::Result;
using Clock = std::chrono::steady_clock;

constexpr int calls_per_phase = 200;
constexpr int jobs_per_phase_min = 2'000;
constexpr int prepared_at_once = 1'000;
// A prepared statement, and each statement in a function, is planned anew five times before its
// plan is kept.
constexpr int warm_up_calls_per_client = 8;
constexpr int history_batch = 1'000;

struct ClaimedJob {
    std::int64_t id;
    std::int64_t token;
    std::string debit;
    std::string credit;
    std::int64_t amount;
};

// Puts claimed jobs into the pool, by a connection of its own.
class Preparer {
  public:
    Preparer(const std::string &conninfo, const Way &way) : connection_(conninfo) {
        connection_.prepare("enqueue", way.enqueue);
        connection_.prepare("claim", way.claim);
    }

    // In ascending order of id: a batch of neighbours is locked in the order that Faultline asks.
    std::vector<ClaimedJob> claimed_jobs(int count) {
        std::vector<ClaimedJob> jobs;
        while (static_cast<int>(jobs.size()) < count) {
            const int missing = std::min(prepared_at_once, count - static_cast<int>(jobs.size()));
            connection_.execute_prepared("enqueue", {Parameter(missing)});
            const Result claimed =
                connection_.execute_prepared("claim", {Parameter("bench"), Parameter(missing)});
            if (claimed.row_count() == 0)
                throw std::runtime_error("nothing to claim right after enqueue");
            for (int row = 0; row < claimed.row_count(); ++row)
                jobs.push_back({.id = claimed.bigint(row, 0),
                                .token = claimed.bigint(row, 1),
                                .debit = std::string(claimed.text(row, 2)),
                                .credit = std::string(claimed.text(row, 3)),
                                .amount = claimed.bigint(row, 4)});
        }
        std::sort(jobs.begin(), jobs.end(),
                  [](const ClaimedJob &a, const ClaimedJob &b) { return a.id < b.id; });
        return jobs;
    }

  private:
    Connection connection_;
};

template <typename Value> std::vector<Value> column(std::span<const ClaimedJob> jobs, auto value) {
    std::vector<Value> values;
    for (const ClaimedJob &job : jobs)
        values.emplace_back(job.*value);
    return values;
}

Parameters end_parameters(std::span<const ClaimedJob> jobs, int batch) {
    using Text = std::optional<std::string>;
    const ClaimedJob &first = jobs.front();
    if (batch == 1)
        return {first.id, first.token, first.debit, first.credit, first.amount};
    return {client::bigint_array(column<std::int64_t>(jobs, &ClaimedJob::id)),
            client::bigint_array(column<std::int64_t>(jobs, &ClaimedJob::token)),
            client::text_array(column<Text>(jobs, &ClaimedJob::debit)),
            client::text_array(column<Text>(jobs, &ClaimedJob::credit)),
            client::bigint_array(column<std::int64_t>(jobs, &ClaimedJob::amount))};
}

// Ends jobs, a batch a call.
class Ender {
  public:
    Ender(const std::string &conninfo, const Way &way, int batch)
        : batch_(batch), connection_(conninfo) {
        // Not every way uses every value, and all get the same parameters.
        constexpr const char *one = "bigint, bigint, text, text, bigint";
        constexpr const char *many = "bigint[], bigint[], text[], text[], bigint[]";
        connection_.execute(fmt::format("PREPARE end_jobs ({}) AS {}", batch == 1 ? one : many,
                                        batch == 1 ? way.end_one : way.end_many));
    }

    void end(std::span<const ClaimedJob> jobs) {
        const Parameters parameters = end_parameters(jobs, batch_);
        for (;;) {
            ++calls;
            try {
                const Result ended = connection_.execute_prepared("end_jobs", parameters);
                if (ended.bigint(0, 0) != static_cast<std::int64_t>(jobs.size()))
                    throw std::runtime_error(
                        fmt::format("{} jobs given, {} ended", jobs.size(), ended.bigint(0, 0)));
                ended_jobs += static_cast<std::int64_t>(jobs.size());
                return;
            } catch (const client::Error &error) {
                if (error.sqlstate() != "40P01")
                    throw;
                ++deadlocks;
            }
        }
    }

    std::int64_t calls = 0;
    std::int64_t ended_jobs = 0;
    std::int64_t deadlocks = 0;

  private:
    const int batch_;
    Connection connection_;
};

using Enders = std::vector<std::unique_ptr<Ender>>;

struct Phase {
    double seconds = 0;
    double wal_bytes = 0;
};

// All clients at once take batches from the pool, until it is empty or the time is over.
Phase run_phase(Connection &admin, const Enders &enders, std::span<const ClaimedJob> pool,
                int batch, double seconds_max) {
    const auto size = static_cast<std::size_t>(batch);
    std::atomic<std::size_t> taken{0};
    std::atomic<bool> failed{false};
    std::vector<std::exception_ptr> failures(enders.size());
    Phase phase;
    phase.wal_bytes = -wal_position_bytes(admin);
    const Clock::time_point start = Clock::now();
    const auto elapsed = [&] {
        return std::chrono::duration<double>(Clock::now() - start).count();
    };
    {
        std::vector<std::jthread> threads;
        for (std::size_t number = 0; number < enders.size(); ++number)
            threads.emplace_back([&, number] {
                try {
                    while (!failed && elapsed() < seconds_max) {
                        const std::size_t begin = taken.fetch_add(size);
                        if (begin >= pool.size())
                            return;
                        enders[number]->end(
                            pool.subspan(begin, std::min(size, pool.size() - begin)));
                    }
                } catch (...) {
                    failures[number] = std::current_exception();
                    failed = true;
                }
            });
    }
    phase.seconds = elapsed();
    phase.wal_bytes += wal_position_bytes(admin);
    for (const std::exception_ptr &failure : failures)
        if (failure)
            std::rethrow_exception(failure);
    return phase;
}

struct Totals {
    std::int64_t calls = 0;
    std::int64_t ended_jobs = 0;
    std::int64_t deadlocks = 0;
};

Totals sum(const Enders &enders) {
    Totals totals;
    for (const std::unique_ptr<Ender> &ender : enders) {
        totals.calls += ender->calls;
        totals.ended_jobs += ender->ended_jobs;
        totals.deadlocks += ender->deadlocks;
    }
    return totals;
}

std::int64_t count_ended(const std::string &database, const Way &way) {
    return Connection(database).execute(way.count_ended).bigint(0, 0);
}

void check_nothing_lost(const std::string &database, const Way &way, const Totals &totals,
                        std::int64_t ended_before) {
    const std::int64_t found = count_ended(database, way) - ended_before;
    if (found != totals.ended_jobs)
        throw std::runtime_error(
            fmt::format("{} jobs ended, but {} are found so", totals.ended_jobs, found));
    if (!Connection(database).execute(way.balances_agree).boolean(0, 0))
        throw std::runtime_error("balances disagree with the entries");
}

} // namespace

void create_ledger_template(Connection &admin, const Options &options) {
    const std::string database = create_template_database(admin, options.conninfo);
    for (const std::string &statement : ledger_setup())
        Connection(database).execute(statement);
    for (const Way &way : ledger_ways())
        for (int ended = 0; ended < options.history_jobs; ended += history_batch)
            // A new session each time: an old one keeps the plans it made when tables were empty.
            Ender(database, way, history_batch)
                .end(Preparer(database, way).claimed_jobs(history_batch));
    Connection(database).execute("VACUUM (ANALYZE)");
}

LedgerMeasurement measure_ledger(Connection &admin, const std::string &conninfo, const Way &way,
                                 int batch, int clients, double run_seconds) {
    const std::string database = copy_template_database(admin, conninfo);
    Connection(database).execute(ledger_after_copy);
    const std::int64_t ended_before = count_ended(database, way);
    Totals warm;
    Totals all;
    Phase measured;
    {
        Preparer preparer(database, way);
        Enders enders;
        for (int number = 0; number < clients; ++number)
            enders.push_back(std::make_unique<Ender>(database, way, batch));
        for (const std::unique_ptr<Ender> &ender : enders)
            for (int call = 0; call < warm_up_calls_per_client; ++call)
                ender->end(preparer.claimed_jobs(batch));
        warm = sum(enders);
        while (measured.seconds < run_seconds) {
            const std::vector<ClaimedJob> pool =
                preparer.claimed_jobs(std::max(calls_per_phase * batch, jobs_per_phase_min));
            const Phase phase =
                run_phase(admin, enders, pool, batch, run_seconds - measured.seconds);
            measured.seconds += phase.seconds;
            measured.wal_bytes += phase.wal_bytes;
        }
        all = sum(enders);
    }
    wait_for_backends_to_end(admin);
    check_nothing_lost(database, way, all, ended_before);
    const auto jobs = static_cast<double>(all.ended_jobs - warm.ended_jobs);
    return {.jobs_per_second = jobs / measured.seconds,
            .wal_bytes_per_job = measured.wal_bytes / jobs,
            .deadlocks_per_1000_calls =
                1000 * static_cast<double>(all.deadlocks) / static_cast<double>(all.calls)};
}

} // namespace faultline::bench
