-- Dead letters: how jobs get there with their history, and back, and away.
\set sqlstate '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'
\set SHOW_CONTEXT never
SET timezone = 'UTC';
SET datestyle = 'ISO';
SET intervalstyle = 'postgres';
SELECT faultline.set_clock('2026-01-01 00:00Z') \gset
ALTER SEQUENCE faultline.job_id_seq RESTART 10001;
SELECT faultline.create_queue('dead', max_attempts => 2, backoff_base => '0') \gset
SELECT faultline.create_queue('other', max_attempts => 1) \gset
-- Claims the first ready job and fails it.
CREATE PROCEDURE pg_temp.fail_first(queue text, error text, discard boolean = false) LANGUAGE plpgsql AS $$
DECLARE
  held faultline.claimed_job;
BEGIN
  SELECT * INTO STRICT held FROM faultline.claim(queue, 'worker of ' || error);
  COMMIT;
  PERFORM faultline.advance_clock('1 s');
  PERFORM faultline.fail(held.job_id, held.lease_token, error, discard => discard);
  COMMIT;
END $$;

--
-- What a dead letter keeps
--
SELECT faultline.enqueue('dead', '{"n": 1}', kind => 'k', idempotency_key => 'key', priority => 5,
                         headers => '{"h": 2}');
CALL pg_temp.fail_first('dead', 'one');
CALL pg_temp.fail_first('dead', 'two');
SELECT * FROM faultline.dead_letters \gx
SELECT state, attempt, max_attempts, last_error, finished_at, lease_owner FROM faultline.jobs WHERE job_id = 10001;

--
-- Redriven: a full budget again, while attempt and history go on growing
--
SELECT * FROM faultline.redrive('{10001}');
SELECT job_id, kind, state, priority, payload, headers, attempt, max_attempts, next_run_at, enqueued_at,
       finished_at, last_error, idempotency_key FROM faultline.jobs WHERE job_id = 10001 \gx
SELECT count(*) FROM faultline.dead_letters;
CALL pg_temp.fail_first('dead', 'three');
SELECT state, attempt FROM faultline.jobs WHERE job_id = 10001;
CALL pg_temp.fail_first('dead', 'four');
SELECT generation, attempt, reason FROM faultline.dead_letters;
SELECT verdict FROM faultline.redrive('{10001}');
CALL pg_temp.fail_first('dead', 'five', discard => true);
SELECT generation, attempt, reason, last_error FROM faultline.dead_letters;
SELECT h ->> 'attempt' AS attempt, h ->> 'error' AS error, h ->> 'worker' AS worker, h ->> 'outcome' AS outcome,
       h ->> 'started_at' AS started_at, h ->> 'ended_at' AS ended_at
  FROM faultline.dead_letters, jsonb_array_elements(history) AS h;
SELECT generation, attempt, final, error FROM faultline.attempts WHERE job_id = 10001 ORDER BY attempt;
-- Third time lucky: it succeeds like any job, and stays one.
SELECT verdict FROM faultline.redrive('{10001}');
SELECT job_id, lease_token, attempt FROM faultline.claim('dead', 'w') \gset
SELECT :attempt AS attempt, faultline.complete(:job_id, :lease_token, '"at last"');
SELECT state, attempt, last_error, result FROM faultline.jobs WHERE job_id = 10001;
SELECT * FROM faultline.redrive('{10001}');

--
-- By id: what cannot move stays and says why
--
SELECT faultline.set_clock('2026-01-01 00:00Z') \gset
ALTER SEQUENCE faultline.job_id_seq RESTART 10101;
SELECT count(faultline.enqueue('dead', max_attempts => 1)) FROM generate_series(1, 3);
CALL pg_temp.fail_first('dead', 'x');
CALL pg_temp.fail_first('dead', 'y');
SELECT * FROM faultline.cancel('{10103}') \gset
SELECT faultline.enqueue('dead'), faultline.enqueue('dead');
SELECT job_id FROM faultline.claim('dead', 'w');
SELECT * FROM faultline.redrive('{10105,10104,10103,10102,10101,10999,-1,10101}', delay => '1 h');
SELECT job_id, state, next_run_at FROM faultline.jobs WHERE job_id BETWEEN 10101 AND 10105 ORDER BY job_id;
SELECT * FROM faultline.redrive('{10101}');
SELECT * FROM faultline.redrive('{}');
-- Undone with its transaction, nothing is lost.
SELECT faultline.enqueue('other');
CALL pg_temp.fail_first('other', 'z');
BEGIN;
SELECT verdict FROM faultline.redrive('{10106}');
SELECT state FROM faultline.jobs WHERE job_id = 10106;
ROLLBACK;
SELECT state FROM faultline.jobs WHERE job_id = 10106;
-- An id counts once against max_jobs, however often it is given.
SELECT * FROM faultline.redrive('{10101,10101,10106}', max_jobs => 2);
SELECT * FROM faultline.redrive('{10106}', 'other');
:sqlstate
SELECT * FROM faultline.redrive();
:sqlstate
SELECT * FROM faultline.redrive('{10106}', max_jobs => 0);
:sqlstate
SELECT * FROM faultline.redrive('{10106}', max_jobs => 100001);
:sqlstate
SELECT * FROM faultline.redrive('{10106}', delay => '-1 us');
:sqlstate

--
-- By queue: the oldest first
--
SELECT faultline.drop_queue('dead', true), faultline.drop_queue('other', true);
SELECT faultline.create_queue('dead', max_attempts => 1) \gset
SELECT faultline.create_queue('other', max_attempts => 1) \gset
ALTER SEQUENCE faultline.job_id_seq RESTART 10201;
SELECT count(faultline.enqueue(q)) FROM generate_series(1, 4), unnest('{dead,other}'::text[]) AS q;
SELECT count(faultline.fail(job_id, lease_token, 'no')) FROM faultline.claim_any('{dead,other}', 'w', 8);
SELECT * FROM faultline.redrive(queue => 'dead', max_jobs => 2);
SELECT * FROM faultline.redrive(queue => 'dead');
SELECT * FROM faultline.redrive(queue => 'dead');
SELECT queue, queued, dead_letters FROM faultline.stat_queues ORDER BY queue;
-- More than one page of them.
SELECT count(faultline.enqueue('dead')) FROM generate_series(1, 300);
SELECT count(faultline.fail(job_id, lease_token, 'no')) FROM faultline.claim('dead', 'w', 10000);
SELECT verdict, count(*) FROM faultline.redrive(queue => 'dead', max_jobs => NULL) GROUP BY verdict;
SELECT faultline.drop_queue('dead', true);

-- A history that is very large already gives way: a dead letter can always be written.
SELECT faultline.create_queue('dead', max_attempts => 1) \gset
SELECT faultline.enqueue('dead') \gset
UPDATE faultline.live_jobs SET history = jsonb_build_array(repeat('x', 65 << 20)) WHERE job_id = :enqueue;
SELECT faultline.fail(job_id, lease_token, 'no') FROM faultline.claim('dead', 'w');
SELECT jsonb_array_length(history), history->-1->>'error' AS error FROM faultline.dead_letters WHERE queue = 'dead';
SELECT faultline.drop_queue('dead', true);

--
-- Purging
--
SELECT faultline.create_queue('dead', max_attempts => 1, keep_keys => '2 h') \gset
SELECT faultline.set_clock('2026-01-01 00:00Z') \gset
ALTER SEQUENCE faultline.job_id_seq RESTART 10801;
SELECT count(faultline.enqueue('dead', idempotency_key => 'k' || i)) FROM generate_series(1, 3) AS i;
CALL pg_temp.fail_first('dead', 'at 0:00:01');
SELECT faultline.advance_clock('59 s') \gset
CALL pg_temp.fail_first('dead', 'at 0:01:01');
SELECT faultline.advance_clock('59 s') \gset
SELECT job_id, failed_at FROM faultline.dead_letters WHERE queue = 'dead' ORDER BY job_id;
SELECT faultline.purge_dead_letters('dead', '2 min');
SELECT faultline.purge_dead_letters('dead', older_than => '1 min 59 s');
SELECT job_id FROM faultline.dead_letters WHERE queue = 'dead';
SELECT faultline.purge_dead_letters('dead', '0');
SELECT faultline.purge_dead_letters('dead', '0');
-- Live jobs and other queues are not touched; a purged job is unknown, its key is kept for keep_keys.
SELECT queue, queued, dead_letters FROM faultline.stat_queues ORDER BY queue;
SELECT count(*) FROM faultline.jobs WHERE job_id IN (10801, 10802);
SELECT * FROM faultline.redrive('{10801}');
SELECT key, expires_at FROM faultline.idempotency_keys WHERE job_id BETWEEN 10801 AND 10803 ORDER BY key;
SELECT faultline.purge_dead_letters('dead', '-1 s');
:sqlstate
SELECT faultline.purge_dead_letters('dead', '3651 days');
:sqlstate

SELECT faultline.drop_queue(queue, force => true) FROM faultline.stat_queues ORDER BY queue;
SELECT faultline.set_clock(NULL) \gset
SELECT * FROM faultline.check_invariants();
