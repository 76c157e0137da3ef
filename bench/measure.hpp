// Owns one measured run: a fresh database, clients that cycle through the lifecycle, and figures.
#pragma once

#include "faultline/connection.hpp"
#include "peer.hpp"
#include "program.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace faultline::bench {

struct Load {
    int batch;
    int clients;
};

struct Measurement {
    double jobs_per_second;
    double wal_bytes_per_job;
    double hot_updates_percent;
    double dead_rows_per_job;
};

// Installs the peers and gives each the same past, so that no run starts on tables that the
// planner has never seen statistics of. Says in `absent` which could not be installed.
std::vector<Peer> create_template(client::Connection &admin, const Options &options,
                                  std::string &absent);

// One run in a fresh copy of the template. Throws when any client failed or a job is unaccounted
// for.
Measurement measure(client::Connection &admin, const std::string &conninfo, const Peer &peer,
                    const Load &load, double run_seconds);

} // namespace faultline::bench
