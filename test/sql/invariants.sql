-- Invariants: check_invariants() is silent on sound data and names each violation that is planted.
\set sqlstate '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'
\set SHOW_CONTEXT never
SET timezone = 'UTC';
SET datestyle = 'ISO';
SET intervalstyle = 'postgres';
SELECT faultline.set_clock('2026-01-01 00:00Z') \gset
ALTER SEQUENCE faultline.job_id_seq RESTART 13001;
SELECT faultline.create_queue('sound', max_attempts => 2, backoff_base => '0') \gset
-- Sound data of every kind: queued (1), running (2), succeeded (3), cancelled (4), a dead letter (5),
-- waiting for its second attempt (6), redriven (7), released (8), running and asked to stop (9).
SELECT faultline.enqueue('sound', to_jsonb(i), priority => i::int, idempotency_key => 'k' || i,
                         max_attempts => CASE WHEN i IN (5, 7) THEN 1 END)
  FROM generate_series(1, 9) AS i;
SELECT * INTO TEMP held FROM faultline.claim('sound', 'w', 9);
SELECT faultline.release(job_id, lease_token) FROM held WHERE job_id IN (13001, 13008);
SELECT job_id, faultline.complete(job_id, lease_token) FROM held WHERE job_id = 13003;
SELECT job_id, faultline.fail(job_id, lease_token, 'no', discard => job_id = 13005) FROM held WHERE job_id IN (13005, 13006, 13007);
SELECT * FROM faultline.redrive('{13007}');
SELECT * FROM faultline.cancel('{13009}');
SELECT job_id, faultline.release(job_id, lease_token) FROM held WHERE job_id = 13004;
SELECT * FROM faultline.cancel('{13004}');
SELECT job_id, state, attempt FROM faultline.jobs WHERE queue = 'sound' ORDER BY job_id;
SELECT * FROM faultline.check_invariants();

-- Plants a violation, looks, and takes it back.
CREATE FUNCTION pg_temp.violations(VARIADIC plants text[])
  RETURNS TABLE (invariant text, subject text, detail text) LANGUAGE plpgsql AS $$
DECLARE
  plant text;
BEGIN
  BEGIN
    FOREACH plant IN ARRAY plants LOOP
      EXECUTE plant;
    END LOOP;
    CREATE TEMP TABLE found ON COMMIT DROP AS SELECT * FROM faultline.check_invariants();
    RETURN QUERY SELECT * FROM found ORDER BY 1, 2, 3;
    RAISE EXCEPTION USING ERRCODE = 'U0000';
  EXCEPTION WHEN SQLSTATE 'U0000' THEN
    NULL;
  END;
END $$;

-- INV_009: a lease exactly while it runs
SELECT * FROM pg_temp.violations($$UPDATE faultline.live_jobs SET state = 'x' WHERE job_id = 13001$$);
SELECT * FROM pg_temp.violations($$UPDATE faultline.live_jobs SET state = 'q' WHERE job_id = 13002$$);
SELECT * FROM pg_temp.violations($$UPDATE faultline.live_jobs SET state = 'r' WHERE job_id = 13001$$);
SELECT * FROM pg_temp.violations($$UPDATE faultline.live_jobs SET lease_token = 5 WHERE job_id = 13001$$);
SELECT * FROM pg_temp.violations($$UPDATE faultline.live_jobs SET lease_token = NULL WHERE job_id = 13002$$);
SELECT * FROM pg_temp.violations($$UPDATE faultline.live_jobs SET lease_expires_at = enqueued_at WHERE job_id = 13001$$);
SELECT * FROM pg_temp.violations($$UPDATE faultline.live_jobs SET lease_expires_at = NULL WHERE job_id = 13002$$);
SELECT * FROM pg_temp.violations($$UPDATE faultline.live_jobs SET lease_owner = 'w' WHERE job_id = 13001$$);
SELECT * FROM pg_temp.violations($$UPDATE faultline.live_jobs SET lease_owner = NULL WHERE job_id = 13002$$);
SELECT * FROM pg_temp.violations($$UPDATE faultline.live_jobs SET claimed_at = enqueued_at WHERE job_id = 13001$$);
SELECT * FROM pg_temp.violations($$UPDATE faultline.live_jobs SET claimed_at = NULL WHERE job_id = 13002$$);
SELECT * FROM pg_temp.violations($$UPDATE faultline.live_jobs SET cancel_requested_at = enqueued_at WHERE job_id = 13001$$);

-- INV_010: attempts within their budget
SELECT * FROM pg_temp.violations($$UPDATE faultline.live_jobs SET attempts_uncounted = -1 WHERE job_id = 13002$$);
SELECT * FROM pg_temp.violations($$UPDATE faultline.live_jobs SET attempts_uncounted = 2 WHERE job_id = 13002$$);
SELECT * FROM pg_temp.violations($$UPDATE faultline.live_jobs SET attempt = 3 WHERE job_id = 13002$$);
SELECT * FROM pg_temp.violations($$UPDATE faultline.live_jobs SET attempt = 2 WHERE job_id = 13006$$);
SELECT * FROM pg_temp.violations($$UPDATE faultline.failed_jobs SET attempts_uncounted = -1 WHERE job_id = 13005$$);
SELECT * FROM pg_temp.violations($$UPDATE faultline.failed_jobs SET max_attempts = 0 WHERE job_id = 13005$$);

-- INV_012: one lease ends in one way
SELECT * FROM pg_temp.violations($$UPDATE faultline.ended_attempts SET lease_token =
  (SELECT lease_token FROM faultline.live_jobs WHERE job_id = 13002), job_id = 13002 WHERE job_id = 13006$$);
SELECT * FROM pg_temp.violations($$INSERT INTO faultline.ended_attempts SELECT * FROM faultline.ended_attempts WHERE job_id = 13008$$);
SELECT * FROM pg_temp.violations($$UPDATE faultline.ended_attempts a SET job_id = f.job_id, lease_token = f.lease_token
  FROM faultline.finished_jobs f WHERE f.job_id = 13003 AND a.job_id = 13008$$);

-- INV_016: a dead letter has the history of its last attempt
SELECT * FROM pg_temp.violations($$UPDATE faultline.failed_jobs SET history = NULL WHERE job_id = 13005$$);
SELECT * FROM pg_temp.violations($$UPDATE faultline.failed_jobs SET history = '[]' WHERE job_id = 13005$$);
SELECT * FROM pg_temp.violations($$UPDATE faultline.failed_jobs SET history = jsonb_set(history, '{0,attempt}', '7') WHERE job_id = 13005$$);

-- INV_018: the key of a job that lives or is a dead letter is its own
SELECT * FROM pg_temp.violations($$DELETE FROM faultline.idempotency_keys WHERE key = 'k1'$$);
SELECT * FROM pg_temp.violations($$UPDATE faultline.idempotency_keys SET job_id = 13001 WHERE key = 'k2'$$);
SELECT * FROM pg_temp.violations($$DELETE FROM faultline.idempotency_keys WHERE key = 'k5'$$);

-- INV_020: finished jobs succeeded, under a lease, or were cancelled
SELECT * FROM pg_temp.violations($$UPDATE faultline.finished_jobs SET state = 'q' WHERE job_id = 13003$$);
SELECT * FROM pg_temp.violations($$UPDATE faultline.finished_jobs SET lease_token = NULL WHERE job_id = 13003$$);

-- INV_022: no generation is started more often than max_attempts
SELECT * FROM pg_temp.violations($$INSERT INTO faultline.ended_attempts
  SELECT job_id, started_at, ended_at, lease_token + i, queue_id, attempt + i, generation, 'x', false, worker, error
    FROM faultline.ended_attempts, generate_series(1, 2) AS i WHERE job_id = 13006$$);
SELECT * FROM pg_temp.violations($$UPDATE faultline.failed_jobs SET max_attempts = 1 WHERE job_id = 13005$$,
  $$INSERT INTO faultline.ended_attempts SELECT job_id, started_at, ended_at, 1, queue_id, 9, generation, 'f', false, worker, error
    FROM faultline.ended_attempts WHERE job_id = 13005$$);

-- INV_024: a job is in one place
SELECT * FROM pg_temp.violations($$INSERT INTO faultline.finished_jobs SELECT * FROM faultline.finished_jobs WHERE job_id = 13003$$);
SELECT * FROM pg_temp.violations($$UPDATE faultline.finished_jobs SET job_id = 13001 WHERE job_id = 13004$$);
SELECT * FROM pg_temp.violations($$UPDATE faultline.failed_jobs SET job_id = 13001, idempotency_key = NULL WHERE job_id = 13005$$,
  $$DELETE FROM faultline.idempotency_keys WHERE key = 'k5'$$);

-- INV_025: a key expires exactly when its job has ended
SELECT * FROM pg_temp.violations($$UPDATE faultline.idempotency_keys SET expires_at = created_at WHERE key = 'k1'$$);
SELECT * FROM pg_temp.violations($$UPDATE faultline.idempotency_keys SET expires_at = created_at WHERE key = 'k5'$$);
SELECT * FROM pg_temp.violations($$UPDATE faultline.idempotency_keys SET expires_at = NULL WHERE key = 'k3'$$);

-- INV_026: a live job or dead letter has a queue
SELECT * FROM pg_temp.violations($$UPDATE faultline.live_jobs SET queue_id = 999999, idempotency_key = NULL WHERE job_id = 13001$$);
SELECT * FROM pg_temp.violations($$UPDATE faultline.failed_jobs SET queue_id = 999999, idempotency_key = NULL WHERE job_id = 13005$$);
SELECT invariant, count(*) FROM pg_temp.violations($$UPDATE faultline.queues SET dropped_at = created_at WHERE name = 'sound'$$)
 GROUP BY invariant;

-- All was taken back.
SELECT * FROM faultline.check_invariants();

--
-- The verbs themselves refuse a row that they cannot have written, and change nothing
--
BEGIN;
UPDATE faultline.live_jobs SET lease_owner = NULL WHERE job_id = 13002;
SELECT faultline.complete(job_id, lease_token) FROM held WHERE job_id = 13002;
:sqlstate
ROLLBACK;
BEGIN;
UPDATE faultline.live_jobs SET attempts_uncounted = 5 WHERE job_id = 13002;
SELECT faultline.fail(job_id, lease_token, 'x') FROM held WHERE job_id = 13002;
:sqlstate
ROLLBACK;
BEGIN;
UPDATE faultline.live_jobs SET attempt = max_attempts WHERE job_id = 13001;
UPDATE faultline.live_jobs SET attempts_uncounted = 0 WHERE job_id = 13001;
SELECT job_id FROM faultline.claim('sound', 'w');
:sqlstate
ROLLBACK;
BEGIN;
UPDATE faultline.live_jobs SET state = 'x' WHERE job_id = 13001;
SELECT * FROM faultline.cancel('{13001}');
:sqlstate
ROLLBACK;
BEGIN;
UPDATE faultline.live_jobs SET queue_id = 999999 WHERE job_id = 13002;
SELECT faultline.complete(job_id, lease_token) FROM held WHERE job_id = 13002;
:sqlstate
ROLLBACK;

SELECT faultline.drop_queue(queue, force => true) FROM faultline.stat_queues ORDER BY queue;
SELECT faultline.set_clock(NULL) \gset
SELECT * FROM faultline.check_invariants();
