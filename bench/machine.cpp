// Implements the description of machine, server and settings.
#include "machine.hpp"

#include "peer.hpp"

#include <algorithm>
#include <chrono>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <fstream>
#include <stdexcept>
#include <sys/utsname.h>
#include <thread>

namespace faultline::bench {

namespace {

using client::Connection;
using client::Result;

std::string cpu_model() {
    std::ifstream cpuinfo("/proc/cpuinfo");
    for (std::string line; std::getline(cpuinfo, line);)
        if (line.starts_with("model name"))
            return line.substr(std::min(line.size(), line.find(':') + 2));
    return "unknown processor";
}

std::string load_average() {
    std::ifstream loadavg("/proc/loadavg");
    std::string load = "unknown";
    loadavg >> load;
    return load;
}

std::string settings(Connection &admin) {
    constexpr std::size_t settings_per_line = 5;
    std::string text;
    std::size_t count = 0;
    for (const char *name :
         {"fsync", "synchronous_commit", "full_page_writes", "autovacuum", "data_checksums",
          "shared_buffers", "max_wal_size", "checkpoint_timeout", "shared_preload_libraries"}) {
        const Result result = admin.execute(fmt::format("SHOW {}", name));
        const std::string_view value = result.text(0, 0);
        const bool starts_line = count++ % settings_per_line == 0;
        text += fmt::format("{}{}={}",
                            !starts_line   ? " "
                            : text.empty() ? ""
                                           : "\n          ",
                            name, value.empty() ? "(none)" : value);
    }
    return text;
}

} // namespace

void check_durable(client::Connection &admin) {
    for (const char *name : {"fsync", "synchronous_commit", "full_page_writes", "autovacuum"})
        if (admin.execute(fmt::format("SHOW {}", name)).text(0, 0) != "on")
            throw std::runtime_error(
                fmt::format("refusing to measure: {} must be on in the server's settings", name));
}

std::string describe_run(client::Connection &admin, const std::string &command_line,
                         const std::string &revision) {
    utsname system{};
    if (uname(&system) != 0)
        throw std::runtime_error("could not read the kernel's version");
    std::string text;
    text += fmt::format("date      {:%Y-%m-%d %H:%M} UTC, revision {}\n",
                        fmt::gmtime(std::chrono::system_clock::now()), revision);
    text += fmt::format("machine   {} cores, {}, {} {}, load {} before the start\n",
                        std::thread::hardware_concurrency(), cpu_model(), system.sysname,
                        system.release, load_average());
    text +=
        fmt::format("server    PostgreSQL {}\n", admin.execute("SHOW server_version").text(0, 0));
    text += fmt::format("settings  {}\n", settings(admin));
    text += fmt::format("payload   {} bytes of JSON\n", std::char_traits<char>::length(payload));
    text += fmt::format("command   {}\n", command_line);
    return text;
}

double processor_milliseconds(client::Connection &connection) {
    std::ifstream file(fmt::format("/proc/{}/schedstat", connection.server_process_id()));
    double nanoseconds = 0;
    if (!(file >> nanoseconds))
        throw std::runtime_error("could not read the time of a backend in /proc");
    return nanoseconds / 1e6;
}

} // namespace faultline::bench
