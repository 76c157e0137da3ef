-- Complete: the end as succeeded, and every call that must not reach it.
\set sqlstate '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'
\set SHOW_CONTEXT never
SET timezone = 'UTC';
SET datestyle = 'ISO';
SET intervalstyle = 'postgres';
SELECT faultline.set_clock('2026-01-01 00:00Z') \gset
ALTER SEQUENCE faultline.job_id_seq RESTART 5001;
SELECT faultline.create_queue('done', backoff_jitter => 0) \gset

--
-- Success
--
SELECT faultline.enqueue('done', '{"n": 1}', idempotency_key => 'k', headers => '{"h": 1}', kind => 'sum', priority => 3);
SELECT job_id, lease_token FROM faultline.claim('done', 'w') \gset
SELECT faultline.advance_clock('5 s') \gset
SELECT faultline.complete(:job_id, :lease_token, '{"total": 7}');
SELECT * FROM faultline.jobs WHERE job_id = 5001 \gx
-- Again with the same token: the answer may have been lost on the way.  The first result stands.
SELECT faultline.advance_clock('5 s') \gset
SELECT faultline.complete(:job_id, :lease_token);
SELECT faultline.complete(:job_id, :lease_token, '{"total": 8}');
SELECT state, result, finished_at FROM faultline.jobs WHERE job_id = 5001;
SELECT count(*) FROM faultline.live_jobs;
-- Without a result, and with null as JSON has it.
SELECT count(faultline.enqueue('done')) FROM generate_series(1, 2);
SELECT job_id, lease_token FROM faultline.claim('done', 'w') \gset
SELECT faultline.complete(:job_id, :lease_token);
SELECT result IS NULL AS no_result FROM faultline.jobs WHERE job_id = :job_id;
SELECT job_id, lease_token FROM faultline.claim('done', 'w') \gset
SELECT faultline.complete(:job_id, :lease_token, 'null');
SELECT result FROM faultline.jobs WHERE job_id = :job_id;

--
-- Tokens that are not those of the lease in force
--
SELECT faultline.enqueue('done') AS job \gset
-- Nobody has it.
SELECT faultline.complete(5004, 1);
:sqlstate
SELECT job_id, lease_token FROM faultline.claim('done', 'w1', lease => '1 s') \gset
-- Guessed.
SELECT faultline.complete(5004, 0);
:sqlstate
SELECT faultline.complete(5004, -1);
:sqlstate
SELECT faultline.complete(5004, :lease_token - 1);
:sqlstate
SELECT faultline.complete(5004, 9223372036854775807);
:sqlstate
-- The token of another job.
SELECT faultline.enqueue('done') AS other \gset
SELECT lease_token AS other_token FROM faultline.claim('done', 'w1') \gset
SELECT faultline.complete(5004, :other_token);
:sqlstate
SELECT faultline.complete(5005, :other_token);
-- Taken over: the old token is stale, the new one counts.
SELECT faultline.advance_clock('2 s') \gset
SELECT faultline.expire_leases();
SELECT faultline.complete(5004, :lease_token);
:sqlstate
SELECT faultline.advance_clock('1 s') \gset
SELECT lease_token AS new_token FROM faultline.claim('done', 'w2') \gset
SELECT faultline.complete(5004, :lease_token);
:sqlstate
SELECT faultline.complete(5004, :new_token);
-- Still stale when the successor has succeeded.
SELECT faultline.complete(5004, :lease_token);
:sqlstate
-- After fail, release and cancel.
SELECT count(faultline.enqueue('done')) FROM generate_series(1, 3);
SELECT lease_token AS failed FROM faultline.claim('done', 'w') \gset
SELECT faultline.fail(5006, :failed, 'no', discard => true);
SELECT faultline.complete(5006, :failed);
:sqlstate
SELECT lease_token AS released FROM faultline.claim('done', 'w') \gset
SELECT faultline.release(5007, :released);
SELECT faultline.complete(5007, :released);
:sqlstate
SELECT * FROM faultline.cancel('{5007,5008}');
SELECT faultline.complete(5007, :released);
:sqlstate
-- Jobs that do not exist.
SELECT faultline.complete(5999, 1);
:sqlstate
SELECT faultline.complete(0, :new_token);
:sqlstate
SELECT faultline.complete(-9223372036854775808, -9223372036854775808);
:sqlstate

--
-- The fence: what a stale worker wrote goes with its transaction
--
CREATE TEMP TABLE effects (note text);
BEGIN;
INSERT INTO effects VALUES ('written by a zombie');
SELECT faultline.complete(5004, :lease_token);
COMMIT;
SELECT count(*) FROM effects;

--
-- Claim and complete in one transaction
--
SELECT faultline.enqueue('done') AS job \gset
BEGIN;
SELECT job_id, lease_token FROM faultline.claim('done', 'w') \gset
SELECT faultline.complete(:job_id, :lease_token);
:sqlstate
ROLLBACK;
BEGIN;
SELECT job_id, lease_token FROM faultline.claim('done', 'w') \gset
SAVEPOINT s;
SELECT faultline.complete(:job_id, :lease_token);
:sqlstate
ROLLBACK TO s;
SELECT verdict FROM faultline.complete_many(ARRAY[:job_id], ARRAY[:lease_token]);
-- Releasing or failing such a job says nothing about success, so it is allowed.
SELECT faultline.release(:job_id, :lease_token);
COMMIT;
-- One statement is one transaction, too.
SELECT faultline.complete(job_id, lease_token) FROM faultline.claim('done', 'w');
:sqlstate
SELECT state, attempt FROM faultline.jobs WHERE job_id = :job;
-- The transactional dequeue, when asked for.
SET faultline.allow_same_transaction = on;
SELECT faultline.complete(job_id, lease_token) FROM faultline.claim('done', 'w');
SELECT state, attempt FROM faultline.jobs WHERE job_id = :job;
RESET faultline.allow_same_transaction;

--
-- Many at once
--
ALTER SEQUENCE faultline.job_id_seq RESTART 5101;
SELECT count(faultline.enqueue('done', to_jsonb(i))) FROM generate_series(1, 6) AS i;
SELECT * INTO TEMP held FROM faultline.claim('done', 'w', 5);
SELECT lease_token AS first FROM held WHERE job_id = 5101 \gset
SELECT lease_token AS second FROM held WHERE job_id = 5102 \gset
SELECT lease_token AS third FROM held WHERE job_id = 5103 \gset
SELECT lease_token AS fourth FROM held WHERE job_id = 5104 \gset
-- Verdicts in input order; one that cannot be does not hinder the others.
SELECT * FROM faultline.complete_many(ARRAY[5103, 5999, 5101, 5102, 5106, 5001],
  ARRAY[:third, 1, :first, :first, 0, 0], ARRAY['"three"', NULL, '"one"', '"two"', '6', '7']::jsonb[]);
SELECT job_id, state, result FROM faultline.jobs WHERE job_id BETWEEN 5101 AND 5106 ORDER BY job_id;
-- Again, and twice inside one call.
SELECT * FROM faultline.complete_many(ARRAY[5101, 5104, 5104, 5103, 5104], ARRAY[:first, :fourth, :fourth, :third, :fourth],
  ARRAY['"other"', '"kept"', '"other"', NULL, NULL]::jsonb[]);
SELECT job_id, state, result FROM faultline.jobs WHERE job_id IN (5101, 5104) ORDER BY job_id;
-- One job with two tokens: each decides for itself.
SELECT * FROM faultline.complete_many(ARRAY[5102, 5102, 5102], ARRAY[:second - 1, :second, :second + 1]);
SELECT * FROM faultline.complete_many('{}', '{}');
SELECT * FROM faultline.complete_many('{}', '{}', '{}');
-- 300 in one call, and once more.
SELECT count(faultline.enqueue('done')) FROM generate_series(1, 300);
SELECT array_agg(job_id) AS ids, array_agg(lease_token) AS tokens INTO TEMP batch FROM faultline.claim('done', 'w', 3000);
SELECT verdict, count(*) FROM batch, faultline.complete_many(ids, tokens) GROUP BY verdict;
SELECT verdict, count(*) FROM batch, faultline.complete_many(ids, tokens) GROUP BY verdict;

-- What failed before shows its last error still.
SELECT faultline.enqueue('done', priority => -1) AS job \gset
SELECT lease_token FROM faultline.claim('done', 'w') \gset
SELECT faultline.fail(:job, :lease_token, 'first time', retry_in => '0');
SELECT lease_token FROM faultline.claim('done', 'w') \gset
SELECT faultline.complete(:job, :lease_token);
SELECT state, attempt, last_error FROM faultline.jobs WHERE job_id = :job;
SELECT attempt, outcome, error, final FROM faultline.attempts WHERE job_id = :job;

SELECT faultline.drop_queue(queue, force => true) FROM faultline.stat_queues ORDER BY queue;
SELECT faultline.set_clock(NULL) \gset
SELECT * FROM faultline.check_invariants();
