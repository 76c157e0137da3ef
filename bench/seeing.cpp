// The program that measures what looking costs: stat_queues, health() and metrics(), by the number
// of queues and of jobs.
#include "client.hpp"
#include "database.hpp"
#include "figures.hpp"
#include "machine.hpp"
#include "program.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <stdexcept>

namespace {

using namespace faultline::bench;
using faultline::client::Connection;
using faultline::client::Parameter;

struct Look {
    const char *name;
    const char *query;
};
constexpr Look looks[] = {
    {"stat_queues", "SELECT * FROM faultline.stat_queues"},
    {"health()", "SELECT * FROM faultline.health()"},
    {"metrics()", "SELECT faultline.metrics()"},
};
constexpr std::size_t metrics_look = 2;

// Milliseconds of one look: on the clock, and of the backend on a processor, which does not depend
// on what else the machine does.
struct Cost {
    double elapsed = 0;
    double processor = 0;
};

// In sessions that have never looked, and in one that has.
struct Times {
    std::vector<Cost> first;
    std::vector<Cost> again;
};

struct Row {
    int queues = 0;
    std::int64_t jobs = 0;
    std::int64_t metrics_bytes = 0;
    Times times[std::size(looks)];
};

constexpr std::int64_t enqueue_batch_max = 10'000;
// One job in ten is scheduled; of each queue, some run and some have failed for good.
constexpr int scheduled_share = 10;
constexpr int claimed_of_queue = 5;

void fill_queue(Connection &connection, const std::string &queue, std::int64_t jobs) {
    connection.execute("SELECT faultline.create_queue($1)", {queue});
    const auto enqueue = [&](std::int64_t count, const char *delay) {
        while (count > 0) {
            const std::int64_t batch = std::min(count, enqueue_batch_max);
            connection.execute("SELECT count(*) FROM faultline.enqueue_many($1,"
                               " array_fill($2::jsonb, ARRAY[$3::integer]), delay => $4)",
                               {queue, payload, batch, delay});
            count -= batch;
        }
    };
    enqueue(jobs / scheduled_share, "1 hour");
    enqueue(jobs - jobs / scheduled_share, "0");
    connection.execute("SELECT count(*) FROM faultline.claim($1, 'a worker', $2, '1 hour')",
                       {queue, claimed_of_queue});
    connection.execute("SELECT faultline.fail(c.job_id, c.lease_token, 'no', discard => true)"
                       " FROM faultline.claim($1, 'another worker', $2, '1 hour') c",
                       {queue, claimed_of_queue});
}

Cost cost_of(Connection &connection, const char *query) {
    const double before = processor_milliseconds(connection);
    const Clock::time_point start = Clock::now();
    connection.execute(query);
    const double elapsed = milliseconds_since(start);
    return {.elapsed = elapsed, .processor = processor_milliseconds(connection) - before};
}

// What is shown is what is there.
void check_depths(Connection &connection, std::int64_t jobs) {
    // Maintenance does so once a minute, for queues that were large when they were first looked at.
    connection.execute("SELECT faultline.count_jobs()");
    const std::int64_t shown =
        connection
            .execute("SELECT sum(queued + scheduled + running + dead_letters)"
                     " FROM faultline.stat_queues")
            .bigint(0, 0);
    if (shown != jobs)
        throw std::runtime_error(fmt::format("stat_queues shows {} jobs of {}", shown, jobs));
}

Row measure_looks(const std::string &database, int queues, std::int64_t jobs, int rounds) {
    Connection connection(database);
    for (int queue = 0; queue < queues; ++queue)
        fill_queue(connection, fmt::format("queue_{}", queue), jobs / queues);
    connection.execute("VACUUM (ANALYZE)");
    Row row{.queues = queues, .jobs = jobs, .times = {}};
    check_depths(connection, jobs / queues * queues);
    row.metrics_bytes = connection.execute("SELECT octet_length(faultline.metrics())").bigint(0, 0);
    for (std::size_t number = 0; number < std::size(looks); ++number) {
        cost_of(connection, looks[number].query);
        for (int round = 0; round < rounds; ++round) {
            Connection newcomer(database);
            row.times[number].first.push_back(cost_of(newcomer, looks[number].query));
            row.times[number].again.push_back(cost_of(connection, looks[number].query));
        }
    }
    return row;
}

std::string result_lines(const Row &row) {
    std::string text;
    for (std::size_t number = 0; number < std::size(looks); ++number) {
        const auto &[first, again] = row.times[number];
        const std::string bytes = number == metrics_look
                                      ? grouped(static_cast<double>(row.metrics_bytes))
                                      : std::string();
        text += fmt::format("{:>7} {:>12} {:<12} {:>9.2f} {:>9.2f} {:>9.1f} {:>9.1f} {:>11}\n",
                            grouped(row.queues), grouped(static_cast<double>(row.jobs)),
                            looks[number].name, median_of(again, &Cost::processor),
                            median_of(again, &Cost::elapsed), median_of(first, &Cost::processor),
                            median_of(first, &Cost::elapsed), bytes);
    }
    return text;
}

Report measure_all(Connection &admin, const Options &options) {
    create_template_database(admin, options.conninfo);
    std::string text =
        fmt::format("What looking costs, in milliseconds, medians of {}: of the backend on a "
                    "processor, and on the "
                    "clock of\nthe client. again: in a session that has looked before; first: in "
                    "sessions that have "
                    "not. Of the jobs\none in {} is scheduled; of each queue {} run and {} have "
                    "failed for good.\n",
                    options.rounds, scheduled_share, claimed_of_queue, claimed_of_queue);
    text += fmt::format("\n{:>7} {:>12} {:<12} {:>9} {:>9} {:>9} {:>9} {:>11}\n{:>7} {:>12} {:<12} "
                        "{:>9} {:>9} {:>9} {:>9} {:>11}\n",
                        "", "", "", "again", "again", "first", "first", "", "queues", "jobs", "",
                        "cpu", "clock", "cpu", "clock", "bytes");
    for (const int queues : options.queues)
        for (const std::int64_t jobs : options.ready) {
            const std::string database = copy_template_database(admin, options.conninfo);
            Connection(database).execute("CREATE EXTENSION faultline");
            Connection(database).execute("SELECT faultline.maintain()");
            const Row row = measure_looks(
                database, queues, std::max<std::int64_t>(jobs, 10 * queues), options.rounds);
            progress(result_lines(row));
            text += result_lines(row);
        }
    return {.table = text, .plot = ""};
}

} // namespace

int main(int argument_count, char **arguments) {
    Options full;
    full.queues = {1, 100};
    full.ready = {1'000, 10'000'000};
    full.rounds = 50;
    Options quick = full;
    quick.ready = {1'000, 100'000};
    quick.rounds = 20;
    Options smoke = quick;
    smoke.queues = {1, 3};
    smoke.ready = {1'000};
    smoke.rounds = 2;
    return run_program(argument_count, arguments,
                       {.name = "seeing",
                        .description = "Measures what it costs to look at queues.",
                        .options = {"--queues", "--ready", "--rounds"},
                        .full = full,
                        .quick = quick,
                        .smoke = smoke,
                        .measure_all = measure_all});
}
