// Implements the benchmark's databases.
#include "database.hpp"

#include <chrono>
#include <fmt/format.h>
#include <stdexcept>

namespace faultline::bench {

namespace {

using client::Connection;
using Clock = std::chrono::steady_clock;

constexpr std::chrono::seconds backend_exit_seconds_max{30};

void drop_database(Connection &admin, const char *name) {
    admin.execute(fmt::format("DROP DATABASE IF EXISTS {} WITH (FORCE)", name));
}

} // namespace

std::string create_template_database(Connection &admin, const std::string &conninfo) {
    drop_databases(admin);
    admin.execute(fmt::format("CREATE DATABASE {}", template_database));
    return conninfo + " dbname=" + template_database;
}

std::string copy_template_database(Connection &admin, const std::string &conninfo,
                                   const char *name) {
    drop_database(admin, name);
    admin.execute(fmt::format("CREATE DATABASE {} TEMPLATE {}", name, template_database));
    return conninfo + " dbname=" + name;
}

void drop_databases(Connection &admin) {
    drop_database(admin, run_database);
    drop_database(admin, second_database);
    drop_database(admin, template_database);
}

double wal_position_bytes(Connection &connection) {
    return connection.execute("SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn").number(0, 0);
}

void wait_for_backends_to_end(Connection &admin) {
    const Clock::time_point deadline = Clock::now() + backend_exit_seconds_max;
    const std::string query =
        fmt::format("SELECT count(*) FROM pg_stat_activity WHERE datname = '{}'"
                    " AND backend_type = 'client backend'",
                    run_database);
    while (admin.execute(query).bigint(0, 0) > 0)
        if (Clock::now() > deadline)
            throw std::runtime_error("the clients' backends did not end");
}

double dead_row_count(Connection &connection) {
    return connection.execute("SELECT sum(n_dead_tup) FROM pg_stat_user_tables").number(0, 0);
}

} // namespace faultline::bench
