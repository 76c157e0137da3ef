// Owns the SQL of the peers. The textbook queue is written as well as its design allows: one
// identity key, one partial index in claim order, one statement per verb, no trigger.
#include "peer.hpp"

#include <fmt/format.h>

namespace faultline::bench {

namespace {

constexpr const char *textbook_table = R"(
        CREATE TABLE textbook.jobs (
            id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            state text NOT NULL DEFAULT 'ready',
            priority int NOT NULL DEFAULT 0,
            run_at timestamptz NOT NULL DEFAULT now(),
            attempt int NOT NULL DEFAULT 0,
            worker text,
            lease_expires_at timestamptz,
            finished_at timestamptz,
            payload jsonb NOT NULL
        ))";

constexpr const char *textbook_index = R"(
        CREATE INDEX jobs_ready ON textbook.jobs (priority, run_at, id) WHERE state = 'ready')";

Peer textbook_without_history() {
    Peer peer = textbook();
    peer.name = "textbook-delete";
    peer.note = "the textbook queue, with finished jobs deleted at once";
    peer.keeps_finished = false;
    peer.complete_one = "DELETE FROM textbook.jobs WHERE id = $1 AND state = 'running'";
    peer.complete_many = "DELETE FROM textbook.jobs WHERE id = ANY ($1) AND state = 'running'";
    return peer;
}

// NULL when the condition holds.
std::string needs(const std::string &condition, const std::string &otherwise) {
    return fmt::format("SELECT CASE WHEN {} THEN NULL ELSE '{}' END", condition, otherwise);
}

Peer faultline_without_history() {
    Peer peer = faultline();
    peer.name = "faultline-delete";
    peer.note = "Faultline, keep_finished => 0: finished jobs are not kept";
    peer.keeps_finished = false;
    peer.after_copy.push_back("SELECT faultline.alter_queue('bench', keep_finished => '0')");
    return peer;
}

Peer faultline_turn() {
    Peer peer = faultline();
    peer.name = "faultline-turn";
    peer.note = "Faultline, turn(): the last batch is completed and the next one claimed in a call";
    peer.missing =
        needs("to_regproc('faultline.turn') IS NOT NULL", "no function faultline.turn()");
    peer.turn = R"(
        SELECT job_id, lease_token, verdict, payload, attempt, lease_expires_at
          FROM faultline.turn('bench', $1, $3, $4, max_jobs => $2))";
    return peer;
}

Peer faultline_plain() {
    Peer peer = faultline();
    peer.name = "faultline-plain";
    peer.note = "Faultline, faultline.fast_path = off: claims search the table";
    peer.missing = needs("current_setting('faultline.fast_path', true) IS NOT NULL",
                         "no setting faultline.fast_path");
    peer.session = "SET faultline.fast_path = off";
    return peer;
}

// Batches are what became visible between two ticks. No job has a state of its own: a batch is
// finished as a whole, by its number, which takes the place of the token here.
Peer pgq() {
    Peer peer;
    peer.name = "pgq";
    peer.note =
        "PgQ (postgresql-*-pgq3): no state per job, a batch is acknowledged as a whole; one "
        "reader, which also ticks every 10 ms; rows stay until their table is rotated out";
    peer.schema = "pgq";
    peer.missing = needs("EXISTS (SELECT FROM pg_available_extensions WHERE name = 'pgq')",
                         "the extension pgq is not there; bench/peers/install pgq");
    peer.setup = {"CREATE EXTENSION pgq", "SELECT pgq.create_queue('bench')",
                  "SELECT pgq.set_queue_config('bench', 'ticker_max_lag', '1 millisecond')",
                  "SELECT pgq.register_consumer('bench', 'reader')"};
    peer.enqueue_one = "SELECT pgq.insert_event('bench', 'job', $1::text)";
    peer.enqueue_many = "SELECT pgq.insert_event('bench', 'job', p::text) FROM unnest($1) p";
    peer.claim = R"(
        SELECT ev_id, batch, ev_data
          FROM pgq.next_batch('bench', 'reader') batch
               LEFT JOIN LATERAL pgq.get_batch_events(batch) ON true
         WHERE batch IS NOT NULL)";
    peer.complete_one = "SELECT pgq.finish_batch($2)";
    peer.complete_many = "SELECT pgq.finish_batch($2[1])";
    peer.confirmation = Confirmation::whole_batch;
    peer.tick = "SELECT pgq.ticker('bench')";
    peer.count_unfinished = R"(
        SELECT count(*) FROM pgq.event_template e, pgq.subscription s
          JOIN pgq.tick t ON t.tick_queue = s.sub_queue AND t.tick_id = s.sub_last_tick
         WHERE NOT txid_visible_in_snapshot(e.ev_txid, t.tick_snapshot))";
    peer.hot_table = "pgq.subscription";
    return peer;
}

// Of claim and completion, its client's own statements are recorded when it is installed.
Peer graphile_worker() {
    Peer peer;
    peer.name = "graphile";
    peer.note = "graphile-worker (npm): add_job(), and the statements of its own client, prepared; "
                "finished jobs are deleted";
    peer.schema = "graphile_worker";
    peer.package = "graphile-worker";
    peer.keeps_finished = false;
    peer.enqueue_one = "SELECT id FROM graphile_worker.add_job('bench', $1::json)";
    peer.enqueue_many = R"(
        SELECT id FROM graphile_worker.add_jobs(ARRAY(
            SELECT ('bench', p::json, NULL, NULL, NULL, NULL, NULL, NULL)::graphile_worker.job_spec
              FROM unnest($1) p)))";
    peer.enqueue_scheduled = R"(
        SELECT count(*) FROM graphile_worker.add_jobs(ARRAY(
            SELECT ('bench', '{}', NULL, now() + interval '1 hour', NULL, NULL, -1,
                    NULL)::graphile_worker.job_spec
              FROM generate_series(1, $1))))";
    peer.count_unfinished = "SELECT count(*) FROM graphile_worker._private_jobs";
    peer.hot_table = "graphile_worker._private_jobs";
    return peer;
}

Peer pg_boss() {
    Peer peer;
    peer.name = "pg-boss";
    peer.note = "pg-boss (npm): the statements of its own client, prepared; its default queue";
    peer.schema = "pgboss";
    peer.package = "pg-boss";
    peer.enqueues_documents = true;
    peer.id_type = "uuid";
    peer.confirmation = Confirmation::count;
    peer.enqueue_scheduled = R"(
        INSERT INTO pgboss.job (name, data, priority, start_after, policy)
        SELECT 'bench', '{}', 1, now() + interval '1 hour', q.policy
          FROM pgboss.queue q, generate_series(1, $1) WHERE q.name = 'bench')";
    peer.count_unfinished = "SELECT count(*) FROM pgboss.job WHERE state < 'completed'";
    peer.hot_table = "pgboss.job_common";
    return peer;
}

// No queue: what each of three durable calls costs before it does anything.
Peer commits() {
    Peer peer;
    peer.name = "commits";
    peer.note = "no queue: three calls that store nothing and commit, the least that three "
                "durable transactions cost";
    peer.schema = "commits";
    peer.setup = {"CREATE SCHEMA commits", "CREATE TABLE commits.nothing ()"};
    peer.enqueue_one = "SELECT pg_logical_emit_message(true, '', '') WHERE $1 IS NOT NULL";
    peer.enqueue_many = "SELECT 1 FROM pg_logical_emit_message(true, '', ''), unnest($1)";
    peer.claim = R"(
        SELECT id, 1 FROM pg_logical_emit_message(true, $1, ''), generate_series(1, $2) id)";
    peer.complete_one = "SELECT count(*) FROM pg_logical_emit_message(true, '', '')";
    peer.complete_many =
        "SELECT count(*) FROM pg_logical_emit_message(true, '', ''), unnest($1) id";
    peer.confirmation = Confirmation::count;
    peer.count_unfinished = "SELECT 0";
    peer.hot_table = "commits.nothing";
    return peer;
}

Peer by_own_client(Peer peer) {
    peer.name += "-client";
    peer.note = fmt::format("{} by its own client, all in one process of Node.js", peer.package);
    peer.runs_own_client = true;
    return peer;
}

} // namespace

Peer textbook() {
    Peer peer;
    peer.name = "textbook";
    peer.note = "one table, FOR UPDATE SKIP LOCKED: no lease expiry, no fencing, no retries";
    peer.schema = "textbook";
    peer.setup = {"CREATE SCHEMA textbook", textbook_table, textbook_index};
    peer.enqueue_one = "INSERT INTO textbook.jobs (payload) VALUES ($1) RETURNING id";
    peer.enqueue_many = "INSERT INTO textbook.jobs (payload) SELECT unnest($1) RETURNING id";
    peer.claim = R"(
        UPDATE textbook.jobs
           SET state = 'running', attempt = attempt + 1, worker = $1,
               lease_expires_at = now() + interval '30 s'
         WHERE id = ANY (ARRAY(SELECT id FROM textbook.jobs
                                WHERE state = 'ready' AND run_at <= now()
                                ORDER BY priority, run_at, id
                                  FOR UPDATE SKIP LOCKED LIMIT $2))
        RETURNING id, null, payload, attempt, lease_expires_at)";
    peer.complete_one = R"(
        UPDATE textbook.jobs SET state = 'done', finished_at = now()
         WHERE id = $1 AND state = 'running')";
    peer.complete_many = R"(
        UPDATE textbook.jobs SET state = 'done', finished_at = now()
         WHERE id = ANY ($1) AND state = 'running')";
    peer.enqueue_scheduled = R"(
        INSERT INTO textbook.jobs (payload, priority, run_at)
        SELECT '{}', -1, now() + interval '1 hour' FROM generate_series(1, $1))";
    peer.count_unfinished = "SELECT count(*) FROM textbook.jobs WHERE state <> 'done'";
    peer.hot_table = "textbook.jobs";
    return peer;
}

Peer faultline() {
    Peer peer;
    peer.name = "faultline";
    peer.note = "leases that expire, fencing tokens, retries, per-job history for 7 days";
    peer.schema = "faultline";
    peer.setup = {"SELECT faultline.create_queue('bench')"};
    // A copied database runs no jobs until someone says that it may.
    peer.after_copy = {"SELECT faultline.adopt()"};
    peer.enqueue_one = "SELECT faultline.enqueue('bench', $1)";
    peer.enqueue_many = "SELECT * FROM faultline.enqueue_many('bench', $1)";
    peer.claim = R"(
        SELECT job_id, lease_token, payload, attempt, lease_expires_at
          FROM faultline.claim('bench', $1, $2))";
    peer.complete_one = "SELECT faultline.complete($1, $2)";
    peer.complete_many = "SELECT job_id, verdict FROM faultline.complete_many($1, $2)";
    peer.confirmation = Confirmation::verdicts;
    peer.enqueue_scheduled = R"(
        SELECT count(*) FROM faultline.enqueue_many('bench', array_fill('{}'::jsonb, ARRAY[$1]),
                                                    delay => '1 hour', priority => -1))";
    peer.long_lease = "SELECT faultline.alter_queue('bench', lease => '1 hour')";
    peer.count_unfinished = R"(
        SELECT count(*) FROM faultline.jobs WHERE state IN ('queued', 'running'))";
    peer.hot_table = "faultline.live_jobs";
    return peer;
}

std::vector<Peer> all_peers() {
    return {textbook(),
            textbook_without_history(),
            pgq(),
            graphile_worker(),
            by_own_client(graphile_worker()),
            pg_boss(),
            by_own_client(pg_boss()),
            faultline(),
            faultline_turn(),
            faultline_plain(),
            faultline_without_history(),
            commits()};
}

} // namespace faultline::bench
