// The fuzzing program: several callers at once, and the account of what they were told. Exit status
// 1: the server crashed or hung, an internal error was raised, or a backend grew.
#include "caller.hpp"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>
#include <fmt/format.h>
#include <thread>

namespace {

using namespace faultline::fuzz;

struct Options {
    std::string conninfo;
    std::uint64_t seed = 1;
    std::int64_t calls = 20'000;
    int connections = 4;
    // A superuser reaches what nobody else may call: that can corrupt rows, which is then told, and
    // look up any number of names, which the server's caches keep.
    bool reaches_inside = false;
};

// Caches fill for a while.
constexpr double bytes_grown_allowed = 8 * 1024 * 1024;

Options read_options(int argument_count, char **arguments) {
    Options options;
    CLI::App app{"Calls each function of the schema with garbage, in each kind of transaction."};
    app.add_option("--conninfo", options.conninfo,
                   "a connection string; the user decides what "
                   "can be called");
    app.add_option("--seed", options.seed, "decides the calls");
    app.add_option("--calls", options.calls, "how many, in all")->check(CLI::PositiveNumber);
    app.add_option("--connections", options.connections, "how many at once")
        ->check(CLI::Range(1, 64));
    app.add_flag("--reaches-inside", options.reaches_inside,
                 "neither corrupt rows nor caches that grow are failures");
    try {
        app.parse(argument_count, arguments);
    } catch (const CLI::ParseError &error) {
        std::exit(app.exit(error));
    }
    return options;
}

Account run(const Options &options) {
    const auto count = static_cast<std::size_t>(options.connections);
    std::vector<Account> accounts(count);
    std::vector<std::exception_ptr> failures(count);
    {
        std::vector<std::jthread> threads;
        for (std::size_t i = 0; i < count; ++i)
            threads.emplace_back([&, i] {
                try {
                    Caller caller(options.conninfo, options.seed, static_cast<int>(i));
                    accounts[i] = caller.run(options.calls / options.connections);
                } catch (...) {
                    failures[i] = std::current_exception();
                }
            });
    }
    Account sum;
    for (std::size_t i = 0; i < count; ++i) {
        if (failures[i])
            std::rethrow_exception(failures[i]);
        sum.add(accounts[i]);
    }
    return sum;
}

void print(const Account &account) {
    std::vector<std::string> columns;
    for (const auto &[sqlstate, count] : account.sqlstates)
        columns.push_back(fmt::format("{} {:>8}", sqlstate, count));
    constexpr std::size_t columns_per_line = 5;
    for (std::size_t i = 0; i < columns.size(); ++i)
        fmt::print("  {}{}", columns[i],
                   (i + 1) % columns_per_line == 0 || i + 1 == columns.size() ? "\n" : "");
    for (const auto &[context, count] : account.contexts)
        fmt::print("  {} {}", context, count);
    fmt::print("\ncalls {} · SQLSTATEs {} · cancelled {} · functions that succeeded {} · "
               "internal errors {} · kB/call {:.3f}\n",
               account.calls, account.sqlstates.size(), account.cancelled, account.succeeded.size(),
               account.internal_errors.size(),
               account.bytes_grown_max / 1024 / static_cast<double>(account.calls));
}

bool is_clean(const Account &account, const Options &options) {
    bool clean = true;
    for (const std::string &error : account.internal_errors) {
        if (options.reaches_inside && error.starts_with("XX001"))
            continue;
        fmt::print(stderr, "internal error: {}\n", error.substr(0, 2000));
        clean = false;
    }
    if (!options.reaches_inside && account.bytes_grown_max > bytes_grown_allowed) {
        fmt::print(stderr, "a backend grew by {:.0f} bytes in the second half of its calls:\n{}\n",
                   account.bytes_grown_max, account.largest_memory);
        clean = false;
    }
    return clean;
}

} // namespace

int main(int argument_count, char **arguments) {
    const Options options = read_options(argument_count, arguments);
    try {
        const Account account = run(options);
        print(account);
        return is_clean(account, options) ? 0 : 1;
    } catch (const std::exception &error) {
        fmt::print(stderr, "fuzz: {}\n", std::string_view(error.what()).substr(0, 4000));
        return 1;
    }
}
