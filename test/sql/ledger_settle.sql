-- How attempts end for jobs with an effect: with their entry they succeeded, however the attempt ended; without it the
-- intent fails with its job.  And what that means for complete(), cancel(), redrive() and drop_queue().
\set sqlstate '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'
\set SHOW_CONTEXT never
SET timezone = 'UTC';
SET datestyle = 'ISO';
SELECT faultline.set_clock('2026-01-01 00:00Z') \gset
SET faultline.allow_same_transaction = on;
SELECT faultline.create_queue('settle', max_attempts => 2, lease => '10 s', backoff_base => '0', backoff_jitter => 0) \gset
SELECT faultline.create_asset('SEK') \gset
-- What other tests have left.
SELECT count(*) FROM faultline.reconcile(100000) \gset
ALTER SEQUENCE faultline.job_id_seq RESTART 33001;
CREATE FUNCTION pg_temp.intent(id text) RETURNS jsonb LANGUAGE sql
  RETURN jsonb_build_object('transaction_id', id, 'debit', 'a', 'credit', 'b', 'amount', 1, 'asset', 'SEK');

-- Every end of an attempt, with and without the entry, of declared and undeclared effects.
CREATE TEMP TABLE ends (nr int GENERATED ALWAYS AS IDENTITY, what text, call text);
INSERT INTO ends (what, call) VALUES
  ('fail', $$SELECT faultline.fail($1, $2, 'broken')$$),
  ('fail, last attempt', $$SELECT faultline.fail($1, $2, 'broken')$$),
  ('fail, to be cancelled', $$SELECT faultline.fail($1, $2, 'broken')$$),
  ('fail_many', $$SELECT verdict FROM faultline.fail_many(ARRAY[$1], ARRAY[$2], '{broken}')$$),
  ('discard', $$SELECT faultline.fail($1, $2, 'broken', discard => true)$$),
  ('release', $$SELECT 'released' || faultline.release($1, $2)::text$$),
  ('release, to be cancelled', $$SELECT 'released' || faultline.release($1, $2)::text$$),
  ('expire_leases', $$SELECT faultline.expire_leases() WHERE $1 + $2 IS NOT NULL$$),
  ('expire_leases, last attempt', $$SELECT faultline.expire_leases() WHERE $1 + $2 IS NOT NULL$$),
  ('expire_leases, to be cancelled', $$SELECT faultline.expire_leases() WHERE $1 + $2 IS NOT NULL$$),
  ('reconcile', $$SELECT string_agg(rule || '=' || rows, ' ') FROM faultline.reconcile() WHERE rows > 0 AND $1 + $2 IS NOT NULL$$),
  ('claim', $$SELECT count(*)::text FROM faultline.claim('settle', 'w') WHERE $1 + $2 IS NOT NULL$$),
  ('complete', $$SELECT faultline.complete($1, $2)$$),
  ('complete_many', $$SELECT verdict FROM faultline.complete_many(ARRAY[$1], ARRAY[$2])$$),
  ('cancel', $$SELECT verdict FROM faultline.cancel(ARRAY[$1]) WHERE $2 IS NOT NULL$$),
  ('drop_queue', $$SELECT faultline.drop_queue('settle', force => true)::text WHERE $1 + $2 IS NOT NULL$$);
CREATE FUNCTION pg_temp.outcome(what text, call text, declared boolean, applied boolean) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  held faultline.claimed_job;
  answer text;
  again text;
BEGIN
  PERFORM faultline.enqueue('settle', ledger => CASE WHEN declared THEN pg_temp.intent('s') END);
  held := faultline.claim('settle', 'w');
  IF what LIKE '%last attempt' THEN
    PERFORM faultline.fail(held.job_id, held.lease_token, 'first');
    held := faultline.claim('settle', 'w');
  END IF;
  IF applied THEN
    PERFORM faultline.apply_ledger(held.job_id, held.lease_token, 's', 'a', 'b', 1, 'SEK');
  END IF;
  IF what LIKE '%cancelled' THEN
    PERFORM faultline.cancel(ARRAY[held.job_id], 'not wanted');
  END IF;
  IF call ~ 'expire|reconcile|claim' THEN
    PERFORM faultline.advance_clock('10 s');
  END IF;
  FOR i IN 1 .. 2 LOOP
    again := answer;
    BEGIN
      EXECUTE call INTO answer USING held.job_id, held.lease_token;
    EXCEPTION WHEN OTHERS THEN answer := SQLSTATE;
    END;
  END LOOP;
  RAISE EXCEPTION USING ERRCODE = 'U0000', MESSAGE = format('%s, again %s; job %s; %s', again, answer,
    (SELECT state || coalesce(' (' || last_error || ')', '') FROM faultline.jobs WHERE job_id = held.job_id),
    coalesce((SELECT state::text || coalesce(' (' || failure_reason || ')', '') FROM faultline.ledger_transactions
               WHERE transaction_id = 's'), '-'));
EXCEPTION WHEN SQLSTATE 'U0000' THEN
  RETURN SQLERRM;
END $$;
SELECT what, CASE WHEN declared THEN 'declared' ELSE 'not' END || CASE WHEN applied THEN ', entry' ELSE '' END AS effect,
       pg_temp.outcome(what, call, declared, applied) AS "answer; job; transaction"
  FROM ends, unnest('{t,f}'::boolean[]) AS declared, unnest('{t,f}'::boolean[]) AS applied ORDER BY nr, declared DESC, applied DESC;

-- The text of what complete() says.
SELECT faultline.enqueue('settle', ledger => pg_temp.intent('settle1')) AS job \gset
SELECT job_id, lease_token FROM faultline.claim('settle', 'w') \gset
SELECT faultline.complete(:job_id, :lease_token);
:sqlstate
-- One answer of complete_many() does not spoil the others.
SELECT faultline.enqueue('settle') AS plain \gset
SELECT lease_token AS plain_token FROM faultline.claim('settle', 'w') \gset
SELECT verdict FROM faultline.complete_many(ARRAY[:job_id, :plain], ARRAY[:lease_token, :plain_token]);

-- Redrive: the same effect under a new id, once more for each generation.
SELECT faultline.fail(:job_id, :lease_token, 'one', discard => true);
SELECT verdict FROM faultline.redrive(ARRAY[:job_id]);
SELECT ledger->>'transaction_id' AS id, lease_token FROM faultline.claim('settle', 'w') \gset
SELECT :'id', faultline.fail(:job_id, :lease_token, 'two', discard => true);
SELECT verdict FROM faultline.redrive(ARRAY[:job_id]);
SELECT ledger FROM faultline.claim('settle', 'w');
SELECT lease_token FROM faultline.live_jobs WHERE job_id = :job_id \gset
-- Ids of former generations say that they failed; the present one is applied.
SELECT faultline.apply_ledger(:job_id, :lease_token, 'settle1~2');
:sqlstate
SELECT verdict FROM faultline.apply_and_complete(:job_id, :lease_token, 'settle1~3');
SELECT transaction_id, generation, state, failure_reason FROM faultline.transactions WHERE transaction_id LIKE 'settle1%' ORDER BY 1;
SELECT verdict FROM faultline.redrive(ARRAY[:job_id]);
SELECT verdict FROM faultline.cancel(ARRAY[:job_id]);
-- The new id is taken by somebody: the dead letter stays.  A declared id of 255 bytes has room for what is appended.
SELECT faultline.enqueue('settle', ledger => pg_temp.intent('settle2')) AS job, faultline.enqueue('settle', ledger => pg_temp.intent(repeat('l', 255))) AS long,
       faultline.enqueue('settle', ledger => pg_temp.intent('settle2~2')) AS taken \gset
SELECT count(faultline.fail(job_id, lease_token, 'no', discard => true)) FROM faultline.claim('settle', 'w', 2);
SELECT job_id = :long AS long, verdict FROM faultline.redrive(ARRAY[:job, :long]);
SELECT state FROM faultline.jobs WHERE job_id = :job;
SELECT octet_length(ledger->>'transaction_id'), right(ledger->>'transaction_id', 3) FROM faultline.claim('settle', 'w', 9) WHERE job_id = :long;
SELECT lease_token FROM faultline.live_jobs WHERE job_id = :long \gset
SELECT verdict FROM faultline.apply_and_complete(:long, :lease_token, repeat('l', 255) || '~2');
-- Written by other means, an entry of a dead letter or of a waiting job keeps it from being started or cancelled.
SELECT faultline.enqueue('settle', ledger => pg_temp.intent('settle3')) AS waiting \gset
BEGIN;
SET CONSTRAINTS ALL DEFERRED;
INSERT INTO faultline.ledger_entries SELECT nextval('faultline.ledger_entry_id_seq'), job_id, amount, created_at, 1, transaction_id, debit,
  credit, asset FROM faultline.ledger_transactions WHERE transaction_id IN ('settle2', 'settle3');
SELECT verdict FROM faultline.redrive(ARRAY[:job]);
SELECT verdict FROM faultline.cancel(ARRAY[:waiting]);
ROLLBACK;

-- What a dropped queue had declared fails; what it had applied stays, and is still answered.
SELECT faultline.enqueue('settle', ledger => pg_temp.intent('settle4'), priority => -1) AS job \gset
SELECT lease_token FROM faultline.claim('settle', 'w') \gset
SELECT verdict FROM faultline.apply_ledger(:job, :lease_token);
SELECT faultline.drop_queue('settle', force => true) > 0;
SELECT transaction_id, state, failure_reason FROM faultline.ledger_transactions WHERE transaction_id IN ('settle2~2', 'settle3', 'settle4') ORDER BY 1;
SELECT verdict FROM faultline.apply_ledger(:job, :lease_token, 'settle4');
SELECT verdict FROM faultline.apply_and_complete(:job, :lease_token, 'settle4');
SELECT faultline.apply_ledger(:waiting, 1, 'settle3');
:sqlstate
SELECT state, failure_reason FROM faultline.transaction_status('settle3');
SELECT rule, rows FROM faultline.reconcile() WHERE rows > 0;
SELECT state FROM faultline.transaction_status('settle4');
SELECT faultline.set_clock(NULL) \gset
SELECT * FROM faultline.check_invariants();
