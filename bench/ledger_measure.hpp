// Owns one measured run of the ledger benchmark: jobs are enqueued and claimed ahead, and only the
// calls that end them are timed.
#pragma once

#include "faultline/connection.hpp"
#include "ledger_ways.hpp"
#include "program.hpp"

#include <string>

namespace faultline::bench {

struct LedgerMeasurement {
    double jobs_per_second;
    double wal_bytes_per_job;
    double deadlocks_per_1000_calls;
};

void create_ledger_template(client::Connection &admin, const Options &options);

// One run in a fresh copy of the template. A call that ends in a deadlock (40P01) is counted and
// repeated. Throws for any other error, or when a job, an entry or a balance is not as it must be.
LedgerMeasurement measure_ledger(client::Connection &admin, const std::string &conninfo,
                                 const Way &way, int batch, int clients, double run_seconds);

} // namespace faultline::bench
