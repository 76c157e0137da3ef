-- Cancel: queued jobs end now, running ones are asked to stop and never run again.
\set sqlstate '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'
\set SHOW_CONTEXT never
SET timezone = 'UTC';
SET datestyle = 'ISO';
SET intervalstyle = 'postgres';
SELECT faultline.set_clock('2026-01-01 00:00Z') \gset
ALTER SEQUENCE faultline.job_id_seq RESTART 9001;
SELECT faultline.create_queue('stop', max_attempts => 3, backoff_jitter => 0) \gset

--
-- Queued
--
SELECT faultline.enqueue('stop', '{"a": 1}', priority => 2, headers => '{"h": 1}', kind => 'k') AS ready,
       faultline.enqueue('stop', delay => '1 h') AS scheduled;
SELECT faultline.advance_clock('3 s') \gset
SELECT * FROM faultline.cancel('{9002,9001}', 'not needed');
SELECT * FROM faultline.jobs WHERE job_id = 9001 \gx
SELECT state, finished_at, last_error FROM faultline.jobs WHERE job_id = 9002;
SELECT count(*) FROM faultline.claim('stop', 'w');
SELECT count(*) FROM faultline.attempts WHERE job_id IN (9001, 9002);
-- Waiting for its second attempt: the reason replaces the error, or, without one, the error stays.
SELECT faultline.enqueue('stop'), faultline.enqueue('stop');
SELECT count(faultline.fail(job_id, lease_token, 'no luck')) FROM faultline.claim('stop', 'w', 2);
SELECT * FROM faultline.cancel('{9003}', 'gave up');
SELECT * FROM faultline.cancel('{9004}');
SELECT job_id, state, attempt, last_error FROM faultline.jobs WHERE job_id IN (9003, 9004) ORDER BY job_id;

--
-- Running: asked to stop
--
SELECT count(faultline.enqueue('stop', to_jsonb(i))) FROM generate_series(1, 6) AS i;
SELECT * INTO TEMP held FROM faultline.claim('stop', 'w', 6);
SELECT lease_token AS by_fail FROM held WHERE job_id = 9005 \gset
SELECT lease_token AS by_expiry FROM held WHERE job_id = 9006 \gset
SELECT lease_token AS by_release FROM held WHERE job_id = 9007 \gset
SELECT lease_token AS completes FROM held WHERE job_id = 9008 \gset
SELECT lease_token AS by_discard FROM held WHERE job_id = 9009 \gset
SELECT lease_token AS by_takeover FROM held WHERE job_id = 9010 \gset
SELECT * FROM faultline.cancel('{9010,9009,9008,9007,9006,9005}', 'asked');
SELECT job_id, state, lease_owner, last_error FROM faultline.jobs WHERE job_id BETWEEN 9005 AND 9010 ORDER BY job_id;
-- The worker hears of it, and the lease is not extended.
SELECT faultline.advance_clock('1 s') \gset
SELECT faultline.extend(9005, :by_fail, progress => '"lost"');
:sqlstate
SELECT * FROM faultline.extend_many('{9005}', ARRAY[:by_fail]);
SELECT lease_expires_at - faultline.clock_now() AS remaining, progress FROM faultline.jobs WHERE job_id = 9005;
-- Another's token learns nothing.
SELECT faultline.extend(9005, :by_fail - 1);
:sqlstate
-- Asking again changes nothing: the first reason stands.
SELECT * FROM faultline.cancel('{9005,9005}', 'asked twice');
-- Each way to end it; a worker that has done the work may still say so.
SELECT faultline.fail(9005, :by_fail, 'stopped', retry_in => '0');
SELECT faultline.release(9007, :by_release);
SELECT faultline.complete(9008, :completes, '"done"');
SELECT faultline.fail(9009, :by_discard, 'stopped', discard => true);
SELECT faultline.advance_clock('29 s') \gset
SELECT faultline.expire_leases(1);
SELECT count(*) FROM faultline.claim('stop', 'w', 10);
SELECT job_id, state, attempt, last_error, result FROM faultline.jobs WHERE job_id BETWEEN 9005 AND 9010 ORDER BY job_id;
SELECT job_id, outcome, final, error FROM faultline.attempts WHERE job_id BETWEEN 9005 AND 9010 ORDER BY job_id;
SELECT count(*) FROM faultline.dead_letters;
SELECT queued, scheduled, running FROM faultline.stat_queues;
-- Late calls: repeated ones get their answer, others JQ001.
SELECT faultline.fail(9005, :by_fail, 'stopped');
SELECT faultline.release(9007, :by_release);
SELECT faultline.extend(9005, :by_fail);
:sqlstate
SELECT faultline.complete(9006, :by_expiry);
:sqlstate
SELECT faultline.complete(9008, :completes);

--
-- On the last attempt it is cancelled, not dead
--
ALTER SEQUENCE faultline.job_id_seq RESTART 9101;
SELECT faultline.enqueue('stop', max_attempts => 1, idempotency_key => 'k');
SELECT lease_token FROM faultline.claim('stop', 'w') \gset
SELECT * FROM faultline.cancel('{9101}');
SELECT faultline.fail(9101, :lease_token, 'the error');
SELECT state, last_error FROM faultline.jobs WHERE job_id = 9101;
SELECT expires_at - faultline.clock_now() AS key_kept_for FROM faultline.idempotency_keys WHERE job_id = 9101;

--
-- Not to be cancelled
--
SELECT faultline.enqueue('stop', max_attempts => 1), faultline.enqueue('stop');
SELECT lease_token FROM faultline.claim('stop', 'w') \gset
SELECT faultline.fail(9102, :lease_token, 'dead');
SELECT * FROM faultline.cancel('{9001,9008,9102,9999,9103,-1,0}');
SELECT state FROM faultline.jobs WHERE job_id = 9102;
-- One row for each id, in their order; none for none.
SELECT * FROM faultline.cancel('{9103,9102,9103}');
SELECT * FROM faultline.cancel('{}');

--
-- The reason
--
SELECT faultline.enqueue('stop');
SELECT * FROM faultline.cancel('{9104}', '');
:sqlstate
SELECT * FROM faultline.cancel('{9104}', repeat('x', 1025));
:sqlstate
SELECT * FROM faultline.cancel('{9104}', repeat('x', 1024));
SELECT length(last_error) FROM faultline.jobs WHERE job_id = 9104;

-- Undone with its transaction.
SELECT faultline.enqueue('stop');
BEGIN;
SELECT verdict FROM faultline.cancel('{9105}');
SELECT state FROM faultline.jobs WHERE job_id = 9105;
ROLLBACK;
SELECT state FROM faultline.jobs WHERE job_id = 9105;

SELECT faultline.drop_queue(queue, force => true) FROM faultline.stat_queues ORDER BY queue;
SELECT faultline.set_clock(NULL) \gset
SELECT * FROM faultline.check_invariants();
