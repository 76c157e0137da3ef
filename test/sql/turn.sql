-- turn(): completes and claims in one call.
\set sqlstate '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'
\set SHOW_CONTEXT never
SET timezone = 'UTC';
SET datestyle = 'ISO';
SET intervalstyle = 'postgres';
SELECT faultline.set_clock('2026-01-01 00:00Z') \gset
ALTER SEQUENCE faultline.job_id_seq RESTART 20001;
SELECT faultline.create_queue('turn', lease => '10 s', backoff_base => '0', backoff_jitter => 0) \gset
SELECT faultline.create_queue('other') \gset
SELECT count(faultline.enqueue('turn', to_jsonb(n), kind => 'sum', headers => '{"h": 1}', max_attempts => 2))
  FROM generate_series(1, 6) AS n;
SELECT faultline.create_asset('EUR') \gset
CREATE TEMP TABLE held (job_id bigint, lease_token bigint);
-- A turn with what is held; what it claims is held next.  Tokens are random and not shown.
CREATE FUNCTION pg_temp.turn(max_jobs integer DEFAULT 1, queue text DEFAULT 'turn')
  RETURNS TABLE (place bigint, job_id bigint, verdict text, payload jsonb, attempt integer) LANGUAGE sql AS $$
  WITH ended AS (DELETE FROM held RETURNING *), asked AS (
    SELECT coalesce(array_agg(job_id ORDER BY job_id DESC), '{}') AS ids,
           coalesce(array_agg(lease_token ORDER BY job_id DESC), '{}') AS tokens FROM ended
  ), answer AS (
    SELECT t.* FROM asked, faultline.turn($2, 'w', ids, tokens, max_jobs => $1) WITH ORDINALITY AS t
  ), kept AS (
    INSERT INTO held SELECT job_id, lease_token FROM answer WHERE verdict = 'claimed'
  )
  SELECT ordinality, job_id, verdict, payload, attempt FROM answer ORDER BY ordinality
$$;

--
-- Empty arrays only claim; each further turn completes and claims
--
SELECT * FROM pg_temp.turn(2);
-- Verdicts come in input order, which here is from the highest id to the lowest.
SELECT * FROM pg_temp.turn(1);
SELECT * FROM pg_temp.turn(10);
SELECT job_id, state, attempt FROM faultline.jobs WHERE job_id > 20000 ORDER BY job_id;
SELECT * FROM pg_temp.turn(10);
SELECT * FROM pg_temp.turn(10);
-- A row of a claimed job is all of claimed_job; one of a completion has nothing but its verdict.
SELECT faultline.enqueue('turn', '{"n": 7}', kind => 'sum', headers => '{"h": 1}');
SELECT job_id, verdict, queue, kind, payload, headers, attempt, max_attempts, lease_token > 0 AS has_token,
       lease_expires_at, enqueued_at, last_error, progress, ledger
  FROM faultline.turn('turn', 'w', '{20001,20002}', '{1,2}', '{1,null}', lease => '1 h') \gx

--
-- Verdicts, none of which stops the claim
--
SELECT count(faultline.enqueue('turn')) FROM generate_series(1, 4) \gset
-- A job with a declared effect cannot succeed without it.
SELECT faultline.enqueue('turn', ledger => '{"transaction_id": "turn", "debit": "a", "credit": "b", "amount": 1,
                         "asset": "EUR"}') AS declared \gset
SELECT job_id AS a, lease_token AS a_token FROM faultline.claim('turn', 'w') \gset
SELECT job_id AS b, lease_token AS b_token FROM faultline.claim('turn', 'w') \gset
SELECT array_agg(job_id) AS ids, array_agg(lease_token) AS tokens FROM faultline.claim('turn', 'w', 3) \gset
-- Held, one with a declared effect; given twice; with another token; unknown; ended with another token.
SELECT job_id, verdict, attempt FROM faultline.turn('turn', 'w', :'ids'::bigint[] || ARRAY[:a, :a, :b, 9, 20001],
  :'tokens'::bigint[] || ARRAY[:a_token, :a_token, :b_token - 1, 1, 1]);
-- The job of a lost lease may be claimed by the very turn that heard so.
SELECT faultline.release(:b, :b_token);
SELECT job_id, verdict, attempt FROM faultline.turn('turn', 'w', ARRAY[:b], ARRAY[:b_token]::bigint[]);
-- Results go with their jobs.
SELECT faultline.enqueue('turn') AS c \gset
SELECT lease_token AS c_token FROM faultline.claim('turn', 'w') \gset
SELECT job_id, verdict FROM faultline.turn('turn', 'w', ARRAY[:c], ARRAY[:c_token]::bigint[], '{"{\"total\": 7}"}');
SELECT result FROM faultline.jobs WHERE job_id = :c;

--
-- A lease that is over, but was not taken
--
SELECT faultline.enqueue('turn') AS late \gset
SELECT lease_token AS late_token FROM faultline.claim('turn', 'w') \gset
SELECT faultline.advance_clock('1 h') \gset
BEGIN;
-- Its worker still ends it, and the same call does not take the lease for an expired one.
SELECT job_id, verdict FROM faultline.turn('turn', 'w', ARRAY[:late], ARRAY[:late_token]::bigint[], max_jobs => 10);
SELECT state, attempt FROM faultline.jobs WHERE job_id = :late;
ROLLBACK;
-- Under strict_lease it is refused, and the same call takes it over for the next one.
SET faultline.strict_lease = on;
SELECT job_id, verdict FROM faultline.turn('turn', 'w', ARRAY[:late], ARRAY[:late_token]::bigint[]);
RESET faultline.strict_lease;
SELECT state, attempt FROM faultline.jobs WHERE job_id = :late;
SELECT job_id, verdict, attempt, last_error FROM faultline.turn('turn', 'w', '{}', '{}', max_jobs => 10) WHERE job_id = :late;

--
-- Queues
--
-- Jobs of another queue are completed as well.
SELECT faultline.enqueue('other') AS o \gset
SELECT lease_token AS o_token FROM faultline.claim('other', 'w') \gset
SELECT faultline.pause_queue('turn');
SELECT faultline.enqueue('turn') \gset
-- Paused: completions happen, nothing is claimed.
SELECT job_id = :o AS completed, verdict FROM faultline.turn('turn', 'w', ARRAY[:o], ARRAY[:o_token]::bigint[], max_jobs => 9);
SELECT faultline.resume_queue('turn');
-- An unknown queue: nothing is done.
SELECT faultline.enqueue('other') AS o \gset
SELECT lease_token AS o_token FROM faultline.claim('other', 'w') \gset
SELECT * FROM faultline.turn('trun', 'w', ARRAY[:o], ARRAY[:o_token]::bigint[]);
:sqlstate
SELECT state FROM faultline.jobs WHERE job_id = :o;

--
-- In one transaction
--
BEGIN;
SELECT * FROM pg_temp.turn(2, 'other');
SELECT faultline.enqueue('other') \gset
SELECT verdict FROM pg_temp.turn(2, 'other');
-- What this transaction claimed it may not complete.
SELECT verdict FROM pg_temp.turn(2, 'other');
PREPARE TRANSACTION 'faultline_turn';
:sqlstate
-- All of it is taken back together.
SELECT job_id = :o AS still_held, verdict FROM faultline.turn('other', 'w', ARRAY[:o], ARRAY[:o_token]::bigint[]);

--
-- Arguments
--
SELECT * FROM faultline.turn('turn', 'w', '{1,2}', '{1}');
:sqlstate
SELECT * FROM faultline.turn('turn', 'w', '{1,2}', '{1,2}', '{1}');
:sqlstate
SELECT * FROM faultline.turn('turn', 'w', '{1}', '{null}');
:sqlstate
SELECT * FROM faultline.turn('turn', 'w', '{}', '{}', max_jobs => 0);
:sqlstate
SELECT * FROM faultline.check_invariants();
SELECT count(faultline.drop_queue(queue, force => true)) > 0 AS dropped FROM faultline.stat_queues;
