-- Who may do what to the ledger: entries come to exist through a worker's own lease only, amounts are told to nobody
-- who has nothing to do with their queue, and whatever stands in ids and names is data.
\set ON_ERROR_STOP 1
BEGIN;
\ir lib/call_as.sql
SELECT plan(82);
SET LOCAL faultline.allow_same_transaction = on;
SELECT faultline.set_clock('2031-05-01 12:00+00');
CREATE ROLE pay_worker;
CREATE ROLE mail_worker;
CREATE ROLE pay_producer;
CREATE ROLE pay_operator;
CREATE ROLE mail_operator;
CREATE ROLE head_operator;
CREATE ROLE a_monitor;
SELECT faultline.create_queue('pay');
SELECT faultline.create_queue('mail');
SELECT faultline.create_asset('EUR');
SELECT faultline.grant_access('pay_worker', 'worker', '{pay}'), faultline.grant_access('mail_worker', 'worker', '{mail}'),
       faultline.grant_access('pay_producer', 'producer', '{pay}'), faultline.grant_access('pay_operator', 'operator', '{pay}'),
       faultline.grant_access('mail_operator', 'operator', '{mail}'), faultline.grant_access('head_operator', 'operator'),
       faultline.grant_access('a_monitor', 'monitor');
SELECT pg_temp.value_as('pay_producer', $$SELECT faultline.enqueue('pay', ledger => '{"transaction_id": "p", "debit": "buyer", "credit": "shop",
  "amount": 4711, "asset": "EUR"}')$$) AS job \gset
SELECT faultline.enqueue('mail') AS mail \gset
SELECT pg_temp.value_as('pay_worker', $$SELECT lease_token FROM faultline.claim('pay', 'w')$$) AS token \gset
SELECT pg_temp.value_as('mail_worker', $$SELECT lease_token FROM faultline.claim('mail', 'w')$$) AS mail_token \gset
-- Code, message, detail and hint of what a role's statement raises.
CREATE FUNCTION pg_temp.error_as(role_name name, statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  detail text;
  hint text;
BEGIN
  EXECUTE format('SET LOCAL ROLE %I', role_name);
  EXECUTE statement;
  EXECUTE 'RESET ROLE';
  RETURN '00000';
EXCEPTION WHEN OTHERS THEN
  GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
  RETURN concat_ws(' ', SQLSTATE, SQLERRM, detail, hint);
END $$;

-- A worker of another queue.
CREATE TEMP TABLE tries AS SELECT call, pg_temp.error_as('mail_worker', call) AS error FROM (VALUES
  -- on the job itself, with its token even
  (format('SELECT faultline.apply_ledger(%s, %s)', :job, :token)), (format('SELECT faultline.apply_and_complete(%s, %s)', :job, :token)),
  (format('SELECT faultline.apply_ledger(%s, %s, ''p'', ''buyer'', ''mail_worker'', 1, ''EUR'')', :job, :token)),
  (format('SELECT faultline.complete(%s, %s)', :job, :token)),
  (format('SELECT faultline.fail(%s, %s, ''no'')', :job, :token)),
  ($$SELECT faultline.transaction_status('p')$$),
  ($$SELECT faultline.reverse_transaction('p', 'q', 'mine')$$),
  -- under his own lease, guessing at the content
  (format('SELECT faultline.apply_ledger(%s, %s, ''p'', ''buyer'', ''shop'', 1, ''EUR'')', :mail, :mail_token)),
  (format('SELECT faultline.apply_ledger(%s, %s, ''p'', ''buyer'', ''shop'', 4711, ''EUR'')', :mail, :mail_token)),
  (format('SELECT faultline.apply_and_complete(%s, %s, ''p'', ''x'', ''y'', 1, ''EUR'')', :mail, :mail_token))) AS v (call);
SELECT is(left(error, 5), CASE WHEN call LIKE '%(' || :mail || ',%' THEN 'JQ007' ELSE '42501' END, 'a worker of another queue: ' || call) FROM tries;
SELECT is_empty($$SELECT call, error FROM tries WHERE error ~ '4711|buyer|shop'$$, 'and learns neither amount nor accounts');
SELECT is((SELECT count(DISTINCT regexp_replace(error, '"p"', '')) FROM tries WHERE error LIKE 'JQ007%'), 1::bigint,
  'a right guess at the content is answered as a wrong one');
SELECT is(pg_temp.value_as('mail_worker', 'SELECT count(*) FROM faultline.transactions'), '0', 'he sees no transaction of the queue');
SELECT is(pg_temp.value_as('mail_operator', 'SELECT count(*) FROM faultline.transactions'), '0', 'nor does its operator');
SELECT is(pg_temp.value_as(role_name, 'SELECT amount FROM faultline.transactions'), '4711', role_name || ' sees it')
  FROM unnest('{pay_worker,pay_producer,pay_operator,head_operator}'::name[]) AS role_name;
SELECT is(pg_temp.call_as('a_monitor', 'SELECT * FROM faultline.' || v), '42501', 'a monitor does not see ' || v)
  FROM unnest('{transactions,accounts,postings,ledger_situations,ledger_entries,ledger_accounts}'::text[]) AS v;
SELECT is(pg_temp.call_as('a_monitor', call), '42501', 'a monitor: ' || call) FROM unnest(ARRAY[
  $$SELECT faultline.transaction_status('p')$$, $$SELECT faultline.account_balance('shop', 'EUR')$$]) AS call;

-- The worker itself: nothing but what was declared, and nothing but its lease.
SELECT is(pg_temp.call_as('pay_worker', call), code, 'the worker: ' || call) FROM (VALUES
  (format('SELECT faultline.apply_ledger(%s, 1)', :job), 'JQ001'),
  (format('SELECT faultline.apply_ledger(%s, %s, amount => 1)', :job, :token), 'JQ007'),
  (format('SELECT faultline.apply_ledger(%s, %s, credit => ''mine'')', :job, :token), 'JQ007'),
  (format('SELECT faultline.apply_ledger(%s, %s, ''another'', ''buyer'', ''mine'', 1, ''EUR'')', :job, :token), 'JQ007'),
  (format('SELECT faultline.complete(%s, %s)', :job, :token), 'JQ008'),
  ($$SELECT faultline.reverse_transaction('p', 'q', 'mine')$$, '42501'), ($$SELECT faultline.open_account('mine', 'EUR')$$, '42501'),
  ($$SELECT faultline.reconcile()$$, '42501'), ($$SELECT faultline.account_balance('shop', 'EUR')$$, '42501')) AS v (call, code);
-- Tables and inner functions are closed to all of them.
SELECT is_empty($$
  SELECT role_name, t, verb FROM unnest('{pay_worker,pay_producer,pay_operator,head_operator,a_monitor}'::name[]) AS role_name,
    unnest('{ledger_entries,ledger_transactions,ledger_accounts,ledger_assets,ledger_findings}'::text[]) AS t,
    unnest(ARRAY['SELECT * FROM', 'DELETE FROM', 'TRUNCATE', 'INSERT INTO']) AS verb
   WHERE pg_temp.call_as(role_name, format('%s faultline.%s %s', verb, t, CASE verb WHEN 'INSERT INTO' THEN 'DEFAULT VALUES' ELSE '' END)) <> '42501'$$,
  'no level touches a table of the ledger');
SELECT is_empty($$
  SELECT role_name, f FROM unnest('{pay_worker,pay_producer,pay_operator,head_operator,a_monitor}'::name[]) AS role_name,
    unnest(ARRAY['open_account_as_owner(''a'', ''EUR'', NULL, NULL, true, NULL)', 'reconcile_as_owner(1)', 'reconcile_by_rule(''R3'', ''{p}'')',
      'reconcile_batch(''R3'', ''{p}'')', 'settle_expired(1)', 'record_finding(''c'', ''s'', ''e'')', 'sum_of_entries(''a'', ''EUR'', now())',
      'lock_account(''a'', ''EUR'')', 'require_asset(''EUR'')', 'close_account_as_owner(''a'', ''EUR'')']) AS f
   WHERE pg_temp.call_as(role_name, 'SELECT faultline.' || f) <> '42501'$$, 'nor calls an inner function');

-- Operators: accounts belong to no queue, so changing them takes all queues; a reversal takes the transaction's.
SELECT is(pg_temp.call_as(role_name, call), CASE role_name WHEN 'head_operator' THEN '00000' ELSE '42501' END, role_name || ': ' || call)
  FROM unnest(ARRAY[$$SELECT faultline.create_asset('points')$$, $$SELECT faultline.open_account('till', 'EUR')$$,
    $$SELECT faultline.alter_account('till', 'EUR', 0)$$, $$SELECT faultline.close_account('till', 'EUR')$$, $$SELECT faultline.reconcile()$$]) WITH ORDINALITY AS c (call, nr),
    unnest('{pay_operator,mail_operator,head_operator}'::name[]) AS role_name ORDER BY role_name = 'head_operator', nr;
SELECT is(pg_temp.call_as('pay_worker', format('SELECT faultline.apply_and_complete(%s, %s)', :job, :token)), '00000', 'its worker applies it');
SELECT is(pg_temp.call_as('mail_operator', $$SELECT faultline.reverse_transaction('p', 'q', 'mine')$$), '42501', 'an operator of another queue does not reverse it');
SELECT is(pg_temp.call_as('mail_operator', $$SELECT faultline.reverse_transaction('none', 'q', 'mine')$$), '42501', 'nor learns which ids there are');
SELECT is(pg_temp.call_as('pay_operator', $$SELECT faultline.reverse_transaction('p', 'q', 'sent back')$$), '00000', 'one of its queue does');
SELECT is(pg_temp.call_as('pay_operator', $$SELECT faultline.transaction_status('q')$$), '00000', 'and sees the reversal');
SELECT is(pg_temp.call_as('mail_operator', $$SELECT faultline.transaction_status('q')$$), '42501', 'which the other does not');
SELECT is((SELECT count(*) FROM faultline.ledger_entries), 2::bigint, 'all of that has written two entries');

-- Hostile text: what goes in comes out, in rows, views, claims and errors.
CREATE TEMP TABLE hostile (nr integer, value text);
INSERT INTO hostile SELECT nr, value FROM unnest(ARRAY[
  $q$it's$q$, $q$"quoted"$q$, $q$'; DROP TABLE faultline.ledger_entries; --$q$, $q$$$; SELECT 1$q$, E'new\nline', E'tab\tand\rreturn', E'\x01\x07\x1b[31m',
  U&'\202Eright to left', U&'\+01F4B0 money', U&'e\0301', repeat(U&'\+01F600', 60), ' ', '%s %n %d %1$s', '\', '{}', '[null]', 'NULL', '~2', 'a~2',
  '../../etc/passwd']) WITH ORDINALITY AS v (value, nr);
CREATE FUNCTION pg_temp.round_trip(value text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  held faultline.claimed_job;
  error text;
BEGIN
  PERFORM faultline.create_asset(left(value, 10));
  PERFORM faultline.open_account(value, left(value, 10), min_balance => -1);
  PERFORM faultline.enqueue('pay', ledger => jsonb_build_object('transaction_id', value, 'debit', value, 'credit', value || '+', 'amount', 1, 'asset', left(value, 10)));
  held := faultline.claim('pay', value);
  IF (held.ledger->>'transaction_id', held.ledger->>'debit', held.ledger->>'credit', held.ledger->>'asset')
     <> (value, value, value || '+', left(value, 10)) THEN
    RETURN 'claim: ' || held.ledger;
  END IF;
  error := pg_temp.error_as('postgres', format('SELECT faultline.apply_ledger(%s, %s, debit => %L)', held.job_id, held.lease_token, value || '?'));
  IF error NOT LIKE 'JQ007%' OR strpos(error, quote_literal(value || '?')) = 0 OR strpos(error, '"' || value || '"') = 0 THEN
    RETURN 'error: ' || error;
  END IF;
  PERFORM faultline.apply_and_complete(held.job_id, held.lease_token, value, value, value || '+', 1, left(value, 10));
  PERFORM faultline.reverse_transaction(value, value || '-', value);
  IF (SELECT array_agg(ARRAY[debit, credit, asset, coalesce(reverses, metadata->>'reason', '')] ORDER BY reverses NULLS FIRST)
        FROM faultline.transactions WHERE transaction_id IN (value, value || '-'))
     IS DISTINCT FROM ARRAY[[value, value || '+', left(value, 10), ''], [value || '+', value, left(value, 10), value]]
     OR (SELECT metadata->>'reason' FROM faultline.transactions WHERE transaction_id = value || '-') IS DISTINCT FROM value
     OR (SELECT state FROM faultline.transaction_status(value)) IS DISTINCT FROM 'APPLIED'
     OR (SELECT array_agg(amount ORDER BY entry_id) FROM faultline.postings WHERE account = value) IS DISTINCT FROM '{-1,1}'
     OR faultline.account_balance(value, left(value, 10)) IS DISTINCT FROM 0 THEN
    RETURN 'not the same';
  END IF;
  PERFORM faultline.close_account(value, left(value, 10));
  RETURN 'the same';
END $$;
SELECT is(pg_temp.round_trip(value), 'the same', 'data everywhere: ' || to_json(left(value, 30))::text) FROM hostile ORDER BY nr;
SELECT cmp_ok((SELECT count(*) FROM faultline.ledger_entries), '=', 2 + 2 * (SELECT count(*) FROM hostile), 'each has its entry and its reversal');
SELECT is_empty($$SELECT * FROM faultline.reconcile() WHERE rule = 'R5' AND rows > 0$$, 'reconciliation takes them as they are');
SELECT is_empty('SELECT * FROM faultline.check_invariants()', 'and no invariant is violated');

SELECT * FROM finish();
ROLLBACK;
