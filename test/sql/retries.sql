-- Retries: when a failed job runs again, how often, and what is kept of each attempt.
\set sqlstate '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'
\set SHOW_CONTEXT never
SET timezone = 'UTC';
SET datestyle = 'ISO';
SET intervalstyle = 'postgres';
SELECT faultline.set_clock('2026-01-01 00:00Z') \gset
ALTER SEQUENCE faultline.job_id_seq RESTART 6001;
SELECT faultline.create_queue('tries', backoff_jitter => 0) \gset
-- Attempts that fail, each in its own transaction, and how long the job then waits.
CREATE TEMP TABLE tried (queue text, attempt int, verdict text, waits interval);
CREATE PROCEDURE pg_temp.fail_often(queue text, times int) LANGUAGE plpgsql AS $$
DECLARE
  held faultline.claimed_job;
  verdict text;
  waits interval;
BEGIN
  FOR i IN 1 .. times LOOP
    SELECT * INTO STRICT held FROM faultline.claim(queue, 'w');
    COMMIT;
    verdict := faultline.fail(held.job_id, held.lease_token, 'error ' || held.attempt);
    waits := (SELECT next_run_at FROM faultline.jobs j WHERE j.job_id = held.job_id) - faultline.clock_now();
    INSERT INTO tried VALUES (queue, held.attempt, verdict, waits);
    PERFORM faultline.advance_clock(coalesce(waits, '0'));
    COMMIT;
  END LOOP;
END $$;

--
-- Back-off: base * factor^(n-1), at most max
--
SELECT faultline.enqueue('tries');
CALL pg_temp.fail_often('tries', 15);
SELECT attempt, verdict, waits FROM tried;
TRUNCATE tried;
SELECT attempt, state, last_error FROM faultline.jobs WHERE job_id = 6001;
SELECT faultline.drop_queue('tries', true);
-- Other factors; a factor of 1 stays; a base over the maximum is cut; no back-off at all.
SELECT faultline.create_queue('f1.5', backoff_base => '10 s', backoff_factor => 1.5, backoff_max => '30 s', backoff_jitter => 0),
       faultline.create_queue('f1', backoff_base => '7 s', backoff_factor => 1, backoff_jitter => 0),
       faultline.create_queue('cut', backoff_base => '2 h', backoff_max => '90 s', backoff_jitter => 0),
       faultline.create_queue('none', backoff_base => '0', backoff_factor => 100, backoff_jitter => 0),
       faultline.create_queue('max0', backoff_base => '1 day', backoff_max => '0', backoff_jitter => 0) \gset
SELECT count(faultline.enqueue(queue)) FROM faultline.stat_queues;
CALL pg_temp.fail_often('f1.5', 5);
CALL pg_temp.fail_often('f1', 5);
CALL pg_temp.fail_often('cut', 3);
CALL pg_temp.fail_often('none', 3);
CALL pg_temp.fail_often('max0', 3);
SELECT * FROM tried;
TRUNCATE tried;
SELECT faultline.drop_queue(queue, true) FROM faultline.stat_queues;
-- The largest policy there is, at the largest attempt there is.
SELECT faultline.create_queue('huge', max_attempts => 10000, backoff_base => '3650 days', backoff_factor => 100,
                              backoff_max => '3650 days', backoff_jitter => 0) \gset
SELECT faultline.create_queue('steep', max_attempts => 10000, backoff_base => '1 us', backoff_factor => 100,
                              backoff_max => '3650 days', backoff_jitter => 0) \gset
SELECT faultline.enqueue('huge') AS huge, faultline.enqueue('steep') AS steep \gset
CALL pg_temp.fail_often('huge', 3);
SELECT attempt, verdict, waits FROM tried;
TRUNCATE tried;
CALL pg_temp.fail_often('steep', 10);
SELECT attempt, verdict, waits FROM tried;
TRUNCATE tried;
-- As if it had been tried 9,995 times before: the last of 10,000 attempts is the last.
-- No window knows a row that is written by hand.
SET faultline.fast_path = off;
UPDATE faultline.live_jobs SET attempt = 9995 WHERE job_id = :steep;
CALL pg_temp.fail_often('steep', 5);
SELECT attempt, verdict, waits FROM tried;
TRUNCATE tried;
SELECT faultline.drop_queue('huge', true), faultline.drop_queue('steep', true);
SELECT faultline.set_clock('2026-01-01 00:00Z') \gset
-- Jitter only shortens, by up to its share.
SELECT faultline.create_queue('spread', backoff_base => '100 s', backoff_jitter => 0.5) \gset
SELECT count(faultline.enqueue('spread')) FROM generate_series(1, 200);
SELECT count(faultline.fail(job_id, lease_token, 'no')) FROM faultline.claim('spread', 'w', 200);
SELECT min(next_run_at) >= '2026-01-01 00:00:50Z' AS lower, max(next_run_at) <= '2026-01-01 00:01:40Z' AS upper,
       max(next_run_at) - min(next_run_at) > '25 s' AS spreads, count(DISTINCT next_run_at) > 150 AS differ
  FROM faultline.jobs WHERE queue = 'spread';
SELECT faultline.drop_queue('spread', true);

--
-- The worker's own choice
--
SELECT faultline.create_queue('tries', max_attempts => 3, backoff_jitter => 0) \gset
ALTER SEQUENCE faultline.job_id_seq RESTART 6301;
SELECT faultline.enqueue('tries');
SELECT lease_token FROM faultline.claim('tries', 'w') \gset
SELECT faultline.fail(6301, :lease_token, 'later', retry_in => '42 s');
SELECT next_run_at, last_error FROM faultline.jobs WHERE job_id = 6301;
SELECT faultline.advance_clock('42 s') \gset
SELECT lease_token FROM faultline.claim('tries', 'w') \gset
SELECT faultline.fail(6301, :lease_token, 'at once', retry_in => '0');
SELECT attempt, lease_token FROM faultline.claim('tries', 'w') \gset
-- retry_in gives no more attempts than there are.
SELECT faultline.fail(6301, :lease_token, 'too late', retry_in => '1 s');
SELECT state, attempt, last_error FROM faultline.jobs WHERE job_id = 6301;
-- Discarded at the first attempt.
SELECT faultline.enqueue('tries');
SELECT lease_token FROM faultline.claim('tries', 'w') \gset
SELECT faultline.fail(6302, :lease_token, 'pointless', discard => true, retry_in => '1 s');
:sqlstate
SELECT faultline.fail(6302, :lease_token, 'pointless', discard => true);
SELECT job_id, reason, attempt, last_error FROM faultline.dead_letters ORDER BY job_id;

--
-- max_attempts is exact
--
SELECT faultline.purge_dead_letters('tries', '0');
ALTER SEQUENCE faultline.job_id_seq RESTART 6401;
SELECT faultline.enqueue('tries', max_attempts => 1);
CALL pg_temp.fail_often('tries', 1);
SELECT attempt, verdict, waits FROM tried;
TRUNCATE tried;
SELECT faultline.enqueue('tries', max_attempts => 3);
CALL pg_temp.fail_often('tries', 3);
SELECT attempt, verdict, waits FROM tried;
TRUNCATE tried;
SELECT count(*) FROM faultline.claim('tries', 'w');
SELECT job_id, reason, attempt, max_attempts FROM faultline.dead_letters ORDER BY job_id;

--
-- An expired lease is an attempt like any other
--
SELECT faultline.set_clock('2026-01-01 00:00Z') \gset
SELECT faultline.enqueue('tries');
SELECT lease_token AS first FROM faultline.claim('tries', 'crashes', lease => '10 s') \gset
SELECT faultline.advance_clock('00:00:09.999999') \gset
SELECT faultline.expire_leases();
SELECT faultline.advance_clock('1 us') \gset
SELECT faultline.expire_leases();
SELECT faultline.expire_leases();
SELECT state, attempt, next_run_at, lease_owner, lease_expires_at, last_error FROM faultline.jobs WHERE job_id = 6403;
SELECT faultline.advance_clock('1 s') \gset
SELECT lease_token AS second FROM faultline.claim('tries', 'fails') \gset
SELECT faultline.fail(6403, :second, 'broken');
SELECT faultline.advance_clock('2 s') \gset
SELECT lease_token AS third FROM faultline.claim('tries', 'gives back') \gset
SELECT faultline.release(6403, :third);
-- The release does not count: there is one more attempt.
SELECT lease_token AS fourth, attempt FROM faultline.claim('tries', 'crashes too', lease => '5 s') \gset
SELECT :attempt AS attempt;
SELECT faultline.advance_clock('5 s') \gset
SELECT faultline.expire_leases();
SELECT state, attempt, last_error, finished_at FROM faultline.jobs WHERE job_id = 6403;
-- Everything is in the attempts and, in order, in the dead letter.
SELECT * FROM faultline.attempts WHERE job_id = 6403 ORDER BY attempt;
SELECT reason, attempt, generation, jsonb_array_length(history) FROM faultline.dead_letters WHERE job_id = 6403;
SELECT jsonb_array_elements(history) FROM faultline.dead_letters WHERE job_id = 6403;

--
-- A repeated fail() gets the same answer, any other late call JQ001
--
SELECT faultline.fail(6403, :second, 'broken');
SELECT faultline.fail(6403, :second, 'with another text', discard => true);
SELECT faultline.fail(6403, :first, 'zombie');
:sqlstate
SELECT faultline.fail(6403, :third, 'zombie');
:sqlstate
SELECT faultline.fail(6403, :fourth, 'zombie');
:sqlstate
SELECT faultline.enqueue('tries', max_attempts => 1);
SELECT lease_token FROM faultline.claim('tries', 'w') \gset
SELECT faultline.fail(6404, :lease_token, 'last');
SELECT faultline.fail(6404, :lease_token, 'last');
SELECT faultline.enqueue('tries');
SELECT lease_token FROM faultline.claim('tries', 'w') \gset
SELECT faultline.complete(6405, :lease_token);
SELECT faultline.fail(6405, :lease_token, 'after all');
:sqlstate
SELECT faultline.fail(6999, :lease_token, 'no job');
:sqlstate
SELECT count(*) FROM faultline.attempts WHERE job_id IN (6403, 6404, 6405);

--
-- Many at once
--
ALTER SEQUENCE faultline.job_id_seq RESTART 6501;
SELECT faultline.enqueue('tries', max_attempts => CASE WHEN i = 2 THEN 1 END) FROM generate_series(1, 4) AS i;
SELECT array_agg(job_id) AS ids, array_agg(lease_token) AS tokens INTO TEMP held FROM faultline.claim('tries', 'w', 3);
SELECT verdict FROM faultline.cancel('{6503}');
SELECT f.* FROM held, faultline.fail_many(ARRAY[ids[3], ids[1], 6999, ids[2], 6504, ids[1]],
  ARRAY[tokens[3], tokens[1], 1, tokens[2], 1, tokens[1]], '{three,one,none,two,four,again}') AS f;
SELECT job_id, attempt, outcome, error FROM faultline.attempts WHERE job_id BETWEEN 6501 AND 6504 ORDER BY job_id;
SELECT f.* FROM held, faultline.fail_many(ids, tokens, '{one,two,three}') AS f;
SELECT count(*) FROM faultline.fail_many('{}', '{}', '{}');

--
-- Error texts: kept up to 16 kB, cut between characters
--
SELECT faultline.enqueue('tries', priority => -1) AS job \gset
SELECT lease_token FROM faultline.claim('tries', 'w') \gset
SELECT faultline.fail(:job, :lease_token, 'x' || repeat('é', 10000), retry_in => '0');
SELECT octet_length(last_error), length(last_error), right(last_error, 1) FROM faultline.jobs WHERE job_id = :job;
SELECT lease_token FROM faultline.claim('tries', 'w') \gset
SELECT faultline.fail(:job, :lease_token, '', retry_in => '0');
SELECT last_error = '' AS empty_text FROM faultline.jobs WHERE job_id = :job;
SELECT lease_token FROM faultline.claim('tries', 'w') \gset
SELECT faultline.fail(:job, :lease_token, repeat('z', 1000000));
SELECT octet_length(last_error), octet_length(history -> -1 ->> 'error') FROM faultline.dead_letters WHERE job_id = :job;

SELECT faultline.drop_queue(queue, force => true) FROM faultline.stat_queues ORDER BY queue;
SELECT faultline.set_clock(NULL) \gset
SELECT * FROM faultline.check_invariants();
