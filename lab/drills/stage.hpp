// Owns what a drill is given to play on, and the list of drills.
#pragma once

#include "drill_database.hpp"
#include "figures.hpp"
#include "load.hpp"
#include "worker_process.hpp"

#include "../runner/server.hpp"

#include <memory>
#include <string>
#include <vector>

namespace faultline::lab {

inline constexpr const char *drill_server_directory = "build/drills/server";
inline constexpr const char *drill_database_name = "drill";

// Why a drill cannot be played on this machine.
class Unplayable : public std::runtime_error {
    using std::runtime_error::runtime_error;
};

struct Stage {
    std::string conninfo;             // of the database
    std::unique_ptr<Server> server{}; // nothing on somebody's own database
    std::string queue{};              // a name that was never used
    std::string worker_program{};
    bool is_quick = false;
    bool may_crash = false; // the log of the server tells of crashes that no kill explains
    std::string grace = default_grace; // of the invariants
    Figures figures{};
    int workers_started = 0;

    // What is done often enough, and quickly.
    [[nodiscard]] int times(int full, int quick) const { return is_quick ? quick : full; }
    // How long something may take. The quick share runs in tests, beside whatever else a machine
    // has to do: there it only has to come.
    [[nodiscard]] double bound(double seconds) const {
        constexpr double slack = 5;
        return is_quick ? slack * seconds : seconds;
    }
    [[nodiscard]] LoadOptions load_options() const;
    // A private cluster with the extension in its database; options of scripts/cluster.
    void start_server(const std::vector<std::string> &options);
    // A worker process that stands still at a point; see drain_worker.cpp. command: one that runs
    // it.
    WorkerProcess held_worker(const std::string &point,
                              const std::vector<std::string> &command = {});
    // The end of a drill: every job to its end, then the account. The server has to be there.
    void finish(Load &load, DrillDatabase &database);
    // Of the private server: no crash but those that were made.
    void check_log();
};

// Until a held worker stands at its point; returns its job.
std::int64_t await_held(WorkerProcess &process);

struct Drill {
    const char *name;
    const char *title;
    const char *harm; // what it does to a server; nothing if it may run on somebody's own database
    std::vector<std::string> server_options; // of scripts/cluster
    void (*play)(Stage &);
};

void kill_workers(Stage &stage);
void kill_sessions(Stage &stage);
void kill_servers(Stage &stage);
void cut_power(Stage &stage);
void freeze_workers(Stage &stage);
void disturb_network(Stage &stage);
void pool_connections(Stage &stage);
void fill_disks(Stage &stage);
void promote_late_standby(Stage &stage);
void promote_synchronous_standby(Stage &stage);
void attack_background_worker(Stage &stage);
void run_out_of_memory(Stage &stage);
void move_clocks(Stage &stage);
void hold_rows(Stage &stage);
void drop_extension(Stage &stage);
void restore_copies(Stage &stage);
void storm_of_retries(Stage &stage);

} // namespace faultline::lab
