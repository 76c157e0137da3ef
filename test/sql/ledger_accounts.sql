-- Accounts: opening, altering and closing them, bounds in both directions, both ends of bigint, balances that are
-- maintained and balances that are summed up, now and as of a time.
\set sqlstate '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'
\set SHOW_CONTEXT never
SET timezone = 'UTC';
SET datestyle = 'ISO';
SELECT faultline.set_clock('2026-01-01 00:00Z') \gset
SET faultline.allow_same_transaction = on;
SELECT faultline.create_queue('bank') \gset
ALTER SEQUENCE faultline.job_id_seq RESTART 34001;
-- Moves an amount by a job of its own; its id is the transaction's.
CREATE FUNCTION pg_temp.move(id text, debit text, credit text, amount bigint, asset text = 'NOK') RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  held faultline.claimed_job;
  detail text;
BEGIN
  PERFORM faultline.enqueue('bank');
  held := faultline.claim('bank', 'w');
  RETURN (SELECT verdict FROM faultline.apply_and_complete(held.job_id, held.lease_token, id, debit, credit, amount, asset));
EXCEPTION WHEN OTHERS THEN
  GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
  RETURN format('%s %s; %s', SQLSTATE, SQLERRM, detail);
END $$;
\pset format unaligned
\pset footer off
\pset tuples_only on

-- Assets.
SELECT faultline.create_asset('NOK', description => 'kroner'), faultline.create_asset('gold', accounts_on_first_use => false);
SELECT faultline.create_asset('NOK', description => 'kroner');
SELECT faultline.create_asset('NOK');
:sqlstate
SELECT faultline.create_asset('gold', accounts_on_first_use => true);
:sqlstate

-- Opening: again with the same settings is fine.
SELECT faultline.open_account('till', 'NOK', min_balance => 0, max_balance => 1000);
SELECT faultline.open_account('till', 'NOK', min_balance => 0, max_balance => 1000);
SELECT faultline.open_account('till', 'NOK');
:sqlstate
SELECT faultline.open_account('till', 'NOK', maintain_balance => false);
:sqlstate
SELECT faultline.open_account('till', 'gold');
SELECT faultline.open_account('bad', 'NOK', min_balance => 1, max_balance => 0);
:sqlstate
SELECT faultline.open_account('bad', 'NOK', min_balance => 0, maintain_balance => false);
:sqlstate
SELECT faultline.open_account('bad', 'none');
:sqlstate

-- First use opens accounts, unless their asset forbids it.
SELECT pg_temp.move('n1', 'world', 'till', 600);
SELECT pg_temp.move('g1', 'world', 'till', 1, 'gold');
SELECT pg_temp.move('g1', 'till', 'world', 1, 'gold');
SELECT account, asset, balance, maintained, version, min_balance, max_balance, closed_at FROM faultline.accounts
 WHERE asset IN ('NOK', 'gold') ORDER BY account, asset;

-- Bounds, in both directions: exactly to them, and one beyond.
SELECT pg_temp.move('n2', 'world', 'till', 401);
SELECT pg_temp.move('n2', 'world', 'till', 400);
SELECT pg_temp.move('n3', 'till', 'world', 1001);
SELECT pg_temp.move('n3', 'till', 'world', 1000);
SELECT pg_temp.move('n4', 'till', 'world', 1);
SELECT balance, version FROM faultline.accounts WHERE account = 'till' AND asset = 'NOK';
-- A balance outside its bounds may come back, by however little, and not go further away.
SELECT faultline.alter_account('till', 'NOK', min_balance => 10, max_balance => 20);
SELECT pg_temp.move('n5', 'world', 'till', 1);
SELECT pg_temp.move('n6', 'till', 'world', 1);
SELECT faultline.alter_account('till', 'NOK', min_balance => -20, max_balance => -10);
SELECT pg_temp.move('n7', 'world', 'till', 1);
SELECT pg_temp.move('n8', 'till', 'world', 2);
SELECT faultline.alter_account('till', 'NOK');
SELECT pg_temp.move('n9', 'till', 'world', 100);
SELECT balance, version, min_balance, max_balance FROM faultline.accounts WHERE account = 'till' AND asset = 'NOK';
SELECT faultline.alter_account('till', 'NOK', 5, 4);
:sqlstate
SELECT faultline.alter_account('world', 'NOK', 0);
:sqlstate
SELECT faultline.alter_account('nobody', 'NOK');
:sqlstate

-- Both ends of bigint, reached exactly.
SELECT faultline.open_account('high', 'NOK'), faultline.open_account('low', 'NOK');
SELECT pg_temp.move('o1', 'low', 'high', 4611686018427387904), pg_temp.move('o2', 'low', 'high', 4611686018427387903);
SELECT pg_temp.move('o3', 'world', 'high', 1);
SELECT pg_temp.move('o4', 'low', 'world', 1), pg_temp.move('o5', 'low', 'world', 1);
SELECT account, balance, version FROM faultline.accounts WHERE account IN ('high', 'low') ORDER BY 1;
-- What is summed up has no ends.
SELECT pg_temp.move('o6', 'world', 'sink', 4611686018427387904), pg_temp.move('o7', 'world', 'sink', 4611686018427387904),
       pg_temp.move('o8', 'world', 'sink', 4611686018427387904);
SELECT faultline.account_balance('sink', 'NOK'), (SELECT balance FROM faultline.accounts WHERE account = 'sink');

-- Closing is for ever, whatever the balance, for debits and credits, maintained or not.
SELECT faultline.close_account('till', 'NOK'), faultline.close_account('sink', 'NOK');
SELECT faultline.advance_clock('1 h') \gset
SELECT faultline.close_account('till', 'NOK');
SELECT pg_temp.move('c1', 'world', 'till', 1);
SELECT pg_temp.move('c1', 'till', 'world', 1);
SELECT pg_temp.move('c1', 'world', 'sink', 1);
SELECT pg_temp.move('c1', 'sink', 'world', 1);
SELECT pg_temp.move('c1', 'till', 'sink', 1);
-- ... but what has happened is still answered.
SELECT verdict FROM faultline.transactions t, faultline.apply_ledger(t.job_id, 1, 'n1') WHERE t.transaction_id = 'n1';
SELECT faultline.open_account('till', 'NOK', min_balance => 0, max_balance => 1000);
:sqlstate
SELECT faultline.alter_account('till', 'NOK');
:sqlstate
SELECT faultline.close_account('nobody', 'NOK');
:sqlstate
SELECT account, closed_at FROM faultline.accounts WHERE closed_at IS NOT NULL AND asset = 'NOK' ORDER BY 1;
SELECT count(*) FROM faultline.transactions WHERE transaction_id = 'c1';

-- As of a time: entries up to and including it.
SELECT faultline.open_account('kept', 'NOK'), pg_temp.move('a1', 'world', 'kept', 10), pg_temp.move('b1', 'sum', 'kept', 1);
SELECT faultline.advance_clock('1 h') \gset
SELECT pg_temp.move('a2', 'kept', 'sum', 3);
SELECT account, faultline.account_balance(account, 'NOK', as_of) FROM unnest('{kept,sum}'::text[]) AS account,
  unnest(ARRAY['-infinity', '2026-01-01 00:59:59.999999Z', '2026-01-01 01:00Z', '2026-01-01 01:59:59.999999Z', '2026-01-01 02:00Z',
               'infinity', NULL]::timestamptz[]) WITH ORDINALITY AS t (as_of, nr) ORDER BY account, nr;
SELECT faultline.account_balance('nobody', 'NOK');
:sqlstate
-- Postings add up, per entry and per asset.
SELECT transaction_id, account, amount FROM faultline.postings WHERE transaction_id IN ('a1', 'a2') ORDER BY 1, 2;
SELECT asset, sum(amount) FROM faultline.postings GROUP BY asset HAVING sum(amount) <> 0;
SELECT asset, sum(balance) FROM faultline.accounts GROUP BY asset HAVING sum(balance) <> 0;

SELECT faultline.drop_queue('bank', force => true);
SELECT faultline.set_clock(NULL) \gset
-- However many accounts one transaction names, it takes a bounded part of the lock table.
BEGIN;
SET LOCAL faultline.allow_same_transaction = on;
SELECT faultline.create_queue('many') \gset
SELECT count(*) FROM faultline.enqueue_many('many', array_fill('{}'::jsonb, ARRAY[1500]), ledger => ARRAY(
  SELECT jsonb_build_object('transaction_id', 'many ' || i, 'debit', 'one of many ' || i, 'credit', 'all of them',
                            'amount', 1, 'asset', 'NOK') FROM generate_series(1, 1500) AS i));
SELECT verdict, count(*) FROM (SELECT array_agg(job_id) AS ids, array_agg(lease_token) AS tokens
  FROM faultline.claim('many', 'w', 1500)) c, faultline.apply_and_complete_many(ids, tokens) GROUP BY verdict;
SELECT count(*) BETWEEN 500 AND 1024 AS bounded FROM pg_locks
 WHERE pid = pg_backend_pid() AND classid = 'faultline.ledger_accounts'::regclass;
SAVEPOINT large;
SELECT faultline.enqueue('many', ledger => jsonb_build_object('transaction_id', 'large', 'debit', 'a', 'credit', 'b',
  'amount', 1, 'asset', 'NOK', 'metadata', jsonb_build_object('m', repeat('x', 70000))));
ROLLBACK TO large;
-- A worker does not learn balances.
SELECT faultline.open_account('poor', 'NOK', min_balance => 0) \gset
SELECT faultline.enqueue('many', '{}') \gset
CREATE ROLE regress_faultline_teller;
SELECT faultline.grant_access('regress_faultline_teller', 'worker', '{many}') \gset
SELECT job_id, lease_token FROM faultline.claim('many', 'w') \gset
SET LOCAL ROLE regress_faultline_teller;
SELECT faultline.apply_ledger(:job_id, :lease_token, 'probe', 'poor', 'teller', 5, 'NOK');
ROLLBACK;
SELECT faultline.lock_account(NULL, 'NOK');
:sqlstate
-- The ledger's guards read columns by number: they refuse every other table.
BEGIN;
CREATE TABLE pg_temp.other_table (only_column integer);
INSERT INTO pg_temp.other_table VALUES (1);
CREATE FUNCTION pg_temp.guarded_by(guard text, statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  said text;
BEGIN
  EXECUTE format('CREATE CONSTRAINT TRIGGER guard AFTER INSERT OR UPDATE ON pg_temp.other_table '
                 'FOR EACH ROW EXECUTE FUNCTION faultline.%I()', guard);
  EXECUTE statement;
  RETURN 'accepted';
EXCEPTION WHEN OTHERS THEN
  GET STACKED DIAGNOSTICS said = PG_EXCEPTION_DETAIL;
  RETURN SQLSTATE || ' ' || SQLERRM || ': ' || said;
END $$;
SELECT proname, statement, pg_temp.guarded_by(proname, statement) AS answer
  FROM pg_proc, (VALUES ('INSERT INTO pg_temp.other_table VALUES (2)'),
                        ('UPDATE pg_temp.other_table SET only_column = 2')) v (statement)
 WHERE pronamespace = 'faultline'::regnamespace AND prorettype = 'trigger'::regtype AND proname ~ '^ledger_'
 ORDER BY proname COLLATE "C", statement;
ROLLBACK;
SELECT sum(rows) >= 0 AS reconciled FROM faultline.reconcile();
SELECT * FROM faultline.check_invariants();
