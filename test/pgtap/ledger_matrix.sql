-- The ledger's tables as everybody meets them, a superuser and the replica role too: a transaction moves only along
-- INIT > APPLIED > RECONCILED and INIT > FAILED, nothing else of it changes, entries never do, and both agree when they
-- commit.  And reconciliation: in every combination of job, entry and state it does what its one rule says.
\set ON_ERROR_STOP 1
BEGIN;
SELECT plan(227);
SET LOCAL faultline.allow_same_transaction = on;
SELECT faultline.set_clock('2031-05-01 12:00+00');
SELECT faultline.create_queue('m', max_attempts => 2, lease => '10 s', backoff_base => '0', backoff_jitter => 0);
SELECT faultline.create_asset('EUR');

-- '00000', or the code and detail of what a statement raises by the end of its transaction.
CREATE FUNCTION pg_temp.answer(statement text, role_of_session text = 'origin') RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  PERFORM set_config('session_replication_role', role_of_session, true);
  EXECUTE statement;
  SET CONSTRAINTS ALL IMMEDIATE;
  RAISE EXCEPTION USING ERRCODE = 'U0000';
EXCEPTION WHEN SQLSTATE 'U0000' THEN RETURN '00000';
  WHEN OTHERS THEN RETURN SQLSTATE;
END $$;
-- A job with its transaction in a state that calls made.
CREATE FUNCTION pg_temp.declare(id text) RETURNS bigint LANGUAGE sql RETURN faultline.enqueue('m', ledger =>
  jsonb_build_object('transaction_id', id, 'debit', 'a', 'credit', 'b', 'amount', 100, 'asset', 'EUR'));
CREATE FUNCTION pg_temp.reach(state text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_temp.declare(state);
  IF state <> 'i' THEN
    PERFORM CASE state WHEN 'f' THEN faultline.fail(job_id, lease_token, 'no', discard => true)
                 ELSE (SELECT verdict FROM faultline.apply_and_complete(job_id, lease_token)) END FROM faultline.claim('m', 'w');
  END IF;
  IF state = 'r' THEN
    PERFORM faultline.reconcile();
  END IF;
END $$;
SELECT pg_temp.reach(state) FROM unnest('{r,a,f,i}'::text[]) WITH ORDINALITY AS s (state, nr) ORDER BY nr;
SELECT results_eq($$SELECT (transaction_id || state::text) COLLATE "default" FROM faultline.ledger_transactions ORDER BY 1$$,
  $$VALUES ('aa'), ('ff'), ('ii'), ('rr')$$, 'calls have made a transaction in each state');

-- All steps from state to state.  A legal one still has to agree with the entry.
SELECT is(pg_temp.answer(format($$UPDATE faultline.ledger_transactions SET state = %L,
           failure_reason = CASE WHEN %2$L = 'f' THEN coalesce(failure_reason, 'by hand') END WHERE transaction_id = %3$L$$, t, t, f), session_role),
         CASE WHEN f = t THEN '00000' WHEN f || t = 'ia' THEN 'JQ008' WHEN f || t IN ('if', 'ar') THEN '00000'
              -- A failure's reason stays.
              WHEN f = 'f' THEN 'JQ009' ELSE 'JQ006' END,
         format('%s > %s by hand, %s', f, t, session_role))
  FROM unnest('{i,a,r,f}'::text[]) AS f, unnest('{i,a,r,f}'::text[]) AS t, unnest('{origin,replica}'::text[]) AS session_role;
SELECT is(pg_temp.answer(format($$UPDATE faultline.ledger_transactions SET state = %L WHERE transaction_id = 'f'$$, t)), 'JQ006',
         'FAILED > ' || t || ' with its reason left alone') FROM unnest('{i,a,r}'::text[]) AS t;
SELECT is(pg_temp.answer($$UPDATE faultline.ledger_transactions SET state = 'x' WHERE transaction_id = 'i'$$), 'JQ006', 'there is no other state');

-- Content, column by column.
CREATE TEMP TABLE changes (column_name text, value text);
INSERT INTO changes VALUES ('job_id', '1000000'), ('amount', '1'), ('created_at', '''2000-01-01'''), ('generation', '7'), ('queue_id', '1000000'),
  ('transaction_id', '''other'''), ('debit', '''z'''), ('credit', '''z'''), ('asset', '''USD'''), ('reverses', '''r'''), ('metadata', '''{"m": 2}'''),
  ('failure_reason', '''another''');
UPDATE faultline.ledger_transactions SET metadata = '{"m": 1}' WHERE transaction_id IN ('a', 'f', 'i');
SELECT set_eq($$SELECT column_name FROM changes UNION VALUES ('state'), ('updated_at')$$,
  $$SELECT attname::text FROM pg_attribute WHERE attrelid = 'faultline.ledger_transactions'::regclass AND attnum > 0$$,
  'these are the columns of a transaction');
SELECT is(pg_temp.answer(format($$UPDATE faultline.ledger_transactions SET %I = %s WHERE transaction_id = 'f'$$, column_name, value), session_role),
         'JQ009', format('%s of a transaction cannot be changed, %s', column_name, session_role))
  FROM changes, unnest('{origin,replica}'::text[]) AS session_role;
SELECT is(pg_temp.answer($$UPDATE faultline.ledger_transactions SET metadata = NULL WHERE transaction_id = 'a'$$), 'JQ009', 'nor can metadata be removed');
SELECT is(pg_temp.answer($$UPDATE faultline.ledger_transactions SET metadata = '{}' WHERE transaction_id = 'r'$$), '00000', 'it may be added once');
SELECT is(pg_temp.answer(format($$UPDATE faultline.ledger_entries SET %I = %1$I$$, attname), session_role), 'JQ009',
         format('no row of entries is written anew, even unchanged: %s, %s', attname, session_role))
  FROM pg_attribute, unnest('{origin,replica}'::text[]) AS session_role
 WHERE attrelid = 'faultline.ledger_entries'::regclass AND attnum > 0;

-- Nothing is removed.  (What is deferred comes first, or TRUNCATE is refused for that.)
SET CONSTRAINTS ALL IMMEDIATE;
SET CONSTRAINTS ALL DEFERRED;
SELECT is(pg_temp.answer(format('%s faultline.%s', verb, t), session_role), 'JQ009', format('%s %s, %s', verb, t, session_role))
  FROM unnest(ARRAY['DELETE FROM', 'TRUNCATE']) AS verb, unnest(ARRAY['ledger_entries', 'ledger_accounts']) AS t,
       unnest('{origin,replica}'::text[]) AS session_role;
SELECT is(pg_temp.answer('DELETE FROM faultline.ledger_transactions', session_role), 'JQ009', 'DELETE FROM ledger_transactions, ' || session_role)
  FROM unnest('{origin,replica}'::text[]) AS session_role;
SELECT is(pg_temp.answer('TRUNCATE faultline.ledger_transactions, faultline.ledger_entries', session_role), 'JQ009',
         'TRUNCATE both, ' || session_role) FROM unnest('{origin,replica}'::text[]) AS session_role;
SELECT is(pg_temp.answer('TRUNCATE faultline.ledger_assets CASCADE'), 'JQ009', 'TRUNCATE ... CASCADE does not reach accounts');

-- Entry and state agree, in both directions.
CREATE FUNCTION pg_temp.entry_of(id text, changes text = '{}') RETURNS text LANGUAGE sql AS $$
  SELECT format('INSERT INTO faultline.ledger_entries SELECT (jsonb_populate_record(NULL::faultline.ledger_entries, '
    'to_jsonb(t) || ''{"entry_id": 1000000, "attempt": 1}'' || %L)).* FROM faultline.ledger_transactions t WHERE transaction_id = %L', changes, id)
$$;
SELECT is(pg_temp.answer(pg_temp.entry_of('i'), session_role), 'JQ007', 'an entry of INIT, ' || session_role)
  FROM unnest('{origin,replica}'::text[]) AS session_role;
SELECT is(pg_temp.answer(pg_temp.entry_of('f')), 'JQ007', 'an entry of FAILED');
SELECT is(pg_temp.answer(pg_temp.entry_of('i') || $$; UPDATE faultline.ledger_transactions SET state = 'a' WHERE transaction_id = 'i'$$), '00000',
         'an entry and APPLIED together, the entry first');
SELECT is(pg_temp.answer($$UPDATE faultline.ledger_transactions SET state = 'a' WHERE transaction_id = 'i'; $$ || pg_temp.entry_of('i')), '00000',
         'an entry and APPLIED together, the state first');
SELECT is(pg_temp.answer(pg_temp.entry_of('i') || $$; UPDATE faultline.ledger_transactions SET state = 'f', failure_reason = 'no'
           WHERE transaction_id = 'i'$$), 'JQ007', 'an entry and FAILED together');
SELECT is(pg_temp.answer(pg_temp.entry_of('a')), '23505', 'a second entry of one transaction, and of one job');
SELECT is(pg_temp.answer(pg_temp.entry_of('i', change)), '23503', 'an entry that says something else than its intent: ' || change)
  FROM unnest(ARRAY['{"amount": 99}', '{"debit": "z"}', '{"credit": "z"}', '{"asset": "USD"}', '{"job_id": 999999}', '{"transaction_id": "z"}']) AS change;
SELECT is(pg_temp.answer(pg_temp.entry_of('i', '{"amount": 99}') || $$; UPDATE faultline.ledger_transactions SET state = 'a' WHERE transaction_id = 'i'$$,
         'replica'), 'JQ007', 'the same where foreign keys are not checked');
SELECT is(pg_temp.answer(pg_temp.entry_of('i', change)), '23514', 'an entry out of bounds: ' || change)
  FROM unnest(ARRAY['{"attempt": 0}', '{"attempt": -1}', '{"job_id": 0}']) AS change;
CREATE FUNCTION pg_temp.transaction_like(changes text) RETURNS text LANGUAGE sql AS $$
  SELECT format('INSERT INTO faultline.ledger_transactions SELECT (jsonb_populate_record(NULL::faultline.ledger_transactions, '
    'to_jsonb(t) || ''{"transaction_id": "new", "job_id": 1000000}'' || %L)).* FROM faultline.ledger_transactions t WHERE transaction_id = ''i''', changes)
$$;
SELECT is(pg_temp.answer(pg_temp.transaction_like('{}')), '00000', 'an intent may be inserted, as a restore does');
SELECT is(pg_temp.answer(pg_temp.transaction_like(change)), code, 'an intent out of bounds: ' || change)
  FROM (VALUES ('{"amount": 0}', '23514'), ('{"amount": -1}', '23514'), ('{"amount": 4611686018427387905}', '23514'), ('{"debit": "b"}', '23514'),
               ('{"state": "x"}', '23514'), ('{"state": "f"}', '23514'), ('{"failure_reason": "no"}', '23514'), ('{"job_id": 0}', '23514'),
               ('{"job_id": -1}', '23514'), ('{"reverses": "a"}', '23514'), ('{"debit": ""}', '23514'), ('{"transaction_id": ""}', '23514'),
               ('{"asset": null}', '23502'), ('{"transaction_id": "i"}', '23505')) AS v (change, code);
SELECT is(pg_temp.answer(pg_temp.transaction_like(format('{"job_id": %s, "generation": %s}', job_id, generation + more))), code,
         format('a second intent of one job, %s generations on', more))
  FROM faultline.ledger_transactions, (VALUES (0, '23505'), (1, '00000')) AS v (more, code) WHERE transaction_id = 'i';

-- Reconciliation, in every combination that rows can have: the rule of the view is what reconcile() then does.
SELECT faultline.drop_queue('m', force => true);
SELECT faultline.create_queue('m', max_attempts => 2, lease => '10 s', backoff_base => '0', backoff_jitter => 0);
SELECT count(*) FROM faultline.reconcile();
CREATE FUNCTION pg_temp.make(job text, entry text, state text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  id bigint;
  held faultline.claimed_job;
BEGIN
  id := pg_temp.declare('x');
  IF job NOT IN ('queued', 'cancelled') THEN
    held := faultline.claim('m', 'w');
  END IF;
  CASE job
    WHEN 'lease_ended' THEN PERFORM faultline.advance_clock('10 s');
    WHEN 'succeeded' THEN PERFORM faultline.apply_and_complete(id, held.lease_token);
    WHEN 'failed' THEN PERFORM faultline.fail(id, held.lease_token, 'no', discard => true);
    WHEN 'cancelled' THEN PERFORM faultline.cancel(ARRAY[id]);
    WHEN 'replaced' THEN PERFORM faultline.fail(id, held.lease_token, 'no', discard => true), faultline.redrive(ARRAY[id]);
    WHEN 'gone' THEN DELETE FROM faultline.live_jobs WHERE job_id = id;
    ELSE NULL;
  END CASE;
  -- By hand, without the guards.
  SET CONSTRAINTS ALL IMMEDIATE;
  ALTER TABLE faultline.ledger_transactions DISABLE TRIGGER USER;
  ALTER TABLE faultline.ledger_entries DISABLE TRIGGER ALL;
  DELETE FROM faultline.ledger_entries e WHERE e.job_id = id;
  UPDATE faultline.ledger_transactions t SET state = make.state::"char", failure_reason = CASE make.state WHEN 'f' THEN 'no' END WHERE transaction_id = 'x';
  IF entry <> 'none' THEN
    EXECUTE pg_temp.entry_of('x', CASE entry WHEN 'different' THEN '{"amount": 99}' ELSE '{}' END);
  END IF;
  ALTER TABLE faultline.ledger_entries ENABLE ALWAYS TRIGGER entry_agrees;
  ALTER TABLE faultline.ledger_transactions ENABLE ALWAYS TRIGGER entry_agrees;
  ALTER TABLE faultline.ledger_transactions ENABLE ALWAYS TRIGGER legal_step;
  SET CONSTRAINTS ALL DEFERRED;
END $$;
-- The rule that is shown; what reconcile() says it did, in the rules' order; the state after that; and what a second pass does but findings.
CREATE FUNCTION pg_temp.reconciled(job text, entry text, state text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  shown text;
  situation text;
  did text;
  after text;
  again text;
BEGIN
  PERFORM pg_temp.make(job, entry, state);
  SELECT rule, job_situation || ' ' || entry_situation INTO shown, situation FROM faultline.ledger_situations WHERE transaction_id = 'x';
  IF situation <> job || ' ' || entry THEN
    RAISE EXCEPTION USING ERRCODE = 'U0000', MESSAGE = 'made ' || situation;
  END IF;
  SELECT string_agg(rule, ' ') INTO did FROM faultline.reconcile() WHERE rows > 0;
  SELECT t.state INTO after FROM faultline.ledger_transactions t WHERE transaction_id = 'x';
  SELECT string_agg(rule, ' ') INTO again FROM faultline.reconcile() WHERE rows > 0 AND rule <> 'R5';
  RAISE EXCEPTION USING ERRCODE = 'U0000', MESSAGE = format('%s: %s; %s%s', coalesce(shown, '-'), coalesce(did, '-'), after, ' again ' || again);
EXCEPTION WHEN SQLSTATE 'U0000' THEN
  RETURN SQLERRM;
END $$;

-- For each situation of the job and its entry, with the transaction INIT, APPLIED, RECONCILED and FAILED: the rule that the view shows;
-- what reconcile() did; the state after it.  R1 and R2 settle the job, whatever its transaction says.  Final states are not looked at:
-- what the view shows of them is for check_invariants() to report.
CREATE TEMP TABLE matrix (job text, entry text, outcomes text[]);
INSERT INTO matrix VALUES
  ('queued', 'none', ARRAY['-: -; i', 'R5: R5; a', 'R5: -; r', 'R5: -; f']),
  ('queued', 'equal', ARRAY['R0: R0 R5; a', 'R5: R5; a', 'R5: -; r', 'R5: -; f']),
  ('queued', 'different', ARRAY['R5: R5; i', 'R5: R5; a', 'R5: -; r', 'R5: -; f']),
  ('running', 'none', ARRAY['-: -; i', 'R5: R5; a', 'R5: -; r', 'R5: -; f']),
  ('running', 'equal', ARRAY['R0: R0; a', '-: -; a', '-: -; r', 'R5: -; f']),
  ('running', 'different', ARRAY['R5: R5; i', 'R5: R5; a', 'R5: -; r', 'R5: -; f']),
  ('lease_ended', 'none', ARRAY['R2: R2; i', 'R5: R2 R5; a', 'R5: R2; r', 'R2: R2; f']),
  ('lease_ended', 'equal', ARRAY['R0: R1 R0 R4; r', 'R1: R1 R4; r', 'R1: R1; r', 'R5: R1; f']),
  ('lease_ended', 'different', ARRAY['R5: R1 R5; i', 'R5: R1 R5; a', 'R5: R1; r', 'R5: R1; f']),
  ('succeeded', 'none', ARRAY['R3: R3; f', 'R5: R5; a', 'R5: -; r', 'R5: -; f']),
  ('succeeded', 'equal', ARRAY['R0: R0 R4; r', 'R4: R4; r', '-: -; r', 'R5: -; f']),
  ('succeeded', 'different', ARRAY['R5: R5; i', 'R5: R5; a', 'R5: -; r', 'R5: -; f']),
  ('failed', 'none', ARRAY['R3: R3; f', 'R5: R5; a', 'R5: -; r', '-: -; f']),
  ('failed', 'equal', ARRAY['R0: R0 R5; a', 'R5: R5; a', 'R5: -; r', 'R5: -; f']),
  ('failed', 'different', ARRAY['R5: R5; i', 'R5: R5; a', 'R5: -; r', 'R5: -; f']),
  ('cancelled', 'none', ARRAY['R3: R3; f', 'R5: R5; a', 'R5: -; r', '-: -; f']),
  ('cancelled', 'equal', ARRAY['R0: R0 R5; a', 'R5: R5; a', 'R5: -; r', 'R5: -; f']),
  ('cancelled', 'different', ARRAY['R5: R5; i', 'R5: R5; a', 'R5: -; r', 'R5: -; f']),
  ('replaced', 'none', ARRAY['R3: R3; f', 'R5: R5; a', 'R5: -; r', '-: -; f']),
  ('replaced', 'equal', ARRAY['R0: R0 R5; a', 'R5: R5; a', 'R5: -; r', 'R5: -; f']),
  ('replaced', 'different', ARRAY['R5: R5; i', 'R5: R5; a', 'R5: -; r', 'R5: -; f']),
  ('gone', 'none', ARRAY['R3: R3; f', 'R5: R5; a', 'R5: -; r', '-: -; f']),
  ('gone', 'equal', ARRAY['R0: R0 R4; r', 'R4: R4; r', '-: -; r', 'R5: -; f']),
  ('gone', 'different', ARRAY['R5: R5; i', 'R5: R5; a', 'R5: -; r', 'R5: -; f']);
SELECT is(pg_temp.reconciled(job, entry, state), outcomes[nr], format('job %s, entry %s, state %s', job, entry, state))
  FROM matrix, unnest('{i,a,r,f}'::text[]) WITH ORDINALITY AS s (state, nr) ORDER BY job, entry, nr;
SELECT is((SELECT count(DISTINCT (job, entry)) FROM matrix), 24::bigint, 'that is every combination');
SELECT is_empty($$SELECT job, entry, o FROM matrix, unnest(outcomes) WITH ORDINALITY AS v (o, nr)
   WHERE nr < 3 AND split_part(o, ':', 1) NOT IN ('-', 'R1', 'R2') AND o !~ (': .*' || split_part(o, ':', 1))$$,
  'what the view shows of an open transaction is what reconcile() does');

SELECT * FROM finish();
ROLLBACK;
