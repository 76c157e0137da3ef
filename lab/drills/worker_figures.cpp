// Figures of the background worker: how long after the kill of a client its job runs elsewhere, and
// what an idle database costs.
#include "worker_process.hpp"

#include "faultline/connection.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <exception>
#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <iostream>
#include <map>
#include <memory>
#include <poll.h>
#include <sstream>
#include <stdexcept>
#include <string>
#include <unistd.h>
#include <vector>

namespace {

using faultline::client::Connection;
using faultline::client::Parameter;
using faultline::client::Result;
using faultline::lab::WorkerProcess;
using Clock = std::chrono::steady_clock;
using Seconds = std::chrono::duration<double>;

constexpr int poll_milliseconds = 5;
constexpr int claim_seconds_max = 30;

struct Options {
    std::string conninfo;
    std::string psql;
    double lease_seconds = 2;
    int kills = 100;
    int at_once = 10;
    int postmaster = 0;
    double idle_seconds = 60;
};

double seconds_between(Clock::time_point start, Clock::time_point end) {
    return Seconds(end - start).count();
}

void pause_shortly() { poll(nullptr, 0, poll_milliseconds); }

// A client that has claimed a job and is killed; then somebody else gets the job.
class Recovery {
  public:
    explicit Recovery(const Options &options)
        : options_(options), connection_(options.conninfo, "recovery") {
        connection_.execute("SELECT faultline.create_queue('recovery', lease => $1::interval,"
                            " backoff_base => '0')",
                            {Parameter(fmt::format("{} s", options.lease_seconds))});
    }

    std::vector<double> run() {
        while (static_cast<int>(seconds_.size()) < options_.kills) {
            for (int i = 0; i < options_.at_once; ++i)
                kill_one();
            claim_all();
        }
        return seconds_;
    }

  private:
    void kill_one() {
        const std::int64_t job =
            connection_.execute("SELECT faultline.enqueue('recovery')").bigint(0, 0);
        // It claims, and then waits for its input, which never comes.
        WorkerProcess client("recovery-client", options_.psql,
                             {"--no-psqlrc", "--quiet", "--dbname", options_.conninfo, "--command",
                              "SELECT faultline.claim('recovery', 'victim')", "--file", "-"});
        const Clock::time_point start = Clock::now();
        while (connection_
                   .execute("SELECT FROM faultline.jobs WHERE job_id = $1 AND state = 'running'",
                            {Parameter(job)})
                   .row_count() == 0) {
            if (seconds_between(start, Clock::now()) > claim_seconds_max)
                throw std::runtime_error("the client did not claim its job");
            pause_shortly();
        }
        client.kill_hard();
        killed_at_[job] = Clock::now();
    }

    void claim_all() {
        while (!killed_at_.empty()) {
            wait_for_queued_job();
            const Result jobs = connection_.execute(
                "SELECT faultline.complete(job_id, lease_token), job_id"
                "  FROM faultline.claim('recovery', 'rescuer', 100)"
                " WHERE set_config('faultline.allow_same_transaction', 'on', false) = 'on'");
            for (int row = 0; row < jobs.row_count(); ++row) {
                const auto killed = killed_at_.find(jobs.bigint(row, 1));
                if (killed == killed_at_.end())
                    throw std::runtime_error("a job came that nobody waited for");
                seconds_.push_back(seconds_between(killed->second, Clock::now()));
                killed_at_.erase(killed);
            }
        }
    }

    // Claims settle expired leases themselves; here the background worker is to do it alone.
    void wait_for_queued_job() {
        const Clock::time_point start = Clock::now();
        while (connection_.execute("SELECT FROM faultline.jobs WHERE state = 'queued' LIMIT 1")
                   .row_count() == 0) {
            if (seconds_between(start, Clock::now()) > options_.lease_seconds + claim_seconds_max)
                throw std::runtime_error("a job did not come back");
            pause_shortly();
        }
    }

    const Options &options_;
    Connection connection_;
    std::map<std::int64_t, Clock::time_point> killed_at_;
    std::vector<double> seconds_;
};

void print_distribution(const Options &options, std::vector<double> seconds) {
    std::sort(seconds.begin(), seconds.end());
    const auto at = [&](double share) {
        return seconds[static_cast<std::size_t>(share * static_cast<double>(seconds.size() - 1))];
    };
    std::cout << fmt::format("recovery: lease {} s, {} kills: from kill to running elsewhere min "
                             "{:.3f}, median {:.3f}, 90 % {:.3f}, 99 % {:.3f}, max {:.3f} s\n",
                             options.lease_seconds, seconds.size(), seconds.front(), at(0.5),
                             at(0.9), at(0.99), seconds.back());
}

// Processor time of a process, and of its children that have ended, in seconds.
double processor_seconds(int pid) {
    std::ifstream file(fmt::format("/proc/{}/stat", pid));
    std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
    const std::size_t name_end = text.rfind(')');
    if (name_end == std::string::npos)
        return 0;
    std::istringstream fields(text.substr(name_end + 1));
    std::string skipped;
    for (int field = 3; field < 14; ++field)
        fields >> skipped;
    double ticks = 0;
    for (int field = 14; field <= 17; ++field) { // utime stime cutime cstime
        double value = 0;
        fields >> value;
        ticks += value;
    }
    return ticks / static_cast<double>(sysconf(_SC_CLK_TCK));
}

bool is_child_of(int pid, int parent) {
    std::ifstream file(fmt::format("/proc/{}/status", pid));
    std::string line;
    while (std::getline(file, line))
        if (line.rfind("PPid:", 0) == 0)
            return std::stoi(line.substr(5)) == parent;
    return false;
}

double server_seconds(int postmaster) {
    double seconds = processor_seconds(postmaster);
    for (const auto &entry : std::filesystem::directory_iterator("/proc")) {
        const std::string name = entry.path().filename().string();
        if (name.find_first_not_of("0123456789") == std::string::npos &&
            is_child_of(std::stoi(name), postmaster))
            seconds += processor_seconds(std::stoi(name));
    }
    return seconds;
}

double idle_share(const Options &options) {
    const Clock::time_point start = Clock::now();
    const double before = server_seconds(options.postmaster);
    poll(nullptr, 0, static_cast<int>(options.idle_seconds * 1000));
    return (server_seconds(options.postmaster) - before) / seconds_between(start, Clock::now());
}

} // namespace

int main(int argument_count, char **arguments) {
    CLI::App app("Figures of the background worker.");
    Options options;
    app.add_option("--conninfo", options.conninfo, "libpq connection string (key=value)");
    CLI::App *recovery =
        app.add_subcommand("recovery", "from a client's death to its job's next run");
    recovery->add_option("--psql", options.psql, "path of psql")->required();
    recovery->add_option("--lease", options.lease_seconds, "seconds")
        ->check(CLI::Range(0.1, 3600.0));
    recovery->add_option("--kills", options.kills, "clients to kill")
        ->check(CLI::Range(1, 100'000));
    recovery->add_option("--at-once", options.at_once, "of them at a time")
        ->check(CLI::Range(1, 1000));
    CLI::App *idle = app.add_subcommand("idle", "processor time of a server where nothing happens");
    idle->add_option("--postmaster", options.postmaster, "its pid")->required();
    idle->add_option("--seconds", options.idle_seconds, "how long")
        ->check(CLI::Range(1.0, 86400.0));
    app.require_subcommand(1);
    CLI11_PARSE(app, argument_count, arguments);
    try {
        if (recovery->parsed())
            print_distribution(options, Recovery(options).run());
        else
            std::cout << fmt::format("idle: {:.3f} % of a core over {} s\n",
                                     100 * idle_share(options), options.idle_seconds);
        return 0;
    } catch (const std::exception &error) {
        std::cerr << "worker_figures: " << error.what() << '\n';
        return 1;
    }
}
