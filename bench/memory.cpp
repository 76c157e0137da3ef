// The program that measures memory: what Faultline takes of the server's shared memory, and what a
// session has for itself after many cycles.
#include "client.hpp"
#include "database.hpp"
#include "figures.hpp"
#include "measure.hpp"
#include "program.hpp"

#include <fmt/format.h>
#include <fstream>
#include <stdexcept>

namespace {

using namespace faultline::bench;
using faultline::client::Connection;
using faultline::client::Result;

constexpr int warm_up_cycles = 100; // caches and kept plans are filled by then

// KiB; private is what no other process maps, contexts what the server's allocator holds.
struct Memory {
    double private_kib = 0;
    double contexts_kib = 0;
};

struct Row {
    std::string name;
    Memory warm;
    Memory end;
};

double private_kib(int process_id) {
    std::ifstream file(fmt::format("/proc/{}/smaps_rollup", process_id));
    double sum = 0;
    for (std::string word; file >> word;)
        if (word == "Private_Clean:" || word == "Private_Dirty:") {
            double kib = 0;
            file >> kib;
            sum += kib;
        }
    if (sum == 0)
        throw std::runtime_error("could not read the memory of a backend in /proc");
    return sum;
}

Memory memory_of(Connection &connection) {
    const double kib = private_kib(connection.server_process_id());
    const Result contexts =
        connection.execute("SELECT sum(total_bytes) / 1024.0 FROM pg_backend_memory_contexts");
    return {.private_kib = kib, .contexts_kib = contexts.number(0, 0)};
}

Row measure_idle(const std::string &database) {
    Connection connection(database);
    memory_of(connection); // the view has its own cost, once
    const Memory memory = memory_of(connection);
    return {.name = "a session that did nothing", .warm = memory, .end = memory};
}

Row measure_peer(Connection &admin, const Peer &peer, int batch, const Options &options) {
    const std::string database = copy_template_database(admin, options.conninfo);
    prepare_copy(peer, database);
    Client client(database, peer, batch, 0);
    const auto run = [&](int cycles) {
        for (int cycle = 0; cycle < cycles; ++cycle) {
            client.cycle();
            if (!peer.tick.empty())
                client.read();
        }
    };
    run(warm_up_cycles);
    memory_of(client.connection());
    const Memory warm = memory_of(client.connection());
    run(options.jobs / batch);
    return {.name = fmt::format("{}, batch {}", peer.name, batch),
            .warm = warm,
            .end = memory_of(client.connection())};
}

std::string shared_memory(Connection &admin) {
    const Result parts = admin.execute("SELECT name, allocated_size FROM pg_shmem_allocations"
                                       " WHERE name ILIKE '%faultline%' ORDER BY 2 DESC");
    std::string text = "Shared memory, at the server's start\n";
    double sum = 0;
    for (int row = 0; row < parts.row_count(); ++row) {
        text += fmt::format("  {:<32} {:>12} bytes\n", parts.text(row, 0),
                            grouped(parts.number(row, 1)));
        sum += parts.number(row, 1);
    }
    text += fmt::format("  {:<32} {:>12} bytes\n", "all", grouped(sum));
    const Result settings = admin.execute("SELECT name, setting FROM pg_settings WHERE name IN"
                                          " ('faultline.max_queues', 'faultline.ready_window')");
    for (int row = 0; row < settings.row_count(); ++row)
        text += fmt::format("  with {} = {}\n", settings.text(row, 0), settings.text(row, 1));
    return text;
}

Report measure_all(Connection &admin, const Options &options) {
    std::string absent;
    const std::vector<Peer> peers = create_template(admin, options, absent);
    std::vector<Row> rows{measure_idle(copy_template_database(admin, options.conninfo))};
    for (const int batch : options.batches)
        for (const Peer &peer : peers) {
            rows.push_back(measure_peer(admin, peer, batch, options));
            progress(
                fmt::format("{:<28} {:.0f} KiB", rows.back().name, rows.back().end.private_kib));
        }
    std::string text = shared_memory(admin);
    text += fmt::format("\nA session's own memory in KiB, after {} cycles and after {} jobs more; "
                        "contexts = what\nthe server's allocator holds, private = what no other "
                        "process maps\n{}{}\n",
                        warm_up_cycles, grouped(options.jobs), notes_of(peers), absent);
    text +=
        fmt::format("{:<28} {:>10} {:>10} {:>10} {:>10}\n{:<28} {:>10} {:>10} {:>10} {:>10}\n", "",
                    "private", "private", "contexts", "contexts", "", "warm", "end", "warm", "end");
    for (const auto &[name, warm, end] : rows)
        text += fmt::format("{:<28} {:>10} {:>10} {:>10} {:>10}\n", name, grouped(warm.private_kib),
                            grouped(end.private_kib), grouped(warm.contexts_kib),
                            grouped(end.contexts_kib));
    return {.table = text, .plot = ""};
}

} // namespace

int main(int argument_count, char **arguments) {
    Options full;
    full.peers = {"textbook", "graphile", "pg-boss", "faultline", "faultline-turn"};
    full.jobs = 10'000;
    Options quick = full;
    quick.jobs = 1'000;
    Options smoke = quick;
    smoke.peers = {"textbook", "faultline"};
    smoke.jobs = 100;
    smoke.history_jobs = 1'000;
    return run_program(argument_count, arguments,
                       {.name = "memory",
                        .description = "Measures shared memory, and the memory of a session.",
                        .options = {"--peers", "--jobs", "--batch"},
                        .full = full,
                        .quick = quick,
                        .smoke = smoke,
                        .measure_all = measure_all});
}
