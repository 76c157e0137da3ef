// Owns the benchmark's databases: a template that is prepared once, a fresh copy for each run, and
// what the server counted in it.
#pragma once

#include "faultline/connection.hpp"

#include <string>

namespace faultline::bench {

// Names of the databases that the benchmarks create and drop; they touch no other.
inline constexpr const char *template_database = "faultline_bench_template";
inline constexpr const char *run_database = "faultline_bench_run";
inline constexpr const char *second_database = "faultline_bench_second"; // beside the other

// Both return the connection string of the database that they made.
std::string create_template_database(client::Connection &admin, const std::string &conninfo);
std::string copy_template_database(client::Connection &admin, const std::string &conninfo,
                                   const char *name = run_database);
void drop_databases(client::Connection &admin);

double wal_position_bytes(client::Connection &connection);
// A backend hands in its table statistics when it ends, before it leaves pg_stat_activity.
void wait_for_backends_to_end(client::Connection &admin);
// What vacuum still has to remove of a run; complete once the backends have ended. The template was
// vacuumed, and a copy starts its counters anew.
double dead_row_count(client::Connection &connection);

} // namespace faultline::bench
