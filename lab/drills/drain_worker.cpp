// A worker process of the drills: claims a batch, completes it and writes down, in the same
// transaction, which completions were accepted. It tells the drill where it is (worker_process.hpp)
// and stops when its standard input ends. With --hold it takes one job, with a ledger entry, and
// stands still in the middle of it.
#include "drill_job.hpp"

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

// Where --hold can stop: inside a call's transaction, or behind its commit.
const std::vector<std::string> points = {"claiming", "claimed",    "charged",   "applying",
                                         "applied",  "completing", "finishing", "finished"};

// Until the input ends.
void hold(const Job &job) {
    report(fmt::format("held {}", job.job_id));
    is_stop_requested(-1);
}

// Others may take each job before us, but there will be more.
Job claim_one(Connection &connection, const std::string &queue, const std::string &name) {
    while (true) {
        const std::vector<Job> jobs = Api(connection).claim(queue, name, 1);
        if (!jobs.empty())
            return jobs.front();
        if (is_stop_requested(idle_poll_milliseconds))
            throw std::runtime_error("there was no job to claim");
    }
}

Verdict apply_in_transaction(Connection &connection, const Job &job, bool completes, bool holds) {
    Transaction transaction(connection);
    const Applied applied = faultline::lab::apply_with_own_row(connection, job, completes);
    if (holds)
        hold(job);
    transaction.commit();
    return applied.verdict;
}

// The rest of the job, after the hold. If others have written the entry meanwhile this worker hears
// so, whoever it is; but it cannot say that the job is its own.
void try_to_finish(Connection &connection, const Job &job) {
    bool is_stale = false;
    try {
        if (apply_in_transaction(connection, job, true, false) == Verdict::exists)
            Api(connection).complete({job.job_id, job.lease_token});
    } catch (const Error &error) {
        is_stale = error.code() == ErrorCode::stale_lease;
        if (!is_stale)
            throw;
    }
    report(fmt::format("completed {} {}", is_stale ? 0 : 1, is_stale ? 1 : 0));
}

void work_up_to(Connection &connection, const std::string &queue, const std::string &name,
                const std::string &point) {
    if (point == "claiming") {
        const Transaction transaction(connection);
        return hold(claim_one(connection, queue, name));
    }
    const Job job = claim_one(connection, queue, name);
    if (point == "claimed") {
        hold(job);
        return try_to_finish(connection, job);
    }
    faultline::lab::charge_outside(connection, job);
    if (point == "charged")
        return hold(job);
    if (point == "finishing" || point == "finished") {
        apply_in_transaction(connection, job, true, point == "finishing");
        return hold(job);
    }
    apply_in_transaction(connection, job, false, point == "applying");
    if (point == "applied")
        return hold(job);
    const Transaction transaction(connection);
    Api(connection).complete({job.job_id, job.lease_token});
    hold(job);
}

} // namespace

int main(int argument_count, char **arguments) {
    CLI::App app("A worker process of the drills.");
    std::string conninfo;
    std::string queue;
    std::string name;
    std::string point;
    int batch = 1;
    app.add_option("--conninfo", conninfo, "libpq connection string")->required();
    app.add_option("--queue", queue, "queue to drain")->required();
    app.add_option("--name", name, "this worker's name")->required();
    app.add_option("--batch", batch, "jobs per claim")->check(CLI::Range(1, batch_max));
    app.add_option("--hold", point, "take one job and stand still here")
        ->check(CLI::IsMember(points));
    CLI11_PARSE(app, argument_count, arguments);
    try {
        Connection connection(conninfo, name);
        if (point.empty())
            work(connection, queue, name, batch);
        else
            work_up_to(connection, queue, name, point);
    } catch (const std::exception &error) {
        std::cerr << name << ": " << error.what() << '\n';
        return 1;
    }
    return 0;
}
