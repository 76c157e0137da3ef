-- Read-only transactions: whatever writes says 25006 and does nothing; whatever reads works.
\set sqlstate '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'
\set SHOW_CONTEXT never
SET timezone = 'UTC';
SET datestyle = 'ISO';
SET intervalstyle = 'postgres';
SELECT faultline.set_clock('2026-01-01 00:00Z') \gset
ALTER SEQUENCE faultline.job_id_seq RESTART 14001;
SELECT faultline.create_queue('ro') \gset
SELECT count(faultline.enqueue('ro')) FROM generate_series(1, 3);
SELECT job_id, lease_token FROM faultline.claim('ro', 'w') \gset
SELECT faultline.cancel('{14003}');
CREATE ROLE regress_faultline_reader;
CREATE TEMP TABLE calls (call text);
INSERT INTO calls
SELECT replace(replace(call, '$job', :'job_id'), '$token', :'lease_token') FROM (VALUES
  ($$faultline.create_queue('ro2')$$),
  ($$faultline.create_queue('ro')$$),
  ($$faultline.alter_queue('ro', lease => '1 min')$$),
  ($$faultline.pause_queue('ro')$$),
  ($$faultline.resume_queue('ro')$$),
  ($$faultline.drop_queue('ro', true)$$),
  ($$faultline.enqueue('ro')$$),
  ($$faultline.enqueue('ro', idempotency_key => 'k')$$),
  ($$faultline.enqueue_many('ro', '{1,2}')$$),
  ($$faultline.enqueue_many('ro', '{}')$$),
  ($$faultline.claim('ro', 'w')$$),
  ($$faultline.claim_any('{ro}', 'w')$$),
  ($$faultline.claim_any('{}', 'w')$$),
  ($$faultline.complete($job, $token)$$),
  ($$faultline.complete_many('{$job}', '{$token}')$$),
  ($$faultline.turn('ro', 'w', '{}', '{}')$$),
  ($$faultline.turn('ro', 'w', '{$job}', '{$token}')$$),
  ($$faultline.fail($job, $token, 'e')$$),
  ($$faultline.fail_many('{$job}', '{$token}', '{e}')$$),
  ($$faultline.extend($job, $token)$$),
  ($$faultline.extend_many('{$job}', '{$token}')$$),
  ($$faultline.release($job, $token)$$),
  ($$faultline.cancel('{$job}')$$),
  ($$faultline.redrive('{$job}')$$),
  ($$faultline.redrive(queue => 'ro')$$),
  ($$faultline.purge_dead_letters('ro', '0')$$),
  ($$faultline.expire_leases()$$),
  ($$faultline.maintain()$$),
  ($$faultline.start_worker()$$),
  ($$faultline.adopt()$$),
  ($$faultline.set_clock('2030-01-01 00:00Z')$$),
  ($$faultline.advance_clock('1 h')$$),
  ($$faultline.grant_access('regress_faultline_reader', 'worker', '{ro}')$$),
  ($$faultline.revoke_access('regress_faultline_reader', 'worker')$$)) AS v (call);
-- What a call answers; tokens are random, so the arguments are left out.
CREATE FUNCTION pg_temp.answer(call text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  message text;
  state text;
BEGIN
  EXECUTE 'SELECT count(*) FROM ' || call;
  RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
  GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, state = RETURNED_SQLSTATE;
  RETURN state || ' ' || message;
END $$;
SELECT job_id, state, attempt FROM faultline.jobs WHERE queue = 'ro' ORDER BY job_id;
BEGIN READ ONLY;
SELECT substring(call FROM '\.(\w+)') AS function, pg_temp.answer(call) FROM calls;
-- Reading works.
SELECT faultline.clock_now();
SELECT count(*) FROM faultline.jobs WHERE queue = 'ro';
SELECT queue, queued, scheduled, running, dead_letters, oldest_ready_age, paused_at, exact FROM faultline.stat_queues;
SELECT count(*) FROM faultline.dead_letters;
SELECT count(*) FROM faultline.attempts WHERE job_id BETWEEN 14001 AND 14003;
SELECT count(*) > 0 AS status FROM faultline.status();
SELECT * FROM faultline.check_invariants();
COMMIT;
-- As plain errors, with the names of the functions.
BEGIN READ ONLY;
SELECT faultline.enqueue('ro');
:sqlstate
ROLLBACK;
SET default_transaction_read_only = on;
SELECT * FROM faultline.claim('ro', 'w');
:sqlstate
RESET default_transaction_read_only;
-- Nothing has changed, and outside everything works.
SELECT job_id, state, attempt FROM faultline.jobs WHERE queue = 'ro' ORDER BY job_id;
SELECT faultline.clock_now();
SELECT faultline.complete(:job_id, :lease_token);
DROP ROLE regress_faultline_reader;

SELECT faultline.drop_queue(queue, force => true) FROM faultline.stat_queues ORDER BY queue;
SELECT faultline.set_clock(NULL) \gset
SELECT * FROM faultline.check_invariants();
