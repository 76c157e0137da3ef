-- Release: giving a job back without having tried it.
\set sqlstate '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'
\set SHOW_CONTEXT never
SET timezone = 'UTC';
SET datestyle = 'ISO';
SET intervalstyle = 'postgres';
SELECT faultline.set_clock('2026-01-01 00:00Z') \gset
ALTER SEQUENCE faultline.job_id_seq RESTART 8001;
SELECT faultline.create_queue('back', max_attempts => 2, backoff_jitter => 0) \gset

-- It keeps its place: before jobs that were enqueued later.
SELECT faultline.enqueue('back', '"first"'), faultline.enqueue('back', '"second"');
SELECT faultline.advance_clock('5 s') \gset
SELECT lease_token FROM faultline.claim('back', 'w') \gset
SELECT faultline.extend(8001, :lease_token, progress => '3') \gset
SELECT faultline.release(8001, :lease_token);
SELECT job_id, state, attempt, max_attempts, next_run_at, lease_owner, lease_expires_at, progress, last_error
  FROM faultline.jobs WHERE job_id = 8001 \gx
SELECT * FROM faultline.attempts WHERE job_id = 8001 \gx
SELECT payload, attempt, progress FROM faultline.claim('back', 'w', 2);
SELECT lease_token FROM faultline.live_jobs WHERE job_id = 8001 \gset
-- With a delay it waits.
SELECT faultline.release(8001, :lease_token, delay => '10 s');
SELECT next_run_at FROM faultline.jobs WHERE job_id = 8001;
SELECT count(*) FROM faultline.claim('back', 'w');
SELECT faultline.release(8001, :lease_token, delay => '-1 s');
:sqlstate

-- Released claims do not count, however many there are; attempt grows all the same.
CREATE TEMP TABLE given_back (attempt int);
CREATE PROCEDURE pg_temp.release_often(times int) LANGUAGE plpgsql AS $$
DECLARE
  held faultline.claimed_job;
BEGIN
  FOR i IN 1 .. times LOOP
    SELECT * INTO STRICT held FROM faultline.claim('back', 'w');
    COMMIT;
    PERFORM faultline.release(held.job_id, held.lease_token);
    INSERT INTO given_back VALUES (held.attempt);
    COMMIT;
  END LOOP;
END $$;
SELECT faultline.advance_clock('10 s') \gset
CALL pg_temp.release_often(30);
SELECT min(attempt), max(attempt), count(*) FROM given_back;
SELECT state, attempt, max_attempts FROM faultline.jobs WHERE job_id = 8001;
-- Both attempts are still there, and not one more.
SELECT lease_token, attempt FROM faultline.claim('back', 'w') \gset
SELECT :attempt AS attempt, faultline.fail(8001, :lease_token, 'one', retry_in => '0');
SELECT lease_token FROM faultline.claim('back', 'w') \gset
SELECT faultline.release(8001, :lease_token);
SELECT lease_token, attempt FROM faultline.claim('back', 'w') \gset
SELECT :attempt AS attempt, faultline.fail(8001, :lease_token, 'two', retry_in => '0');
SELECT attempt, reason, jsonb_array_length(history) FROM faultline.dead_letters WHERE job_id = 8001;
SELECT outcome, final, count(*) FROM faultline.attempts WHERE job_id = 8001 GROUP BY outcome, final ORDER BY outcome, final;

-- Again with the same token: it is given back already.
SELECT faultline.enqueue('back', priority => -1) AS job \gset
SELECT lease_token FROM faultline.claim('back', 'w') \gset
SELECT faultline.release(8003, :lease_token);
SELECT faultline.release(8003, :lease_token);
SELECT count(*) FROM faultline.attempts WHERE job_id = 8003;
SELECT lease_token AS newer FROM faultline.claim('back', 'w') \gset
-- ... also when another one runs it by now, who is left alone.
SELECT faultline.release(8003, :lease_token);
SELECT state, attempt FROM faultline.jobs WHERE job_id = 8003;
-- Tokens that are not in force, and unknown jobs.
SELECT faultline.release(8003, 1);
:sqlstate
SELECT faultline.release(8999, 1);
:sqlstate
SELECT faultline.fail(8003, :newer, 'no', retry_in => '0');
SELECT faultline.release(8003, :newer);
:sqlstate
SELECT lease_token FROM faultline.claim('back', 'w') \gset
SELECT faultline.complete(8003, :lease_token);
SELECT faultline.release(8003, :lease_token);
:sqlstate

-- A job that was asked to stop is not given back: it ends.
SELECT faultline.enqueue('back', priority => -1) AS job \gset
SELECT lease_token FROM faultline.claim('back', 'w') \gset
SELECT * FROM faultline.cancel('{8004}', 'no longer wanted');
SELECT faultline.release(8004, :lease_token);
SELECT state, last_error FROM faultline.jobs WHERE job_id = 8004;
SELECT faultline.release(8004, :lease_token);
SELECT outcome, final FROM faultline.attempts WHERE job_id = 8004;

SELECT faultline.drop_queue(queue, force => true) FROM faultline.stat_queues ORDER BY queue;
SELECT faultline.set_clock(NULL) \gset
SELECT * FROM faultline.check_invariants();
