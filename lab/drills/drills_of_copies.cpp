// Drills with a second copy of the database: D09 promotes a standby, D15 restores a dump and
// recovers a base backup to a point in the middle of load.
#include "stage.hpp"

#include "../processes.hpp"

#include <fmt/format.h>

namespace faultline::lab {

namespace {

using client::Connection;
using client::Parameter;

std::string in_environment(const Stage &stage, const std::string &command) {
    return checked_command(stage.server->environment(drill_database_name) + command);
}

std::string violations_in(Connection &connection) {
    return std::string(connection
                           .execute("SELECT coalesce(string_agg(concat_ws(' ', invariant, subject,"
                                    " detail), '; '), '') FROM faultline.check_invariants()")
                           .text(0, 0));
}

void check_copy(Stage &stage, Connection &copy, const char *what) {
    const std::string violations = violations_in(copy);
    stage.figures.expect(violations.empty(), fmt::format("{}: {}", what, violations));
}

// Works on what is left in the copy, as the new main database would.
void drain_copy(Stage &stage, const std::string &conninfo, const char *what) {
    LoadOptions options = stage.load_options();
    options.conninfo = conninfo;
    options.producers = 0;
    Load load(options);
    Connection copy(conninfo);
    poll_until(fmt::format("the jobs of the {} to end", what), [&] {
        return copy.execute("SELECT FROM faultline.jobs WHERE queue = $1"
                            " AND state IN ('queued', 'running') LIMIT 1",
                            {Parameter(stage.queue)})
                   .row_count() == 0;
    });
    load.stop();
    for (const std::string &error : load.record().all().errors)
        stage.figures.failures.push_back(fmt::format("{}: {}", what, error));
    stage.figures.more[fmt::format("jobs_run_in_{}", what)] =
        static_cast<double>(load.record().completed());
    const std::int64_t twice =
        copy.execute(
                "SELECT count(*) - count(DISTINCT transaction_id) FROM faultline_drill.effects")
            .bigint(0, 0);
    stage.figures.expect(twice == 0, fmt::format("{}: {} effects twice", what, twice));
    check_copy(stage, copy, what);
}

void restore_dump(Stage &stage, Load &load) {
    load.await_completions(50);
    const std::int64_t before = load.record().completed();
    const Clock::time_point start = Clock::now();
    in_environment(stage, "pg_dump --format=custom --file=build/drills/drill.dump drill");
    load.await_completions(1); // it went on meanwhile
    stage.figures.faults += load.record().completed() > before ? 1 : 0;
    stage.server->create_database("restored");
    in_environment(stage, "pg_restore --exit-on-error --dbname=restored build/drills/drill.dump");
    const std::string conninfo = stage.server->conninfo("restored");
    Connection copy(conninfo);
    check_copy(stage, copy, "dump");
    bool is_refused = false;
    try {
        client::Api(copy).claim(stage.queue, "too-early", 1);
    } catch (const client::Error &error) {
        is_refused = error.code() == client::ErrorCode::not_adopted;
    }
    stage.figures.expect(is_refused, "a restored dump gave out jobs before adopt()");
    copy.execute("SELECT faultline.adopt()");
    drain_copy(stage, conninfo, "dump");
    stage.figures.recovery_seconds.push_back(seconds_since(start));
}

constexpr const char *copy_directory = "build/drills/copy";

// A base backup taken under load, and the log up to a name given in the middle of it.
void recover_to_the_middle(Stage &stage, Load &load) {
    in_environment(stage, fmt::format(R"(source scripts/lib.sh
        scripts/cluster remove {0}
        own_directory {0}
        cp "$FAULTLINE_CLUSTER"/{{cluster.conf,programs,database}} {0}
        unprivileged pg_basebackup --pgdata={0}/data --checkpoint=fast --no-sync \
            --dbname="host=$PGHOST user=$PGUSER")",
                                      copy_directory));
    load.await_completions(50);
    const Recorded before = load.record().all();
    Connection primary(stage.conninfo);
    primary.execute("SELECT pg_create_restore_point('middle')");
    load.await_completions(50);
    const std::string last(primary.execute("SELECT pg_walfile_name(pg_switch_wal())").text(0, 0));
    const Clock::time_point start = Clock::now();
    poll_until("the log to be archived", [&] {
        return primary
            .execute("SELECT coalesce(last_archived_wal >= $1, false)"
                     "  FROM pg_stat_archiver",
                     {Parameter(last)})
            .boolean(0, 0);
    });
    in_environment(stage, fmt::format(R"(source scripts/lib.sh
        printf '%s\n' "restore_command = 'cp $PWD/build/drills/archive/%f %p'" \
            "recovery_target_name = 'middle'" 'recovery_target_action = promote' \
            'archive_mode = off' | unprivileged tee -a {0}/data/postgresql.auto.conf >/dev/null
        unprivileged touch {0}/data/recovery.signal
        scripts/cluster restart {0})",
                                      copy_directory));
    const Server copy_server(copy_directory);
    const std::string conninfo = copy_server.conninfo(drill_database_name);
    DrillDatabase copy = DrillDatabase::of_copy(conninfo, stage.queue);
    poll_until("the recovery to end",
               [&] { return copy.count("SELECT pg_is_in_recovery()::int::bigint") == 0; });
    stage.figures.recovery_seconds.push_back(seconds_since(start));
    ++stage.figures.faults;
    drain_copy(stage, conninfo, "base_backup");
    // Whatever was acknowledged before that moment is there.
    Figures account;
    copy.take_account(before, account);
    stage.figures.more["acknowledged_before_the_middle"] =
        static_cast<double>(account.acknowledged);
    stage.figures.expect(account.acknowledged > 0 && account.lost == 0,
                         fmt::format("base backup: {} of {} acknowledged before are lost",
                                     account.lost, account.acknowledged));
    checked_command(fmt::format("scripts/cluster remove {}", copy_directory));
}

// The standby has everything that was acknowledged, or lacks what came after it was cut off.
void promote(Stage &stage, bool is_synchronous) {
    DrillDatabase database(stage.conninfo, stage.queue);
    in_environment(stage, "lab/standby start");
    if (is_synchronous) {
        database.connection().execute("ALTER SYSTEM SET synchronous_standby_names = '*'");
        database.connection().execute("SELECT pg_reload_conf()");
        poll_until("the standby to be synchronous", [&] {
            return database.count("SELECT count(*) FROM pg_stat_replication"
                                  " WHERE sync_state = 'sync'") == 1;
        });
    }
    LoadOptions options = stage.load_options();
    options.may_forget = !is_synchronous;
    Load load(options);
    load.await_completions(stage.times(500, 100));
    if (!is_synchronous) {
        in_environment(stage, "lab/standby cut");
        load.await_completions(stage.times(100, 30));
    }
    const Clock::time_point struck_at = Clock::now();
    checked_command(fmt::format("scripts/cluster stop {} --immediate", drill_server_directory));
    in_environment(stage, "lab/standby promote");
    stage.conninfo = Server::conninfo_beside("standby", drill_database_name);
    load.connect_to(stage.conninfo);
    stage.figures.recovery_seconds.push_back(load.seconds_until_working(struck_at));
    ++stage.figures.faults;
    load.await_completions(50);
    stage.figures.may_lose = !is_synchronous;
    stage.finish(load, database);
    checked_command(
        "scripts/cluster check build/lab/standby; scripts/cluster remove build/lab/standby");
}

} // namespace

void promote_late_standby(Stage &stage) {
    promote(stage, false);
    // Otherwise nothing was behind, and the drill shows nothing.
    stage.figures.expect(stage.figures.lost > 0, "the standby that was cut off lacked nothing");
    stage.figures.expect(stage.figures.stale_rejected > 0,
                         "no worker came with a lease that the standby does not know");
}

void promote_synchronous_standby(Stage &stage) { promote(stage, true); }

void restore_copies(Stage &stage) {
    DrillDatabase database(stage.conninfo, stage.queue);
    Load load(stage.load_options());
    restore_dump(stage, load);
    recover_to_the_middle(stage, load);
    stage.finish(load, database);
}

} // namespace faultline::lab
