// The program of the pinned horizon: its runs one after the other, its tables and its plot.
#include "figures.hpp"
#include "measure.hpp"
#include "pinned_measure.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <functional>

namespace {

using namespace faultline::bench;
using faultline::client::Connection;

struct Course {
    Peer peer;
    std::vector<Window> windows;
};

constexpr double megabyte = 1024 * 1024;

double claim_percentile(const std::vector<Window> &windows, std::size_t first, std::size_t end,
                        double share) {
    std::vector<double> all;
    for (std::size_t number = first; number < end; ++number)
        all.insert(all.end(), windows[number].claim_milliseconds.begin(),
                   windows[number].claim_milliseconds.end());
    return percentile(std::move(all), share);
}

// A line for each window, a column for each peer.
std::string
block(const std::vector<Course> &courses, const char *title,
      const std::function<std::string(const std::vector<Window> &, std::size_t)> &cell) {
    std::string text = fmt::format("\n{}\n{:>7}", title, "seconds");
    for (const Course &course : courses)
        text += fmt::format(" {:>17}", course.peer.name);
    for (std::size_t number = 0; number < courses.front().windows.size(); ++number) {
        text += fmt::format("\n{:>7.3g}", courses.front().windows[number].end_seconds);
        for (const Course &course : courses)
            text += fmt::format(" {:>17}", cell(course.windows, number));
    }
    return text + '\n';
}

std::string claims(const std::vector<Window> &windows, std::size_t number) {
    return fmt::format("{:.2f}/{:.2f}", claim_percentile(windows, number, number + 1, 0.5),
                       claim_percentile(windows, number, number + 1, 0.99));
}

double completed_per_second(const std::vector<Window> &windows, std::size_t first,
                            std::size_t last) {
    const double before = first == 0 ? 0 : windows[first - 1].end_seconds;
    const std::int64_t completed =
        windows[last].completed - (first == 0 ? 0 : windows[first - 1].completed);
    return static_cast<double>(completed) / (windows[last].end_seconds - before);
}

std::string throughput(const std::vector<Window> &windows, std::size_t number) {
    return fmt::format("{}/{}", grouped(completed_per_second(windows, number, number)),
                       grouped(static_cast<double>(windows[number].backlog)));
}

std::string space(const std::vector<Window> &windows, std::size_t number) {
    return fmt::format("{}/{}", grouped(windows[number].dead_rows),
                       grouped(windows[number].table_bytes / megabyte));
}

// The first and the last tenth of the run: of ten minutes, the first and the last minute.
std::string summary(const std::vector<Course> &courses) {
    std::string text =
        fmt::format("{:<16} {:>9} {:>9} {:>6} {:>8} {:>9} {:>10} {:>6}\n{:<16} "
                    "{:>9} {:>9} {:>6} {:>8} {:>9} {:>10} {:>6}\n",
                    "", "claim p99", "claim p99", "", "jobs/s", "backlog", "dead rows", "MB", "",
                    "first", "last", "ratio", "last", "end", "end", "end");
    for (const auto &[peer, windows] : courses) {
        const std::size_t count = windows.size();
        const std::size_t tenth = std::max<std::size_t>(1, count / 10);
        const double first = claim_percentile(windows, 0, tenth, 0.99);
        const double last = claim_percentile(windows, count - tenth, count, 0.99);
        text += fmt::format(
            "{:<16} {:>9.2f} {:>9.2f} {:>6.2f} {:>8} {:>9} {:>10} {:>6}\n", peer.name, first, last,
            last / first, grouped(completed_per_second(windows, count - tenth, count - 1)),
            grouped(static_cast<double>(windows.back().backlog)), grouped(windows.back().dead_rows),
            grouped(windows.back().table_bytes / megabyte));
    }
    return text;
}

std::string plot(const std::vector<Course> &courses) {
    std::string text;
    std::string claim_lines;
    std::string backlog_lines;
    for (std::size_t number = 0; number < courses.size(); ++number) {
        text += fmt::format("$data{} << EOD\n", number);
        for (std::size_t window = 0; window < courses[number].windows.size(); ++window) {
            const Window &each = courses[number].windows[window];
            text += fmt::format("{} {} {}\n", each.end_seconds,
                                claim_percentile(courses[number].windows, window, window + 1, 0.99),
                                each.backlog);
        }
        text += "EOD\n";
        const char *separator = number == 0 ? "plot " : ", ";
        claim_lines += fmt::format("{}$data{} using 1:2 with lines linewidth 2 title '{}'",
                                   separator, number, courses[number].peer.name);
        backlog_lines += fmt::format("{}$data{} using 1:3 with lines linewidth 2 title '{}'",
                                     separator, number, courses[number].peer.name);
    }
    return fmt::format("{}set multiplot layout 2,1\nset xlabel 'seconds'\n"
                       "set title 'Claim p99 while an idle transaction pins the horizon'\n"
                       "set logscale y\nset ylabel 'ms'\n{}\n"
                       "unset logscale y\nset title 'Backlog'\nset ylabel 'jobs'\n{}\n"
                       "unset multiplot\n",
                       text, claim_lines, backlog_lines);
}

Report measure_all(Connection &admin, const Options &options) {
    std::string absent;
    std::vector<Course> courses;
    for (const Peer &peer : create_template(admin, options, absent))
        courses.push_back({.peer = peer, .windows = measure_pinned(admin, peer, options)});
    std::vector<Peer> peers;
    for (const Course &course : courses)
        peers.push_back(course.peer);
    std::string text = fmt::format(
        "Pinned horizon: {} jobs/s offered in batches of {} for {:g} s, {} workers that claim as "
        "many,\nan idle REPEATABLE READ transaction held open; first and last = tenths of the "
        "run\n{}{}\n",
        grouped(options.rate), options.batches.front(), options.run_seconds,
        options.clients.front(), notes_of(peers), absent);
    text += summary(courses);
    text += block(courses, "claim p50/p99, ms, of claims that returned jobs", claims);
    text += block(courses,
                  "jobs completed per second / backlog: offered by the schedule and not completed",
                  throughput);
    text += block(courses, "dead rows / MB of tables and indexes", space);
    return {.table = text, .plot = plot(courses)};
}

} // namespace

int main(int argument_count, char **arguments) {
    Options full;
    full.peers = {"textbook", "graphile", "pg-boss", "pgq", "faultline", "faultline-plain"};
    full.run_seconds = 600;
    full.batches = {1};
    full.clients = {4};
    Options quick = full;
    quick.run_seconds = 60;
    Options smoke = full;
    smoke.peers = {"textbook", "faultline"};
    smoke.run_seconds = 1;
    smoke.rate = 200;
    smoke.history_jobs = 1'000;
    return run_program(argument_count, arguments,
                       {.name = "pinned",
                        .description =
                            "Measures claims at a steady rate while an idle transaction pins the "
                            "snapshot horizon.",
                        .options = {"--peers", "--seconds", "--rate", "--batch", "--clients"},
                        .full = full,
                        .quick = quick,
                        .smoke = smoke,
                        .measure_all = measure_all});
}
