// Drills inside the server: D13 holds rows and locks, D14 drops the extension and its database
// under load, D08 fills the disks under tables and log.
#include "stage.hpp"

#include "../processes.hpp"

#include <atomic>
#include <fmt/format.h>
#include <fstream>
#include <map>
#include <mutex>

namespace faultline::lab {

namespace {

using client::Connection;
using client::Parameter;

constexpr double shown_seconds_max = 2;
constexpr double drop_seconds_max = 2;

void run(Session &session, const std::string &sql) {
    const Answer answer = session.run(sql);
    if (answer.connection_lost || !answer.sqlstate.empty())
        throw std::runtime_error(sql + ": " + answer.message);
}

// Sessions that hold rows of the queue which the load works on.
class HeldRows {
  public:
    explicit HeldRows(Stage &stage)
        : stage_(stage), database_(stage.conninfo, stage.queue), load_(stage.load_options()) {}

    void play() {
        for (int round = 0; round < stage_.times(5, 1); ++round) {
            hold_idle();
            hold_prepared();
        }
        stage_.finish(load_, database_);
    }

  private:
    // A client that went to lunch, and others that wait for it in a long line.
    void hold_idle() {
        load_.await_completions(20);
        Session holder(stage_.conninfo, "holder");
        run(holder, "BEGIN; LOCK faultline_drill.charges; " + lock_rows_);
        const Clock::time_point held_at = Clock::now();
        std::vector<std::unique_ptr<Session>> line;
        for (int number = 0; number < stage_.times(50, 20); ++number) {
            line.push_back(std::make_unique<Session>(stage_.conninfo, "waiter"));
            line.back()->send("SELECT FROM faultline_drill.charges FOR UPDATE");
        }
        poll_until("all to wait", [&] {
            return database_.count(
                       "SELECT count(*) FROM pg_stat_activity"
                       " WHERE application_name = 'waiter' AND wait_event_type = 'Lock'") ==
                   static_cast<std::int64_t>(line.size());
        });
        stage_.figures.faults += 1 + static_cast<std::int64_t>(line.size());
        await_shown(fmt::format("session {}", holder.server_process_id()), held_at);
        run(holder, "ROLLBACK");
        for (const std::unique_ptr<Session> &waiter : line)
            stage_.figures.expect(waiter->answer_within(patience).has_value(),
                                  "a session still waits");
    }

    // A transaction that was prepared, and forgotten by its coordinator.
    void hold_prepared() {
        load_.await_completions(20);
        {
            Session holder(stage_.conninfo, "holder");
            run(holder, "BEGIN; " + lock_rows_);
            run(holder, "PREPARE TRANSACTION 'drill'");
        }
        const Clock::time_point held_at = Clock::now();
        stage_.figures.faults +=
            database_.count("SELECT count(*) FROM pg_prepared_xacts WHERE gid = 'drill'");
        await_shown("prepared transaction drill", held_at);
        database_.connection().execute("ROLLBACK PREPARED 'drill'");
    }

    // The load passes over what is held, and an operator sees who holds it.
    void await_shown(const std::string &subject, Clock::time_point held_at) {
        poll_until(subject + " to be shown", [&] {
            return database_.count("SELECT count(*) FROM faultline.check_invariants(grace => '0')"
                                   " WHERE invariant = 'INV_107' AND subject = $1",
                                   {Parameter(subject)}) > 0;
        });
        const double seconds = seconds_since(held_at);
        stage_.figures.expect(seconds < stage_.bound(shown_seconds_max),
                              fmt::format("{} was shown after {:.2f} s", subject, seconds));
        stage_.figures.recovery_seconds.push_back(load_.seconds_until_working(held_at));
    }

    Stage &stage_;
    const std::string lock_rows_ = fmt::format("SELECT FROM faultline.live_jobs j"
                                               "  JOIN faultline.queues q USING (queue_id)"
                                               " WHERE q.name = '{}' AND j.state = 'q'"
                                               " LIMIT 20 FOR UPDATE OF j",
                                               stage_.queue);
    DrillDatabase database_;
    Load load_;
};

// How PostgreSQL says that what a session has looked up was dropped while it waited for the lock.
bool tells_of_drop(const std::string &message) {
    return message.starts_with("cache lookup failed for");
}

constexpr const char *other_database = "drill_other";

// Clients of a database in which the ground is taken away; every error is theirs to bear, but for
// one that nobody can explain.
class Sufferers {
  public:
    explicit Sufferers(const std::string &conninfo) {
        for (int number = 0; number < 4; ++number)
            threads_.emplace_back([this, conninfo](const std::stop_token &stop) {
                while (!stop.stop_requested())
                    work(stop, conninfo);
            });
    }

    [[nodiscard]] int calls() const { return calls_; }
    void stop() { threads_.clear(); }
    // By SQLSTATE; and the messages of internal errors. After stop().
    [[nodiscard]] const std::map<std::string, int> &errors() const { return errors_; }
    [[nodiscard]] const std::vector<std::string> &unexplained() const { return unexplained_; }

  private:
    void work(const std::stop_token &stop, const std::string &conninfo) {
        try {
            Connection connection(conninfo, "sufferer");
            client::Api api(connection);
            while (!stop.stop_requested()) {
                api.enqueue("other", "{}");
                for (const client::Job &job : api.claim("other", "sufferer", 4))
                    api.complete({job.job_id, job.lease_token});
                ++calls_;
            }
        } catch (const client::Error &error) {
            const std::scoped_lock guard(mutex_);
            ++errors_[error.sqlstate().empty() ? "lost" : error.sqlstate()];
            if (error.sqlstate().starts_with("XX") && !tells_of_drop(error.message()))
                unexplained_.push_back(error.message());
        }
        poll(nullptr, 0, 10);
    }

    std::mutex mutex_;
    std::map<std::string, int> errors_;
    std::vector<std::string> unexplained_;
    std::atomic<int> calls_ = 0;
    std::vector<std::jthread> threads_;
};

void await_calls(const Sufferers &sufferers) {
    const int before = sufferers.calls();
    poll_until("the others to work", [&] { return sufferers.calls() > before + 20; });
}

void create_extension(Connection &connection) {
    connection.execute("CREATE EXTENSION faultline");
    connection.execute("SELECT faultline.create_queue('other')");
}

void drop_under_load(Stage &stage, Connection &connection, const std::string &statement) {
    const Clock::time_point start = Clock::now();
    execute_at_last(connection, statement);
    const double seconds = seconds_since(start);
    ++stage.figures.faults;
    stage.figures.recovery_seconds.push_back(seconds);
    stage.figures.expect(seconds < stage.bound(drop_seconds_max),
                         fmt::format("{} took {:.2f} s", statement, seconds));
}

// A file system of its own, small, in a file.
class SmallDisk {
  public:
    SmallDisk(const std::string &name, int megabytes)
        : directory_("build/drills/" + name), image_(directory_ + ".image") {
        const CommandResult made = run_command(fmt::format(
            R"(source scripts/lib.sh; umount {0} 2>/dev/null || true
            rm -f {1}; truncate -s {2}M {1}; mkfs.ext4 -q {1}; mkdir -p {0}
            mount -o loop {1} {0}; rm -rf {0}/lost+found; own_directory {0})",
            directory_, image_, megabytes));
        if (made.status != 0)
            throw Unplayable("no small disk can be mounted: " + made.output);
    }
    ~SmallDisk() {
        run_command(fmt::format("umount --lazy {0}; rmdir {0}; rm -f {1}", directory_, image_));
    }
    SmallDisk(const SmallDisk &) = delete;
    SmallDisk &operator=(const SmallDisk &) = delete;

    [[nodiscard]] std::string path() const {
        std::string path = checked_command("realpath " + directory_);
        path.pop_back();
        return path;
    }
    // With the server's rights, so not into what is reserved for root.
    void fill() const {
        run_command(fmt::format("source scripts/lib.sh; unprivileged dd if=/dev/zero of={}/filler"
                                " bs=4k status=none",
                                directory_));
    }
    void free() const { checked_command("rm -f " + directory_ + "/filler"); }

  private:
    const std::string directory_;
    const std::string image_;
};

std::int64_t lines_of_log(const char *pattern) {
    return std::stoll(run_command(fmt::format("grep -cE '{}' $(scripts/cluster log {}) || true",
                                              pattern, drill_server_directory))
                          .output);
}

void fill_disk_of_tables(Stage &stage, DrillDatabase &database, Load &load,
                         const SmallDisk &tables) {
    load.await_completions(100);
    const std::int64_t before = lines_of_log("No space left on device");
    tables.fill();
    poll_until("tables not to grow", [&] {
        poll(nullptr, 0, 50);
        return lines_of_log("No space left on device") > before;
    });
    ++stage.figures.faults;
    database.connection().execute("SELECT 1"); // the server is there
    const Clock::time_point freed_at = Clock::now();
    tables.free();
    stage.figures.recovery_seconds.push_back(load.seconds_until_working(freed_at));
}

// The server cannot go on without its log: it ends, and comes back when there is room.
void fill_disk_of_log(Stage &stage, Load &load, const SmallDisk &log) {
    load.await_completions(50);
    const std::int64_t before = lines_of_log("PANIC: .*No space left on device");
    log.fill();
    poll_until("the log not to grow", [&] {
        run_command(stage.server->environment(drill_database_name) +
                    "psql -Xqc 'SELECT pg_switch_wal()'");
        return lines_of_log("PANIC: .*No space left on device") > before;
    });
    ++stage.figures.faults;
    const Clock::time_point freed_at = Clock::now();
    log.free();
    stage.server->restart(true);
    stage.figures.recovery_seconds.push_back(load.seconds_until_working(freed_at));
}

} // namespace

void hold_rows(Stage &stage) { HeldRows(stage).play(); }

void drop_extension(Stage &stage) {
    DrillDatabase database(stage.conninfo, stage.queue);
    Load load(stage.load_options());
    const std::string conninfo = stage.server->conninfo(other_database);
    stage.server->create_database(other_database);
    Sufferers sufferers(conninfo);
    for (int round = 0; round < stage.times(10, 2); ++round) {
        {
            Connection other(conninfo, "drop");
            create_extension(other);
            await_calls(sufferers);
            other.execute("ALTER EXTENSION faultline UPDATE");
            await_calls(sufferers);
            drop_under_load(stage, other, "DROP EXTENSION faultline");
            create_extension(other);
            await_calls(sufferers);
        }
        Connection postgres(stage.server->conninfo("postgres"), "drop");
        drop_under_load(stage, postgres,
                        fmt::format("DROP DATABASE {} WITH (FORCE)", other_database));
        postgres.execute(fmt::format("CREATE DATABASE {}", other_database));
        load.await_completions(20);
    }
    sufferers.stop();
    for (const auto &[sqlstate, times] : sufferers.errors())
        stage.figures.more["errors_of_others_" + sqlstate] = times;
    for (const std::string &message : sufferers.unexplained())
        stage.figures.failures.push_back("an internal error: " + message);
    stage.finish(load, database);
}

void fill_disks(Stage &stage) {
    const SmallDisk tables("disk-of-tables", 64);
    const SmallDisk log("disk-of-log", 128);
    {
        Connection postgres(stage.server->conninfo("postgres"), "drill");
        checked_command(
            fmt::format("source scripts/lib.sh; own_directory {}/space", tables.path()));
        postgres.execute(fmt::format("CREATE TABLESPACE small LOCATION '{}/space'", tables.path()));
        postgres.execute("ALTER DATABASE drill SET TABLESPACE small");
    }
    checked_command(fmt::format("scripts/cluster stop {0}; mv {0}/data/pg_wal {1}/pg_wal;"
                                "ln -s {1}/pg_wal {0}/data/pg_wal",
                                drill_server_directory, log.path()));
    stage.server->restart(false);
    {
        DrillDatabase database(stage.conninfo, stage.queue);
        Load load(stage.load_options());
        for (int round = 0; round < stage.times(3, 1); ++round) {
            fill_disk_of_tables(stage, database, load, tables);
            fill_disk_of_log(stage, load, log);
            database.reconnect(stage.conninfo);
        }
        stage.may_crash = true;
        stage.finish(load, database);
    }
    checked_command(fmt::format("scripts/cluster stop {} --immediate", drill_server_directory));
}

} // namespace faultline::lab
