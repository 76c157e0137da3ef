// Drills that crash the server, under load: D02 kills one of its sessions, D03 the postmaster, D04
// cuts its power, D11 lets memory run out.
#include "drill_job.hpp"
#include "stage.hpp"

#include "../processes.hpp"

#include <csignal>
#include <filesystem>
#include <fmt/format.h>
#include <fstream>

namespace faultline::lab {

namespace {

// A call that stops at a debug point, where its process is killed, and what is found afterwards.
struct CrashPoint {
    const char *name;
    const char *before; // what the job has behind it
    const char *call;
    const char *point;
    const char *found; // state, attempt, transaction, entries
};

constexpr const char *claim_call = "SELECT FROM faultline.claim('{queue}', 'victim')";
constexpr const char *apply_call = "SELECT FROM faultline.apply_ledger({lease})";
constexpr const char *complete_call = "SELECT faultline.complete({lease})";
constexpr const char *apply_and_complete_call = "SELECT FROM faultline.apply_and_complete({lease})";

const std::vector<CrashPoint> crash_points = {
    {"inside claim", "queued", claim_call, "claim_after_update", "queued 0 INIT 0"},
    {"after the commit of claim", "queued", claim_call, "transaction_committed",
     "running 1 INIT 0"},
    {"inside apply", "running", apply_call, "apply_after_entry", "running 1 INIT 0"},
    {"after the commit of apply", "running", apply_call, "transaction_committed",
     "running 1 APPLIED 1"},
    {"inside complete", "applied", complete_call, "complete_after_delete", "running 1 APPLIED 1"},
    {"inside apply_and_complete", "running", apply_and_complete_call, "apply_after_complete",
     "running 1 INIT 0"},
    {"completed, not heard", "applied", complete_call, "transaction_committed",
     "succeeded 1 APPLIED 1"},
};

constexpr const char *victim_lease = "1 hour"; // it outlasts the drill, so that nobody interferes

std::string replaced(std::string text, const std::string &mark, const std::string &value) {
    const std::size_t place = text.find(mark);
    return place == std::string::npos ? text : text.replace(place, mark.size(), value);
}

// Queues of their own for the victims, so that no worker of the load takes their jobs.
class CrashDrill {
  public:
    explicit CrashDrill(Stage &stage)
        : stage_(stage), database_(stage.conninfo, stage.queue), load_(stage.load_options()) {}

    // strike(pid): kills, and returns when the server is back.
    template <typename Strike> void play(int rounds, Strike strike) {
        for (int round = 0; round < rounds; ++round)
            for (const CrashPoint &point : crash_points)
                play_point(point, fmt::format("{}-victim-{}", stage_.queue, ++victims_), strike);
        stage_.finish(load_, database_);
    }

  private:
    template <typename Strike>
    void play_point(const CrashPoint &point, const std::string &queue, Strike strike) {
        load_.await_completions(stage_.times(50, 10));
        prepare(point, queue);
        Session victim(stage_.conninfo, "victim");
        victim.run(fmt::format("SET faultline.debug_points = '{}=stop'", point.point));
        victim.send(replaced(replaced(point.call, "{queue}", queue), "{lease}", lease_));
        poll_until(fmt::format("the victim to stop {}", point.name),
                   [&] { return process_state(victim.server_process_id()) == 'T'; });
        const Clock::time_point struck_at = Clock::now();
        strike(victim.server_process_id());
        stage_.figures.recovery_seconds.push_back(load_.seconds_until_working(struck_at));
        const std::optional<Answer> answer = victim.answer_within(patience);
        stage_.figures.expect(answer && answer->connection_lost,
                              fmt::format("{}: the victim got an answer", point.name));
        stage_.figures.faults += answer && answer->connection_lost ? 1 : 0;
        database_.reconnect(stage_.conninfo);
        const std::string found = situation(queue);
        stage_.figures.expect(found == point.found, fmt::format("{}: {}", point.name, found));
        end_job(point, queue);
    }

    void prepare(const CrashPoint &point, const std::string &queue) {
        Session session(stage_.conninfo, "prepare");
        run(session, fmt::format("SELECT faultline.create_queue('{0}', lease => '{1}');"
                                 "SELECT faultline.enqueue('{0}', ledger => '{2}')",
                                 queue, victim_lease, effect_declaration(queue)));
        lease_.clear();
        if (point.before == std::string("queued"))
            return;
        lease_ = run(session, fmt::format("SELECT concat(job_id, ', ', lease_token)"
                                          "  FROM faultline.claim('{}', 'victim')",
                                          queue));
        if (point.before == std::string("applied"))
            run(session, fmt::format("SELECT FROM faultline.apply_ledger({})", lease_));
    }

    // The client asks again, under its lease; the answer to claim() cannot be asked for.
    void end_job(const CrashPoint &point, const std::string &queue) {
        if (point.call == claim_call)
            return;
        Session session(stage_.conninfo, "again");
        run(session, replaced(point.call, "{lease}", lease_));
        run(session, fmt::format("SELECT faultline.complete({})", lease_));
        const std::string end = situation(queue);
        stage_.figures.expect(end == "succeeded 1 APPLIED 1",
                              fmt::format("{}, asked again: {}", point.name, end));
        stage_.figures.recovered += end == "succeeded 1 APPLIED 1" ? 1 : 0;
    }

    std::string situation(const std::string &queue) {
        return database_.situation("j.queue = $1", client::Parameter(queue));
    }

    static std::string run(Session &session, const std::string &sql) {
        const Answer answer = session.run(sql);
        if (answer.connection_lost || !answer.sqlstate.empty())
            throw std::runtime_error(sql + ": " + answer.message);
        return answer.rows.empty() || answer.rows[0].empty() ? "" : answer.rows[0][0];
    }

    Stage &stage_;
    DrillDatabase database_;
    Load load_;
    int victims_ = 0;
    std::string lease_;
};

// Every index of the extension holds what its table holds.
void check_indexes(DrillDatabase &database) {
    database.connection().execute(
        "SELECT bt_index_check(x.indexrelid, true) FROM pg_index x"
        "  JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_am a ON a.oid = i.relam"
        " WHERE i.relnamespace = 'faultline'::regnamespace AND a.amname = 'btree'"
        "   AND i.relkind = 'i'");
}

// A folder of the memory controller, in which one process may use little.
class MemoryLimit {
  public:
    explicit MemoryLimit(std::int64_t bytes_max)
        : folder_(fmt::format("/sys/fs/cgroup/memory/faultline_drill_{}", getpid())) {
        std::error_code error;
        std::filesystem::create_directory(folder_, error);
        if (error || !write("memory.limit_in_bytes", std::to_string(bytes_max)))
            throw Unplayable("no memory controller of control groups (version 1) that we may use");
    }
    ~MemoryLimit() {
        std::error_code error;
        std::filesystem::remove(folder_, error);
    }
    MemoryLimit(const MemoryLimit &) = delete;
    MemoryLimit &operator=(const MemoryLimit &) = delete;

    bool take_in(int process) { return write("cgroup.procs", std::to_string(process)); }

  private:
    bool write(const char *name, const std::string &text) {
        std::ofstream file(folder_ / name);
        file << text << std::flush;
        return static_cast<bool>(file);
    }

    const std::filesystem::path folder_;
};

} // namespace

void kill_sessions(Stage &stage) {
    CrashDrill(stage).play(stage.times(3, 1), [&](int victim) { stage.server->kill(victim); });
}

void kill_servers(Stage &stage) {
    CrashDrill(stage).play(stage.times(3, 1), [&](int /*victim*/) {
        stage.server->kill_postmaster();
        stage.server->restart(true);
    });
}

void cut_power(Stage &stage) {
    DrillDatabase database(stage.conninfo, stage.queue);
    database.connection().execute("CREATE EXTENSION amcheck");
    Load load(stage.load_options());
    const int cuts = stage.times(20, 3);
    for (int cut = 0; cut < cuts; ++cut) {
        load.await_completions(100);
        const int server_before = stage.server->postmaster();
        const Clock::time_point struck_at = Clock::now();
        stage.server->restart(true);
        stage.figures.recovery_seconds.push_back(load.seconds_until_working(struck_at));
        stage.figures.faults += stage.server->postmaster() != server_before ? 1 : 0;
        database.reconnect(stage.conninfo);
        check_indexes(database);
    }
    stage.figures.expect(stage.figures.faults == cuts, "the server survived a power cut");
    stage.finish(load, database);
}

// The kernel ends a session in the middle of its completion, as it does when the machine is full.
void run_out_of_memory(Stage &stage) {
    constexpr std::int64_t bytes_max = 64 << 20;
    MemoryLimit limit(bytes_max);
    DrillDatabase database(stage.conninfo, stage.queue);
    Load load(stage.load_options());
    const int times = stage.times(5, 1);
    for (int time = 0; time < times; ++time) {
        load.await_completions(50);
        Session victim(stage.conninfo, "victim");
        if (!limit.take_in(victim.server_process_id()))
            throw Unplayable("a process cannot be moved to a control group");
        victim.run("SET work_mem = '2GB'");
        const Clock::time_point struck_at = Clock::now();
        victim.send("SELECT count(*) FROM (SELECT n, repeat(n::text, 50) AS t"
                    "  FROM generate_series(1, 3000000) AS n ORDER BY t) AS sorted");
        stage.server->await_crash();
        const std::optional<Answer> answer = victim.answer_within(patience);
        const bool is_killed = answer && answer->connection_lost;
        stage.figures.expect(is_killed, "the session survived");
        stage.figures.faults += is_killed ? 1 : 0;
        stage.figures.recovery_seconds.push_back(load.seconds_until_working(struck_at));
    }
    stage.finish(load, database);
}

} // namespace faultline::lab
