-- Applying effects: the answer of apply_ledger() and apply_and_complete() in each situation, for jobs that
-- declared their effect and jobs that did not, and what is in the tables afterwards.
\set SHOW_CONTEXT never
SET timezone = 'UTC';
SET datestyle = 'ISO';
SELECT faultline.set_clock('2026-01-01 00:00Z') \gset
SET faultline.allow_same_transaction = on;
SELECT faultline.create_queue('pay', max_attempts => 2, lease => '10 s', backoff_base => '0', backoff_jitter => 0) \gset
SELECT faultline.create_asset('CHF'), faultline.create_asset('USD') \gset
SELECT faultline.open_account('buyer', 'CHF'), faultline.open_account('shop', 'CHF') \gset

-- The job at hand, "other" is a second one.  Each case is undone, so every one begins with these rows only.
CREATE TEMP TABLE subject (job_id bigint, lease_token bigint, other_id bigint);
CREATE FUNCTION pg_temp.intent(id text) RETURNS jsonb LANGUAGE sql
  RETURN jsonb_build_object('transaction_id', id, 'debit', 'buyer', 'credit', 'shop', 'amount', 100, 'asset', 'CHF');
CREATE FUNCTION pg_temp.take() RETURNS void LANGUAGE sql AS $$
  UPDATE subject s SET lease_token = c.lease_token FROM faultline.claim('pay', 'w') c WHERE c.job_id = s.job_id
$$;
-- What the tables hold, in a line.
CREATE FUNCTION pg_temp.rows() RETURNS text LANGUAGE sql AS $$
  SELECT format('job %s; %s; %s entries; buyer %s shop %s',
    (SELECT state FROM faultline.jobs JOIN subject USING (job_id)),
    coalesce((SELECT string_agg(transaction_id || ' ' || state, ', ' ORDER BY transaction_id)
                FROM faultline.transactions WHERE queue = 'pay'), 'no transaction'),
    (SELECT count(*) FROM faultline.ledger_entries WHERE asset = 'CHF'),
    (SELECT balance || '/' || version FROM faultline.accounts WHERE account = 'buyer' AND asset = 'CHF'),
    (SELECT balance || '/' || version FROM faultline.accounts WHERE account = 'shop' AND asset = 'CHF'))
$$;
CREATE FUNCTION pg_temp.applied() RETURNS text LANGUAGE sql
  AS $$SELECT verdict FROM subject, faultline.apply_ledger(job_id, lease_token, 't', 'buyer', 'shop', 100, 'CHF')$$;
CREATE FUNCTION pg_temp.arrange(situation text, declared boolean) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO subject VALUES (faultline.enqueue('pay', ledger => CASE WHEN declared THEN pg_temp.intent('t') END), 1);
  IF situation NOT IN ('queued', 'cancelled') THEN
    PERFORM pg_temp.take();
  END IF;
  CASE situation
    WHEN 'applied before', 'other amount', 'other debit', 'other credit', 'other asset', 'other id, entry exists' THEN
      PERFORM pg_temp.applied();
    WHEN 'applied before, another token' THEN
      PERFORM pg_temp.applied();
      UPDATE subject SET lease_token = 1;
    WHEN 'applied before, job ended' THEN
      PERFORM pg_temp.applied(), faultline.complete(job_id, lease_token) FROM subject;
    WHEN 'id of another job', 'id of another job, applied' THEN
      UPDATE subject SET other_id = faultline.enqueue('pay', ledger => pg_temp.intent('o'));
      IF situation LIKE '%applied' THEN
        PERFORM faultline.apply_ledger(c.job_id, c.lease_token) FROM faultline.claim('pay', 'w') c;
      END IF;
    WHEN 'id failed before' THEN  -- and so was its job, which was redriven
      PERFORM faultline.fail(job_id, lease_token, 'card stolen', discard => true) FROM subject;
      INSERT INTO faultline.ledger_transactions SELECT job_id, 100, now(), now(), 1, queue_id, 'f', 't', 'buyer', 'shop',
        'CHF', NULL, 'card stolen' FROM faultline.failed_jobs WHERE NOT declares_effect;
      PERFORM faultline.redrive(ARRAY[job_id]) FROM subject;
      PERFORM pg_temp.take();
    WHEN 'claimed by another' THEN
      PERFORM faultline.advance_clock('10 s'), faultline.expire_leases();
      PERFORM faultline.claim('pay', 'w');
    WHEN 'failed' THEN PERFORM faultline.fail(job_id, lease_token, 'no', discard => true) FROM subject;
    WHEN 'cancelled' THEN PERFORM faultline.cancel(ARRAY[job_id]) FROM subject;
    WHEN 'wrong token' THEN UPDATE subject SET lease_token = 1;
    WHEN 'lease over, not taken', 'lease over, strict' THEN PERFORM faultline.advance_clock('10 s');
      PERFORM set_config('faultline.strict_lease', (situation LIKE '%strict')::text, true);
    WHEN 'below min_balance' THEN PERFORM faultline.alter_account('buyer', 'CHF', min_balance => -99);
    WHEN 'above max_balance' THEN PERFORM faultline.alter_account('shop', 'CHF', max_balance => 99);
    WHEN 'debit closed' THEN PERFORM faultline.close_account('buyer', 'CHF');
    WHEN 'credit closed' THEN PERFORM faultline.close_account('shop', 'CHF');
    WHEN 'debit overflows' THEN UPDATE faultline.ledger_accounts SET balance = -9223372036854775808 + 99 WHERE account = 'buyer' AND asset = 'CHF';
    WHEN 'credit overflows' THEN UPDATE faultline.ledger_accounts SET balance = 9223372036854775807 - 99 WHERE account = 'shop' AND asset = 'CHF';
    WHEN 'claimed in this transaction' THEN PERFORM set_config('faultline.allow_same_transaction', 'off', true);
    WHEN 'unknown job' THEN UPDATE subject SET job_id = 999999999;
    WHEN 'read-only transaction' THEN PERFORM set_config('transaction_read_only', 'on', true);
    ELSE NULL;
  END CASE;
END $$;
-- The arguments from transaction_id on, named as said in the situation.
CREATE FUNCTION pg_temp.arguments(situation text) RETURNS text LANGUAGE sql AS $$
  SELECT format('%L, %L, %L, %s, %L',
    CASE situation WHEN 'other id' THEN 'u' WHEN 'other id, entry exists' THEN 'u' WHEN 'id of another job' THEN 'o'
                   WHEN 'id of another job, applied' THEN 'o' ELSE 't' END,
    CASE situation WHEN 'other debit' THEN 'thief' WHEN 'equal accounts' THEN 'shop' ELSE 'buyer' END,
    CASE situation WHEN 'other credit' THEN 'thief' ELSE 'shop' END,
    CASE situation WHEN 'other amount' THEN 999 WHEN 'amount 0' THEN 0 ELSE 100 END,
    CASE situation WHEN 'other asset' THEN 'USD' WHEN 'unknown asset' THEN 'CHFR' ELSE 'CHF' END)
$$;
-- The answer, and the rows where they changed.  Numbers that depend on earlier cases are masked.
CREATE FUNCTION pg_temp.outcome(situation text, verb text, declared boolean, arguments text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  answer text;
  before text;
  message text;
  detail text;
  hint text;
BEGIN
  PERFORM pg_temp.arrange(situation, declared);
  before := pg_temp.rows();
  BEGIN
    EXECUTE format('SELECT verdict FROM subject, faultline.%s(job_id, lease_token%s)', verb, ', ' || arguments) INTO answer;
    SET CONSTRAINTS ALL IMMEDIATE;
  EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
    answer := format(E'%s %s\n%s\n%s', SQLSTATE, message, detail, hint);
  END;
  answer := answer || E'\n-> ' || CASE pg_temp.rows() WHEN before THEN 'nothing written' ELSE pg_temp.rows() END;
  answer := regexp_replace(answer, '(job |job is [0-9]+, given was |job is )[0-9]+', '\1JOB', 'gi');
  answer := regexp_replace(answer, 'job is [0-9]+, given', 'job is JOB, given');
  RAISE EXCEPTION USING ERRCODE = 'U0000', MESSAGE = answer;
EXCEPTION WHEN SQLSTATE 'U0000' THEN
  RETURN SQLERRM;
END $$;
ALTER SEQUENCE faultline.job_id_seq RESTART 31001;

CREATE TEMP TABLE situations (nr int GENERATED ALWAYS AS IDENTITY, situation text);
INSERT INTO situations (situation) SELECT unnest(ARRAY['first time', 'applied before', 'applied before, another token',
  'applied before, job ended', 'other amount', 'other debit', 'other credit', 'other asset', 'other id',
  'other id, entry exists', 'id of another job', 'id of another job, applied', 'id failed before', 'queued', 'wrong token',
  'claimed by another', 'failed', 'cancelled', 'lease over, not taken', 'lease over, strict', 'below min_balance',
  'above max_balance', 'debit closed', 'credit closed', 'debit overflows', 'credit overflows', 'amount 0', 'equal accounts',
  'unknown asset', 'claimed in this transaction', 'unknown job', 'read-only transaction']);
-- Each answer with the calls that get it: of jobs that declared the effect, with nulls or with everything repeated, and
-- of jobs that did not declare it.
\pset format unaligned
\pset footer off
\pset tuples_only on
\pset recordsep '\n\n'
SELECT format('%s: %s', situation, string_agg(answer || E'\n   (' || calls || ')', E'\n' ORDER BY calls))
  FROM (SELECT nr, situation, answer, string_agg(verb || ' ' || variant, ', ' ORDER BY verb, variant) AS calls
          FROM situations, unnest('{apply_ledger,apply_and_complete}'::text[]) AS verb,
               unnest('{nulls,declared,undeclared}'::text[]) AS variant,
               LATERAL pg_temp.outcome(situation, verb, variant <> 'undeclared',
                 CASE variant WHEN 'nulls' THEN 'NULL' ELSE pg_temp.arguments(situation) END) AS answer
         WHERE variant <> 'nulls' OR pg_temp.arguments(situation) = pg_temp.arguments('')
         GROUP BY nr, situation, answer) AS a
 GROUP BY nr, situation ORDER BY nr;

-- Metadata of the call is kept when none was declared; result goes to the job.
SELECT faultline.enqueue('pay', ledger => pg_temp.intent('m1') || '{"metadata": {"from": "producer"}}'),
       faultline.enqueue('pay', ledger => pg_temp.intent('m2')) \gset
SELECT verdict FROM faultline.claim('pay', 'w', 2) c,
       faultline.apply_and_complete(c.job_id, c.lease_token, metadata => '{"from": "worker"}', result => '"paid"');
SELECT transaction_id, state, metadata, attempt, applied_at FROM faultline.transactions WHERE asset = 'CHF' ORDER BY transaction_id;
SELECT state, result FROM faultline.jobs WHERE queue = 'pay';
-- A worker is told what to move.
SELECT faultline.enqueue('pay', ledger => pg_temp.intent('claimed')), faultline.enqueue('pay') \gset
SELECT ledger FROM faultline.claim('pay', 'w', 2) ORDER BY job_id;

-- Constraints that the application checks at once: entry and state are judged when both are written.
BEGIN;
SET CONSTRAINTS ALL IMMEDIATE;
SELECT faultline.enqueue('pay', ledger => pg_temp.intent('c1')), faultline.enqueue('pay'),
       faultline.enqueue('pay', ledger => pg_temp.intent('c3')) \gset
CREATE TEMP TABLE held AS SELECT * FROM faultline.claim('pay', 'w', 3);
SELECT verdict FROM held, faultline.apply_and_complete(job_id, lease_token, coalesce(ledger->>'transaction_id', 'c2'),
  'buyer', 'shop', 1 + 99 * (ledger IS NOT NULL)::int, 'CHF') WHERE ledger->>'transaction_id' IS DISTINCT FROM 'c3';
SELECT faultline.enqueue('pay', ledger => pg_temp.intent('c5'), priority => -1) AS many \gset
SELECT verdict FROM faultline.claim('pay', 'w') c, faultline.apply_and_complete_many(ARRAY[c.job_id], ARRAY[c.lease_token]);
SELECT faultline.fail(job_id, lease_token, 'no', discard => true) FROM held WHERE ledger->>'transaction_id' = 'c3';
SELECT faultline.reverse_transaction('c1', 'c4', 'wrong') IS NOT NULL;
SELECT transaction_id, state FROM faultline.ledger_transactions WHERE transaction_id LIKE 'c_' ORDER BY 1;
ROLLBACK;

SELECT faultline.drop_queue(queue, force => true) FROM faultline.stat_queues ORDER BY queue;
SELECT transaction_id, state, failure_reason FROM faultline.ledger_transactions WHERE asset = 'CHF' ORDER BY transaction_id;
SELECT faultline.set_clock(NULL) \gset
SELECT sum(rows) >= 0 AS reconciled FROM faultline.reconcile();
SELECT * FROM faultline.check_invariants();
