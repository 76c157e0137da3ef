-- Lease: extending it, what happens when it runs out, and who notices; how long it may be extended,
-- and what a clock that is set back does to it.
\set sqlstate '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'
\set SHOW_CONTEXT never
SET timezone = 'UTC';
SET datestyle = 'ISO';
SET intervalstyle = 'postgres';
SELECT faultline.set_clock('2026-01-01 00:00Z') \gset
ALTER SEQUENCE faultline.job_id_seq RESTART 7001;
SELECT faultline.create_queue('held', lease => '1 min', backoff_jitter => 0) \gset

--
-- Extending
--
SELECT faultline.enqueue('held');
SELECT lease_token FROM faultline.claim('held', 'w') \gset
SELECT faultline.advance_clock('50 s') \gset
-- From now on, by the queue's lease or the given one; it may also become shorter.
SELECT faultline.extend(7001, :lease_token);
SELECT faultline.extend(7001, :lease_token, '24 h');
SELECT faultline.extend(7001, :lease_token, lease => '100 ms');
SELECT faultline.extend(7001, :lease_token, lease => '90 s', progress => '{"step": 1}');
-- Without progress the one before is kept; null as JSON has it is a value.
SELECT faultline.extend(7001, :lease_token, progress => NULL);
SELECT state, attempt, lease_expires_at, progress FROM faultline.jobs WHERE job_id = 7001;
SELECT faultline.extend(7001, :lease_token, progress => 'null');
SELECT progress FROM faultline.jobs WHERE job_id = 7001;
SELECT faultline.extend(7001, :lease_token, lease => '0');
:sqlstate
SELECT faultline.extend(7001, :lease_token, lease => '1 day 1 us');
:sqlstate
-- The queue's lease as it is now, not as it was at the claim.
SELECT faultline.alter_queue('held', lease => '2 min') \gset
SELECT faultline.extend(7001, :lease_token);
-- Guessed and unknown.
SELECT faultline.extend(7001, :lease_token + 1);
:sqlstate
SELECT faultline.extend(7999, 1);
:sqlstate
-- Progress is there at the next attempt, and after the end.
SELECT faultline.extend(7001, :lease_token, progress => '{"step": 2}') \gset
SELECT faultline.fail(7001, :lease_token, 'stumbled', retry_in => '0');
SELECT faultline.extend(7001, :lease_token);
:sqlstate
SELECT lease_token, progress FROM faultline.claim('held', 'w') \gset
SELECT :'progress' AS progress;
SELECT faultline.complete(7001, :lease_token);
SELECT state, progress FROM faultline.jobs WHERE job_id = 7001;
SELECT faultline.extend(7001, :lease_token);
:sqlstate

--
-- Expired, but nobody has noticed: the work still counts
--
SELECT faultline.set_clock('2026-01-01 00:00Z') \gset
SELECT faultline.alter_queue('held', lease => '10 s') \gset
ALTER SEQUENCE faultline.job_id_seq RESTART 7101;
SELECT count(faultline.enqueue('held')) FROM generate_series(1, 4);
SELECT * INTO TEMP late FROM faultline.claim('held', 'w', 4);
SELECT lease_token AS first FROM late WHERE job_id = 7101 \gset
SELECT lease_token AS second FROM late WHERE job_id = 7102 \gset
SELECT lease_token AS third FROM late WHERE job_id = 7103 \gset
SELECT lease_token AS fourth FROM late WHERE job_id = 7104 \gset
SELECT faultline.advance_clock('1 h') \gset
SELECT faultline.complete(7101, :first);
SELECT faultline.extend(7102, :second);
SELECT faultline.fail(7103, :third, 'late');
SELECT faultline.release(7104, :fourth);
SELECT job_id, state, attempt, lease_expires_at, next_run_at FROM faultline.jobs WHERE job_id BETWEEN 7101 AND 7104 ORDER BY job_id;
SELECT faultline.drop_queue('held', true);

--
-- Taken over by claims alone, without any upkeep
--
SELECT faultline.create_queue('held', lease => '10 s', backoff_jitter => 0, max_attempts => 2) \gset
ALTER SEQUENCE faultline.job_id_seq RESTART 7201;
SELECT count(faultline.enqueue('held')) FROM generate_series(1, 2);
SELECT job_id, lease_token AS zombie FROM faultline.claim('held', 'crashes') \gset
SELECT faultline.advance_clock('10 s') \gset
-- This claim gets the other job, and ends the lease of the first on its way.
SELECT job_id FROM faultline.claim('held', 'w', 10);
SELECT job_id, state, attempt, next_run_at, last_error FROM faultline.jobs WHERE job_id BETWEEN 7201 AND 7202 ORDER BY job_id;
SELECT faultline.advance_clock('1 s') \gset
SELECT job_id, attempt, last_error FROM faultline.claim('held', 'w', 10);
SELECT faultline.complete(7201, :zombie);
:sqlstate
-- The second expiry uses the budget up: dead letters, made by a claim that finds no job.
SELECT faultline.advance_clock('10 s') \gset
SELECT count(*) FROM faultline.claim('held', 'w', 10);
SELECT faultline.advance_clock('1 s') \gset
SELECT job_id FROM faultline.claim('held', 'w', 10);
SELECT faultline.advance_clock('10 s') \gset
SELECT count(*) FROM faultline.claim('held', 'w', 10);
SELECT job_id, attempt, reason, last_error FROM faultline.dead_letters ORDER BY job_id;
SELECT job_id, attempt, worker, outcome, final FROM faultline.attempts WHERE job_id IN (7201, 7202) ORDER BY job_id, attempt;
SELECT faultline.drop_queue('held', true);
-- However many there are, all are taken over in the end.
SELECT faultline.create_queue('held', lease => '10 s', backoff_base => '0') \gset
SELECT count(faultline.enqueue('held')) FROM generate_series(1, 50);
SELECT count(*) FROM faultline.claim('held', 'crashes', 50);
SELECT faultline.advance_clock('10 s') \gset
CREATE TEMP TABLE taken (job_id bigint);
DO $$
BEGIN
  FOR i IN 1 .. 10 LOOP
    INSERT INTO taken SELECT job_id FROM faultline.claim('held', 'w', 50);
    COMMIT;
  END LOOP;
END $$;
SELECT count(*), count(DISTINCT job_id) FROM taken;
SELECT faultline.drop_queue('held', true);

--
-- Expiry by hand
--
SELECT faultline.create_queue('held', lease => '10 s', backoff_jitter => 0) \gset
SELECT count(faultline.enqueue('held')) FROM generate_series(1, 120);
SELECT count(*) FROM faultline.claim('held', 'w', 120);
SELECT faultline.expire_leases();
SELECT faultline.advance_clock('10 s') \gset
SELECT faultline.expire_leases(max_jobs => 7);
SELECT queued, scheduled, running FROM faultline.stat_queues;
SELECT duty, done, error FROM faultline.maintain() WHERE duty = 'expire_leases';
SELECT queued, scheduled, running FROM faultline.stat_queues;
SELECT faultline.expire_leases(NULL);
-- A pause does not keep a lease alive.
SELECT faultline.advance_clock('1 s') \gset
SELECT count(*) FROM faultline.claim('held', 'w', 2);
SELECT faultline.pause_queue('held') \gset
SELECT faultline.advance_clock('10 s') \gset
SELECT faultline.expire_leases();
SELECT faultline.resume_queue('held') \gset
SELECT faultline.drop_queue('held', true);

--
-- Many at once
--
SELECT faultline.create_queue('held', lease => '10 s') \gset
SELECT faultline.set_clock('2026-01-01 00:00Z') \gset
ALTER SEQUENCE faultline.job_id_seq RESTART 7301;
SELECT count(faultline.enqueue('held')) FROM generate_series(1, 4);
SELECT array_agg(job_id) AS ids, array_agg(lease_token) AS tokens INTO TEMP batch FROM faultline.claim('held', 'w', 3);
SELECT verdict FROM faultline.cancel('{7302}');
SELECT faultline.advance_clock('5 s') \gset
SELECT e.* FROM batch, faultline.extend_many(ARRAY[ids[3], 7999, ids[1], ids[2], 7304, ids[1]],
                                             ARRAY[tokens[3], 1, tokens[1], tokens[2], 1, tokens[1]]) AS e;
SELECT job_id, lease_expires_at FROM faultline.jobs WHERE job_id BETWEEN 7301 AND 7304 ORDER BY job_id;
SELECT e.* FROM batch, faultline.extend_many(ids, tokens, '1 h') AS e;
SELECT e.* FROM batch, faultline.extend_many(ids, tokens, NULL) AS e;
SELECT job_id, lease_expires_at FROM faultline.jobs WHERE job_id BETWEEN 7301 AND 7304 ORDER BY job_id;
SELECT * FROM faultline.extend_many('{}', '{}');
SELECT e.* FROM batch, faultline.extend_many(ids, tokens, '0') AS e;
:sqlstate

--
-- No attempt runs longer than max_runtime, however lively its heartbeat
--
SELECT faultline.drop_queue('held', true);
SELECT faultline.create_queue('bounded', max_attempts => 2, lease => '30 s', max_runtime => '70 s', backoff_jitter => 0) \gset
SELECT faultline.set_clock('2026-01-01 00:00Z') \gset
ALTER SEQUENCE faultline.job_id_seq RESTART 7401;
SELECT faultline.enqueue('bounded');
-- A lease that would be longer is cut at once.
BEGIN;
SELECT lease_expires_at FROM faultline.claim('bounded', 'w', lease => '1 h');
ROLLBACK;
SELECT lease_token, lease_expires_at FROM faultline.claim('bounded', 'hung') \gset
SELECT :'lease_expires_at' AS lease_expires_at;
SELECT faultline.advance_clock('25 s') \gset
SELECT faultline.extend(7401, :lease_token);
SELECT faultline.advance_clock('25 s') \gset
SELECT faultline.extend(7401, :lease_token);
SELECT verdict FROM faultline.extend_many('{7401}', ARRAY[:lease_token], '24 h');
SELECT lease_expires_at FROM faultline.jobs WHERE job_id = 7401;
SELECT faultline.advance_clock('19999999 us') \gset
SELECT faultline.expire_leases();
-- At the limit an extension still answers, with an end that is over, and the job ends by expiry.
SELECT faultline.advance_clock('5 s') \gset
SELECT faultline.extend(7401, :lease_token, progress => '{"step": 3}');
SELECT faultline.expire_leases();
SELECT faultline.extend(7401, :lease_token);
:sqlstate
SELECT state, attempt, last_error, progress FROM faultline.jobs WHERE job_id = 7401;
SELECT worker, outcome, started_at, ended_at, error FROM faultline.attempts WHERE job_id = 7401;
-- The limit is that of one attempt: the next has all of it, and a claim enforces it as well.
SELECT faultline.advance_clock('1 s') \gset
SELECT lease_token, attempt FROM faultline.claim('bounded', 'hung again') \gset
SELECT :attempt AS attempt;
SELECT faultline.advance_clock('25 s') \gset
SELECT faultline.extend(7401, :lease_token, '24 h');
SELECT faultline.advance_clock('45 s') \gset
SELECT count(*) FROM faultline.claim('bounded', 'w');
SELECT attempt, reason, last_error FROM faultline.dead_letters WHERE job_id = 7401;
-- A worker that dies earlier leaves a lease that ran out before the limit.
SELECT faultline.enqueue('bounded');
SELECT count(*) FROM faultline.claim('bounded', 'dies');
SELECT faultline.advance_clock('30 s') \gset
SELECT faultline.expire_leases();
SELECT last_error FROM faultline.jobs WHERE job_id = 7402;
-- Leases that were granted keep their end when the limit changes; the next extension has the new one.
SELECT faultline.advance_clock('1 s') \gset
SELECT lease_token FROM faultline.claim('bounded', 'w') \gset
SELECT faultline.alter_queue('bounded', max_runtime => '10 s') \gset
SELECT faultline.advance_clock('20 s') \gset
SELECT faultline.expire_leases();
SELECT faultline.extend(7402, :lease_token);
SELECT faultline.alter_queue('bounded', max_runtime => '0') \gset
SELECT faultline.extend(7402, :lease_token, '24 h');
SELECT faultline.complete(7402, :lease_token);

--
-- A clock that is set back: a lease that ends later than any can is over
--
SELECT faultline.set_clock('2026-01-10 00:00Z') \gset
ALTER SEQUENCE faultline.job_id_seq RESTART 7501;
SELECT count(faultline.enqueue('bounded')) FROM generate_series(1, 2);
SELECT count(*) FROM faultline.claim('bounded', 'w', 2, lease => '24 h');
SELECT faultline.expire_leases();
SELECT faultline.set_clock('2026-01-09 23:59:59.999999Z') \gset
SELECT faultline.expire_leases(max_jobs => 1);
SELECT job_id, state, next_run_at, last_error FROM faultline.jobs WHERE job_id BETWEEN 7501 AND 7503 ORDER BY job_id;
-- A claim takes such a job over, too, unless by the new time it would not be due yet, as 7502.
SELECT faultline.enqueue('bounded', run_at => '2026-01-09 23:59:59Z', priority => -1);
SELECT count(*) FROM faultline.claim('bounded', 'w', 1, lease => '24 h');
SELECT faultline.set_clock('2026-01-09 23:59:59.5Z') \gset
SELECT count(*) FROM faultline.claim('bounded', 'w', 1);
SELECT job_id, state, last_error FROM faultline.jobs WHERE job_id BETWEEN 7501 AND 7503 ORDER BY job_id;

SELECT faultline.drop_queue(queue, force => true) FROM faultline.stat_queues ORDER BY queue;
SELECT faultline.set_clock(NULL) \gset
SELECT * FROM faultline.check_invariants();
