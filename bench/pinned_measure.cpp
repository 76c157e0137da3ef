// Implements the run with a pinned snapshot horizon.
#include "pinned_measure.hpp"

#include "client.hpp"
#include "crew.hpp"
#include "database.hpp"

#include <algorithm>
#include <atomic>
#include <fmt/format.h>
#include <thread>

namespace faultline::bench {

namespace {

using client::Connection;

constexpr int producers = 4; // a lone one cannot commit 1,000 times a second on every machine
constexpr std::chrono::milliseconds nothing_to_claim{5};

struct Sample {
    double end_seconds;
    double milliseconds;
};

// An idle transaction whose snapshot needs every row that is deleted from now on.
class Pin {
  public:
    explicit Pin(const std::string &database) : connection_(database) {
        connection_.execute("BEGIN ISOLATION LEVEL REPEATABLE READ");
        connection_.execute("SELECT count(*) FROM pg_class");
    }

  private:
    Connection connection_;
};

void produce(const Crew &crew, Client &client, Clock::time_point start, Seconds period) {
    for (std::int64_t call = 0; !crew.stopping(); ++call) {
        crew.sleep_until(start + std::chrono::duration_cast<Clock::duration>(
                                     period * static_cast<double>(call)));
        client.enqueue();
    }
}

void work(const Crew &crew, Client &client, Clock::time_point start,
          std::atomic<std::int64_t> &completed, std::vector<Sample> &samples) {
    while (!crew.stopping()) {
        client.tick();
        const Clock::time_point call = Clock::now();
        const Claimed claimed = client.claim();
        const double milliseconds = milliseconds_since(call);
        if (claimed.empty()) {
            std::this_thread::sleep_for(nothing_to_claim);
            continue;
        }
        samples.push_back({.end_seconds = seconds_since(start), .milliseconds = milliseconds});
        client.complete(claimed);
        completed += std::ssize(claimed.ids);
    }
}

double table_bytes(Connection &connection, const Peer &peer) {
    return connection
        .execute(fmt::format("SELECT sum(pg_total_relation_size(oid)) FROM pg_class"
                             " WHERE relnamespace = '{}'::regnamespace AND relkind = 'r'",
                             peer.schema))
        .number(0, 0);
}

// Looks at the end of each window, while the others work.
std::vector<Window> observe(const Crew &crew, const std::string &database, const Peer &peer,
                            Clock::time_point start, const Options &options,
                            const std::atomic<std::int64_t> &completed) {
    Connection connection(database);
    std::vector<Window> windows;
    const double length = std::min(window_seconds_max, options.run_seconds / 2);
    for (double end = length; end <= options.run_seconds && !crew.stopping(); end += length) {
        crew.sleep_until(start + std::chrono::duration_cast<Clock::duration>(Seconds(end)));
        Window window;
        window.end_seconds = end;
        window.completed = completed;
        window.backlog = std::max<std::int64_t>(0, static_cast<std::int64_t>(options.rate * end) -
                                                       window.completed);
        window.dead_rows = dead_row_count(connection);
        window.table_bytes = table_bytes(connection, peer);
        windows.push_back(window);
        progress(fmt::format("{:<16} {:>5.0f} s backlog {}", peer.name, end, window.backlog));
    }
    return windows;
}

void distribute(const std::vector<Sample> &samples, std::vector<Window> &windows) {
    for (const Sample &sample : samples) {
        const auto window = std::find_if(windows.begin(), windows.end(), [&](const Window &each) {
            return sample.end_seconds <= each.end_seconds;
        });
        if (window != windows.end())
            window->claim_milliseconds.push_back(sample.milliseconds);
    }
}

} // namespace

std::vector<Window> measure_pinned(Connection &admin, const Peer &peer, const Options &options) {
    const std::string database = copy_template_database(admin, options.conninfo);
    prepare_copy(peer, database);
    const Pin pin(database);
    const int batch = options.batches.front();
    const int workers = peer.tick.empty() ? options.clients.front() : 1;
    std::vector<std::unique_ptr<Client>> clients;
    for (int number = 0; number < producers + workers; ++number)
        clients.push_back(std::make_unique<Client>(database, peer, batch, number));
    std::vector<std::vector<Sample>> samples(static_cast<std::size_t>(workers));
    std::atomic<std::int64_t> completed{0};
    Crew crew;
    const Clock::time_point start = Clock::now();
    const Seconds period(producers * batch / options.rate);
    for (int number = 0; number < producers + workers; ++number)
        crew.add([&, &client = *clients[static_cast<std::size_t>(number)], number] {
            if (number < producers)
                // Not both at the same instant.
                produce(crew, client,
                        start + number *
                                    std::chrono::duration_cast<Clock::duration>(period / producers),
                        period);
            else
                work(crew, client, start, completed,
                     samples[static_cast<std::size_t>(number - producers)]);
        });
    std::vector<Window> windows = observe(crew, database, peer, start, options, completed);
    crew.stop_and_join();
    for (const std::vector<Sample> &of_worker : samples)
        distribute(of_worker, windows);
    return windows;
}

} // namespace faultline::bench
