-- Idempotency keys: the same request gives the same job, another one is refused, and for how long.
\set sqlstate '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'
\set SHOW_CONTEXT never
SET timezone = 'UTC';
SET datestyle = 'ISO';
SET intervalstyle = 'postgres';
SELECT faultline.set_clock('2026-01-01 00:00Z') \gset
ALTER SEQUENCE faultline.job_id_seq RESTART 3001;
SELECT faultline.create_queue('pay', keep_keys => '1 hour', backoff_jitter => 0) \gset
SELECT faultline.create_queue('other') \gset

--
-- The same request
--
SELECT faultline.enqueue('pay', '{"a": 1, "b": [2, 3]}', kind => 'card', idempotency_key => 'k1');
-- Order and white space inside the payload, headers and times do not matter.
SELECT faultline.enqueue('pay', '{ "b":[2,3], "a":1 }', kind => 'card', idempotency_key => 'k1',
  headers => '{"trace": 2}', delay => '5 min');
SELECT faultline.enqueue('pay', '{"a": 1, "b": [2, 3]}', kind => 'card', idempotency_key => 'k1',
  run_at => '2026-06-01 00:00Z');
-- The first request stands.
SELECT headers, next_run_at, count(*) OVER () FROM faultline.jobs WHERE idempotency_key = 'k1';
-- Without a key each call is a job; keys belong to their queue; they differ by every byte.
SELECT faultline.enqueue('pay', '1') <> faultline.enqueue('pay', '1') AS two_jobs;
SELECT faultline.enqueue('other', '"not the same"', idempotency_key => 'k1') <> 3001 AS own_job;
SELECT count(DISTINCT faultline.enqueue('pay', idempotency_key => key))
  FROM (VALUES ('K1'), ('k1 '), (' k1'), ('é'), (E'e\u0301')) AS v (key);

--
-- Another request
--
SELECT faultline.enqueue('pay', '{"a": 1, "b": [3, 2]}', kind => 'card', idempotency_key => 'k1');
:sqlstate
SELECT faultline.enqueue('pay', '{"a": 1.0, "b": [2, 3]}', kind => 'card', idempotency_key => 'k1');
:sqlstate
SELECT faultline.enqueue('pay', '{"a": 1, "b": [2, 3]}', idempotency_key => 'k1');
:sqlstate
SELECT faultline.enqueue('pay', '{"a": 1, "b": [2, 3]}', kind => 'cash', idempotency_key => 'k1');
:sqlstate
SELECT faultline.enqueue('pay', '{"a": 1, "b": [2, 3]}', kind => 'card', idempotency_key => 'k1', priority => 1);
:sqlstate
SELECT faultline.enqueue('pay', '{"a": 1, "b": [2, 3]}', kind => 'card', idempotency_key => 'k1', max_attempts => 20);
:sqlstate
-- No two different requests look alike, however kind and payload are cut.
SELECT faultline.enqueue('pay', '1', kind => 'x priority 0', idempotency_key => 'k2') > 0 AS enqueued;
SELECT faultline.enqueue('pay', '1', kind => 'x', idempotency_key => 'k2');
:sqlstate

--
-- Inside one enqueue_many
--
ALTER SEQUENCE faultline.job_id_seq RESTART 3101;
SELECT * FROM faultline.enqueue_many('pay', '{1,2,1,4,5,2}', idempotency_keys => '{m1,m2,m1,NULL,NULL,m2}');
SELECT job_id, payload, idempotency_key FROM faultline.jobs WHERE job_id BETWEEN 3101 AND 3199 ORDER BY job_id;
-- Some known, some new.
SELECT * FROM faultline.enqueue_many('pay', '{2,7,1}', idempotency_keys => '{m2,m7,m1}');
-- One conflict, with an earlier call or inside the call, refuses the whole call.
SELECT * FROM faultline.enqueue_many('pay', '{8,9}', idempotency_keys => '{m8,m1}');
:sqlstate
SELECT * FROM faultline.enqueue_many('pay', '{10,11}', idempotency_keys => '{m10,m10}');
:sqlstate
SELECT count(*) FROM faultline.jobs WHERE idempotency_key IN ('m8', 'm10');
-- enqueue and enqueue_many agree on what is the same.
SELECT faultline.enqueue('pay', '7', idempotency_key => 'm7') = 3108 AS same;

--
-- In transactions and savepoints
--
BEGIN;
SELECT faultline.enqueue('pay', '1', idempotency_key => 't1') AS first \gset
SELECT faultline.enqueue('pay', '1', idempotency_key => 't1') = :first AS same;
SAVEPOINT s;
SELECT faultline.enqueue('pay', '2', idempotency_key => 't1');
:sqlstate
ROLLBACK TO s;
SELECT faultline.enqueue('pay', '2', idempotency_key => 't2') AS second \gset
ROLLBACK TO s;
-- t2 was never used.
SELECT faultline.enqueue('pay', '"other"', idempotency_key => 't2') > :second AS new;
ROLLBACK;
SELECT faultline.enqueue('pay', '"other"', idempotency_key => 't1') > :second AS new;
SELECT count(faultline.enqueue('pay', '5', idempotency_key => 'statement')),
       count(DISTINCT faultline.enqueue('pay', '5', idempotency_key => 'statement'))
  FROM generate_series(1, 3);

--
-- How long a key is kept
--
SELECT faultline.drop_queue('pay', true) \gset
SELECT faultline.create_queue('pay', keep_keys => '1 hour', max_attempts => 1) \gset
ALTER SEQUENCE faultline.job_id_seq RESTART 3201;
CREATE TEMP VIEW keys AS
  SELECT key, k.job_id, k.created_at, expires_at FROM faultline.idempotency_keys k
    JOIN faultline.queues q USING (queue_id) WHERE q.name = 'pay' ORDER BY key;
SELECT faultline.enqueue('pay', '1', idempotency_key => 'succeeds');
SELECT job_id, lease_token FROM faultline.claim('pay', 'w') \gset
SELECT faultline.enqueue('pay', '1', idempotency_key => 'cancelled');
SELECT faultline.enqueue('pay', '1', idempotency_key => 'lives', delay => '1 year');
SELECT * FROM faultline.advance_clock('10 min') \gset
SELECT faultline.complete(:job_id, :lease_token);
SELECT * FROM faultline.cancel('{3202}');
SELECT faultline.enqueue('pay', '1', idempotency_key => 'dies');
SELECT job_id, lease_token FROM faultline.claim('pay', 'w') \gset
SELECT faultline.fail(:job_id, :lease_token, 'no');
SELECT * FROM keys;
-- After the end the first id is still the answer, and another request still a conflict.
SELECT faultline.enqueue('pay', '1', idempotency_key => 'succeeds') AS succeeded,
       faultline.enqueue('pay', '1', idempotency_key => 'cancelled') AS cancelled,
       faultline.enqueue('pay', '1', idempotency_key => 'lives') AS lives,
       faultline.enqueue('pay', '1', idempotency_key => 'dies') AS dead;
SELECT faultline.enqueue('pay', '2', idempotency_key => 'succeeds');
:sqlstate
-- One microsecond before keep_keys is over all keys are kept; then those of ended jobs go.
SELECT faultline.advance_clock('59:59.999999') \gset
SELECT duty, done, error FROM faultline.maintain() WHERE duty = 'expire_keys';
SELECT key FROM keys;
SELECT faultline.advance_clock('1 microsecond') \gset
SELECT duty, done, error FROM faultline.maintain() WHERE duty = 'expire_keys';
SELECT key FROM keys;
-- A forgotten key is free for any request; those of a live job and of a dead letter never go.
SELECT faultline.enqueue('pay', '"new"', idempotency_key => 'succeeds') > 3204 AS new;
SELECT faultline.advance_clock('300 days') \gset
SELECT duty, done, error FROM faultline.maintain() WHERE duty = 'expire_keys';
SELECT faultline.enqueue('pay', '1', idempotency_key => 'lives') AS lives,
       faultline.enqueue('pay', '1', idempotency_key => 'dies') AS dead;
-- Purged: keep_keys from then on.  Redriven: a job like others.
SELECT faultline.purge_dead_letters('pay', '0');
SELECT key, expires_at FROM keys;
SELECT faultline.enqueue('pay', '1', idempotency_key => 'dies') AS purged;
SELECT faultline.advance_clock('1 hour') \gset
SELECT duty, done FROM faultline.maintain() WHERE duty = 'expire_keys';
SELECT faultline.enqueue('pay', '1', idempotency_key => 'dies', priority => -1) > 3204 AS new;
SELECT job_id, lease_token FROM faultline.claim('pay', 'w') \gset
SELECT faultline.fail(:job_id, :lease_token, 'no');
SELECT verdict FROM faultline.redrive(ARRAY[:job_id]);
SELECT faultline.enqueue('pay', '1', idempotency_key => 'dies', priority => -1) = :job_id AS same;
SELECT job_id, lease_token FROM faultline.claim('pay', 'w') \gset
SELECT faultline.complete(:job_id, :lease_token);
SELECT expires_at - faultline.clock_now() AS kept_for FROM keys WHERE key = 'dies';
-- keep_keys is the queue's at the time of the end; with none the key may go at once.
SELECT faultline.alter_queue('pay', keep_keys => '0') \gset
SELECT faultline.enqueue('pay', idempotency_key => 'brief', priority => -2) \gset
SELECT job_id, lease_token FROM faultline.claim('pay', 'w') \gset
SELECT faultline.complete(:job_id, :lease_token);
SELECT expires_at - faultline.clock_now() AS kept_for FROM keys WHERE key = 'brief';
SELECT duty, done FROM faultline.maintain() WHERE duty = 'expire_keys';
SELECT key FROM keys;
-- A key that was removed by hand belongs to whoever uses it next: the end of the job that had it before
-- does not begin its expiry.
SELECT faultline.enqueue('pay', idempotency_key => 'removed', priority => -3) \gset
DELETE FROM faultline.idempotency_keys WHERE key = 'removed';
SELECT faultline.enqueue('pay', idempotency_key => 'removed', delay => '1 h') > :enqueue AS another_job;
SELECT job_id = :enqueue AS first, job_id, lease_token FROM faultline.claim('pay', 'w') \gset
SELECT faultline.complete(:job_id, :lease_token);
SELECT :'first' AS first_completed, job_id > :job_id AS of_the_other, expires_at FROM keys WHERE key = 'removed';

--
-- Keys themselves
--
SELECT faultline.enqueue('pay', idempotency_key => '');
:sqlstate
SELECT faultline.enqueue('pay', idempotency_key => repeat('x', 513));
:sqlstate
SELECT faultline.enqueue('pay', idempotency_key => repeat('é', 257));
:sqlstate
SELECT * FROM faultline.enqueue_many('pay', '{1,2}', idempotency_keys => ARRAY['ok', '']);
:sqlstate
SELECT * FROM faultline.enqueue_many('pay', '{1,2}', idempotency_keys => '{ok}');
:sqlstate
SELECT faultline.enqueue('pay', idempotency_key => 'x''); DELETE FROM faultline.live_jobs; --') > 0 AS enqueued;
SELECT faultline.enqueue('pay', '1', idempotency_key => 'x''); DELETE FROM faultline.live_jobs; --');
:sqlstate

SELECT faultline.drop_queue(queue, force => true) FROM faultline.stat_queues ORDER BY queue;
SELECT faultline.set_clock(NULL) \gset
SELECT * FROM faultline.check_invariants();
