// A worker process of the drain drill: claims a batch, completes it and writes down, in the same
// transaction, which completions were accepted. It tells the drill where it is (worker_process.hpp)
// and stops when its standard input ends.
#include "faultline/api.hpp"

#include <CLI/CLI.hpp>
#include <cerrno>
#include <exception>
#include <fmt/format.h>
#include <iostream>
#include <poll.h>
#include <stdexcept>
#include <string>
#include <system_error>
#include <unistd.h>
#include <vector>

namespace {

using namespace faultline::client;

constexpr int batch_max = 10'000; // what one claim may return
constexpr int idle_poll_milliseconds = 50;

void report(const std::string &line) {
    const std::string text = line + '\n';
    // Short writes to a pipe are atomic, so a kill never leaves half a line.
    if (write(STDOUT_FILENO, text.data(), text.size()) != static_cast<ssize_t>(text.size()))
        throw std::system_error(errno, std::generic_category(), "could not report");
}

bool is_stop_requested(int wait_milliseconds) {
    pollfd input{.fd = STDIN_FILENO, .events = POLLIN, .revents = 0};
    return poll(&input, 1, wait_milliseconds) > 0;
}

void complete(Connection &connection, const std::vector<Lease> &leases) {
    Transaction transaction(connection);
    std::vector<std::int64_t> succeeded;
    std::size_t stale_count = 0;
    for (const VerdictRow &row : Api(connection).complete_many(leases)) {
        if (row.verdict == Verdict::succeeded)
            succeeded.push_back(row.job_id);
        else if (row.verdict == Verdict::stale_lease)
            ++stale_count;
        else
            throw std::runtime_error(fmt::format("job {}: unexpected verdict {}", row.job_id,
                                                 faultline::core::verdict_name(row.verdict)));
    }
    if (succeeded.size() + stale_count != leases.size())
        throw std::runtime_error(
            fmt::format("{} jobs, but {} verdicts", leases.size(), succeeded.size() + stale_count));
    connection.execute("INSERT INTO drained (job_id) SELECT unnest($1::bigint[])",
                       {Parameter(bigint_array(succeeded))});
    report(fmt::format("committing {}", succeeded.size()));
    transaction.commit();
    report(fmt::format("completed {} {}", succeeded.size(), stale_count));
}

void work(Connection &connection, const std::string &queue, const std::string &name, int batch) {
    bool is_idle = false;
    while (!is_stop_requested(is_idle ? idle_poll_milliseconds : 0)) {
        std::vector<Lease> leases;
        for (const Job &job : Api(connection).claim(queue, name, batch))
            leases.push_back({.job_id = job.job_id, .lease_token = job.lease_token});
        if (!leases.empty()) {
            report(fmt::format("claimed {}", leases.size()));
            complete(connection, leases);
        } else if (!is_idle) {
            report("idle");
        }
        is_idle = leases.empty();
    }
}

} // namespace

int main(int argument_count, char **arguments) {
    CLI::App app("A worker process of the drain drill.");
    std::string conninfo;
    std::string queue;
    std::string name;
    int batch = 0;
    app.add_option("--conninfo", conninfo, "libpq connection string")->required();
    app.add_option("--queue", queue, "queue to drain")->required();
    app.add_option("--name", name, "this worker's name")->required();
    app.add_option("--batch", batch, "jobs per claim")->required()->check(CLI::Range(1, batch_max));
    CLI11_PARSE(app, argument_count, arguments);
    try {
        Connection connection(conninfo, name);
        work(connection, queue, name, batch);
    } catch (const std::exception &error) {
        std::cerr << name << ": " << error.what() << '\n';
        return 1;
    }
    return 0;
}
