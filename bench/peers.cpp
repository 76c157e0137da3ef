// Owns the SQL of the two peers. The textbook queue is written as well as its design allows:
// one identity key, one partial index in claim order, one statement per verb, no trigger.
#include "peer.hpp"

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

Peer textbook_peer() {
    return {
        .name = "textbook",
        .setup = {"CREATE SCHEMA textbook", textbook_table, textbook_index},
        .after_copy = nullptr,
        .enqueue_one = "INSERT INTO textbook.jobs (payload) VALUES ($1::jsonb) RETURNING id",
        .enqueue_many =
            "INSERT INTO textbook.jobs (payload) SELECT unnest($1::jsonb[]) RETURNING id",
        .claim = R"(
        UPDATE textbook.jobs
           SET state = 'running', attempt = attempt + 1, worker = $1::text,
               lease_expires_at = now() + interval '30 s'
         WHERE id = ANY (ARRAY(SELECT id FROM textbook.jobs
                                WHERE state = 'ready' AND run_at <= now()
                                ORDER BY priority, run_at, id
                                  FOR UPDATE SKIP LOCKED LIMIT $2::int))
        RETURNING id, payload, attempt, lease_expires_at)",
        .has_lease_token = false,
        .complete_one = R"(
        UPDATE textbook.jobs SET state = 'done', finished_at = now()
         WHERE id = $1::bigint AND state = 'running')",
        .complete_many = R"(
        UPDATE textbook.jobs SET state = 'done', finished_at = now()
         WHERE id = ANY ($1::bigint[]) AND state = 'running')",
        .success_verdict = nullptr,
        .count_unfinished = "SELECT count(*) FROM textbook.jobs WHERE state <> 'done'",
        .hot_table = "textbook.jobs",
    };
}

Peer faultline_peer() {
    return {
        .name = "faultline",
        .setup = {"CREATE EXTENSION faultline", "SELECT faultline.create_queue('bench')"},
        // A copied database runs no jobs until someone says that it may.
        .after_copy = "SELECT faultline.adopt()",
        .enqueue_one = "SELECT faultline.enqueue('bench', $1::jsonb)",
        .enqueue_many = "SELECT * FROM faultline.enqueue_many('bench', $1::jsonb[])",
        .claim = R"(
        SELECT job_id, lease_token, payload, attempt, lease_expires_at
          FROM faultline.claim('bench', $1::text, $2::int))",
        .has_lease_token = true,
        .complete_one = "SELECT faultline.complete($1::bigint, $2::bigint)",
        .complete_many = R"(
        SELECT job_id, verdict FROM faultline.complete_many($1::bigint[], $2::bigint[]))",
        .success_verdict = "succeeded",
        .count_unfinished = R"(
        SELECT count(*) FROM faultline.jobs WHERE state IN ('queued', 'running'))",
        .hot_table = "faultline.live_jobs",
    };
}

} // namespace

const std::array<Peer, peer_count> &peers() {
    static const std::array<Peer, peer_count> all{textbook_peer(), faultline_peer()};
    return all;
}

const Peer &textbook() { return peers()[0]; }

} // namespace faultline::bench
