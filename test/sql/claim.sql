-- Claim: which jobs it hands out, in which order and under which lease.
\set sqlstate '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'
\set SHOW_CONTEXT never
SET timezone = 'UTC';
SET datestyle = 'ISO';
SET intervalstyle = 'postgres';
SELECT faultline.set_clock('2026-01-01 00:00Z') \gset
ALTER SEQUENCE faultline.job_id_seq RESTART 4001;
SELECT faultline.create_queue('work', lease => '1 min', backoff_jitter => 0) \gset

--
-- What a worker gets
--
SELECT faultline.enqueue('work', '{"n": 1}', kind => 'add', headers => '{"h": 2}', max_attempts => 5);
SELECT faultline.advance_clock('10 s') \gset
SELECT job_id, queue, kind, payload, headers, attempt, max_attempts, lease_token > 0 AS has_token,
       lease_expires_at, enqueued_at, last_error, progress
  FROM faultline.claim('work', 'worker-1') \gx
SELECT state, attempt, lease_owner, lease_expires_at FROM faultline.jobs WHERE job_id = 4001;
-- Nobody gets it again.
SELECT count(*) FROM faultline.claim('work', 'worker-2', 10);
-- After a failure the next attempt is told of it, and of the progress saved.
SELECT lease_token FROM faultline.live_jobs WHERE job_id = 4001 \gset
SELECT faultline.extend(4001, :lease_token, progress => '{"done": 3}');
SELECT faultline.fail(4001, :lease_token, 'out of paper');
SELECT faultline.advance_clock('1 s') \gset
SELECT attempt, last_error, progress, lease_token <> :lease_token AS new_token
  FROM faultline.claim('work', 'worker-2');
SELECT faultline.drop_queue('work', true);
SELECT faultline.create_queue('work', lease => '1 min', backoff_jitter => 0) \gset

--
-- Order: priority, then next_run_at, then id
--
SELECT faultline.set_clock('2026-01-01 12:00Z') \gset
SELECT faultline.enqueue('work', to_jsonb(label), priority => priority, run_at => run_at)
  INTO TEMP enqueued
  FROM (VALUES ('5 low', 10, '2026-01-01 00:00Z'::timestamptz), ('3 middle late', 0, '2026-01-01 11:00Z'),
               ('2 middle early', 0, '2026-01-01 10:00Z'), ('1 high', -10, '2026-01-01 12:00Z'),
               ('4 middle late, next id', 0, '2026-01-01 11:00Z'), ('7 lowest', 32767, '2025-01-01 00:00Z'),
               ('0 highest', -32768, '2026-01-01 12:00Z'), ('6 low, next id', 10, '2026-01-01 00:00Z'))
       AS v (label, priority, run_at);
-- Scheduled jobs lie ahead of ready ones in every priority, and hold nobody up.
SELECT count(faultline.enqueue('work', '"scheduled"', priority => priority, delay => '1 us'))
  FROM generate_series(-20, 20) AS priority, generate_series(1, 3);
SELECT payload FROM faultline.claim('work', 'w', 100);
SELECT count(*) FROM faultline.claim('work', 'w', 100);
-- Due at the very microsecond.
SELECT faultline.advance_clock('1 us') \gset
SELECT count(*), bool_and(payload = '"scheduled"') FROM faultline.claim('work', 'w', 200);
SELECT faultline.drop_queue('work', true);
SELECT faultline.create_queue('work', lease => '1 min') \gset

--
-- How many
--
SELECT count(faultline.enqueue('work', to_jsonb(i))) FROM generate_series(1, 20) AS i;
SELECT array_agg(payload) FROM faultline.claim('work', 'w');
SELECT array_agg(payload) FROM faultline.claim('work', 'w', 3);
SELECT array_agg(payload) FROM faultline.claim('work', 'w', NULL, NULL);
SELECT array_agg(payload) FROM faultline.claim('work', 'w', max_jobs => 10000);
-- Each claim has a token of its own.
SELECT count(*), count(DISTINCT lease_token) FROM faultline.live_jobs;
SELECT * FROM faultline.claim('work', 'w', 0);
:sqlstate
SELECT * FROM faultline.claim('work', 'w', 10001);
:sqlstate
SELECT * FROM faultline.claim('work', '');
:sqlstate
SELECT * FROM faultline.claim('work', repeat('w', 257));
:sqlstate

--
-- Leases
--
SELECT faultline.set_clock('2026-01-01 00:00Z') \gset
SELECT count(faultline.enqueue('work')) FROM generate_series(1, 5);
SELECT lease_expires_at FROM faultline.claim('work', 'w');
SELECT lease_expires_at FROM faultline.claim('work', 'w', lease => '100 ms');
SELECT lease_expires_at FROM faultline.claim_any('{work}', 'w', lease => '24 h');
SELECT * FROM faultline.claim('work', 'w', lease => '99 ms');
:sqlstate
SELECT * FROM faultline.claim('work', 'w', lease => '24:00:00.000001');
:sqlstate
SELECT * FROM faultline.claim_any('{work}', 'w', lease => '-1 s');
:sqlstate
SELECT queued, running FROM faultline.stat_queues;
SELECT job_id AS job FROM faultline.claim('work', repeat('w', 256)) \gset
SELECT length(lease_owner) FROM faultline.jobs WHERE job_id = :job;

--
-- Several queues, in order of preference
--
SELECT faultline.drop_queue('work', true);
SELECT faultline.create_queue(q, lease => l) FROM (VALUES ('a', interval '1 s'), ('b', '2 s'), ('c', '3 s')) AS v (q, l);
SELECT count(faultline.enqueue(q, to_jsonb(q || i)))
  FROM unnest('{a,b,c}'::text[]) AS q, generate_series(1, 3) AS i;
-- A better priority does not jump over the preference.
SELECT faultline.enqueue('a', '"a urgent"', priority => -5) > 0 AS enqueued;
SELECT queue, payload, lease_expires_at FROM faultline.claim_any('{c,a}', 'w', 5);
SELECT queue, payload FROM faultline.claim_any('{c,b,a}', 'w', 1);
SELECT faultline.pause_queue('b');
SELECT queue, payload FROM faultline.claim_any('{b,a,b}', 'w', 1);
SELECT faultline.resume_queue('b');
-- A queue named twice gives each job once.
SELECT queue, payload FROM faultline.claim_any('{b,b,a,b}', 'w', 10);
SELECT count(*) FROM faultline.claim_any('{a,b,c}', 'w', 10);
SELECT count(*) FROM faultline.claim_any('{}', 'w', 10);

--
-- Nothing to do costs nothing: no transaction id
--
BEGIN;
SELECT count(*) FROM faultline.claim('a', 'w');
SELECT count(*) FROM faultline.claim_any('{a,b,c}', 'w');
SELECT pg_current_xact_id_if_assigned();
ROLLBACK;
SELECT faultline.create_queue('empty') \gset
SELECT faultline.enqueue('empty', delay => '1 h') > 0 AS scheduled;
BEGIN;
SELECT count(*) FROM faultline.claim('empty', 'w');
SELECT pg_current_xact_id_if_assigned();
ROLLBACK;
SELECT faultline.enqueue('empty') > 0 AS ready;
SELECT faultline.pause_queue('empty');
BEGIN;
SELECT count(*) FROM faultline.claim('empty', 'w');
SELECT pg_current_xact_id_if_assigned();
ROLLBACK;

--
-- Part of the caller's transaction
--
SELECT faultline.resume_queue('empty');
BEGIN;
SELECT count(*) FROM faultline.claim('empty', 'w');
SAVEPOINT s;
SELECT count(*) FROM faultline.claim('empty', 'w');
ROLLBACK TO s;
SELECT state, attempt FROM faultline.jobs WHERE queue = 'empty' ORDER BY next_run_at;
ROLLBACK;
SELECT state, attempt FROM faultline.jobs WHERE queue = 'empty' ORDER BY next_run_at;
BEGIN;
SAVEPOINT s;
SELECT count(*) FROM faultline.claim('empty', 'w');
ROLLBACK TO s;
SELECT count(*) FROM faultline.claim('empty', 'w');
COMMIT;
SELECT state, attempt FROM faultline.jobs WHERE queue = 'empty' ORDER BY next_run_at;
-- A job that this transaction gave back is ready for it like for others.
SELECT job_id, lease_token FROM faultline.live_jobs WHERE state = 'r' AND attempt = 1 AND lease_owner = 'w'
   AND queue_id = (SELECT queue_id FROM faultline.queues WHERE name = 'empty' AND dropped_at IS NULL) \gset
BEGIN;
SELECT faultline.release(:job_id, :lease_token);
SELECT job_id = :job_id AS same, attempt FROM faultline.claim('empty', 'w');
COMMIT;
-- Two calls in one statement do not give the same job.
SELECT count(faultline.enqueue('empty')) FROM generate_series(1, 4);
SELECT count(DISTINCT c.job_id)
  FROM (SELECT job_id FROM faultline.claim('empty', 'w', 2)
        UNION ALL SELECT job_id FROM faultline.claim('empty', 'w', 2)) AS c;

--
-- Large values come out of line and whole
--
SELECT string_agg(md5(i::text), '') AS text INTO TEMP large FROM generate_series(1, 3000) AS i;
SELECT faultline.enqueue('empty', to_jsonb(text), headers => to_jsonb('h' || text)) AS job FROM large \gset
SELECT job_id, lease_token FROM faultline.claim('empty', 'w') \gset
SELECT faultline.extend(:job, :lease_token, progress => to_jsonb('p' || text)) FROM large;
SELECT faultline.fail(:job, :lease_token, 'e' || left(text, 16383), retry_in => '0') FROM large;
SELECT payload = to_jsonb(text), headers = to_jsonb('h' || text), progress = to_jsonb('p' || text),
       last_error = 'e' || left(text, 16383)
  FROM faultline.claim('empty', 'w'), large;

SELECT faultline.drop_queue(queue, force => true) FROM faultline.stat_queues ORDER BY queue;
SELECT faultline.set_clock(NULL) \gset
SELECT * FROM faultline.check_invariants();
