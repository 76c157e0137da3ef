-- Reconciliation: each rule by calls alone or by rows written by other means, batches, rows that raise, what
-- maintenance does, and that a second pass changes nothing.
\set sqlstate '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'
\set SHOW_CONTEXT never
SET timezone = 'UTC';
SET datestyle = 'ISO';
SELECT faultline.set_clock('2026-01-01 00:00Z') \gset
SET faultline.allow_same_transaction = on;
SELECT faultline.create_queue('recon', max_attempts => 1, lease => '10 s', backoff_base => '0'), faultline.create_asset('HUF') \gset
SELECT count(*) FROM faultline.reconcile(100000) \gset
ALTER SEQUENCE faultline.job_id_seq RESTART 36001;
CREATE FUNCTION pg_temp.enqueue(id text) RETURNS bigint LANGUAGE sql RETURN faultline.enqueue('recon', ledger =>
  jsonb_build_object('transaction_id', id, 'debit', 'a', 'credit', 'b', 'amount', 1, 'asset', 'HUF'));
CREATE TEMP VIEW moved AS SELECT string_agg(rule || '=' || rows, ' ') AS moved FROM faultline.reconcile() WHERE rows > 0;
CREATE TEMP VIEW states AS SELECT transaction_id, s.state, job_situation, entry_situation, rule
  FROM faultline.ledger_situations s JOIN faultline.ledger_transactions t USING (transaction_id) WHERE t.asset = 'HUF';

-- The rules, and their order.
SELECT rule, rows FROM faultline.reconcile();
-- R1 and R4 in one pass; R2.
SELECT pg_temp.enqueue('r1'), pg_temp.enqueue('r2') \gset
SELECT ledger->>'transaction_id', (SELECT verdict FROM faultline.apply_ledger(job_id, lease_token)) FROM faultline.claim('recon', 'w');
SELECT count(*) FROM faultline.claim('recon', 'w');
SELECT * FROM states ORDER BY 1;
SELECT * FROM moved;
SELECT faultline.advance_clock('10 s') \gset
SELECT * FROM states ORDER BY 1;
SELECT * FROM moved;
SELECT * FROM states ORDER BY 1;
SELECT * FROM moved;
-- R0: an entry written by other means, of a job that has it.  Then R1 and R4, or a finding when the job has not run.
BEGIN;
SELECT pg_temp.enqueue('r3'), pg_temp.enqueue('r4') \gset
SELECT count(*) FROM faultline.claim('recon', 'w');
ALTER TABLE faultline.ledger_entries DISABLE TRIGGER entry_agrees;
INSERT INTO faultline.ledger_entries SELECT nextval('faultline.ledger_entry_id_seq'), job_id, amount, created_at, 1, transaction_id, debit,
  credit, asset FROM faultline.ledger_transactions WHERE transaction_id IN ('r3', 'r4');
SELECT faultline.advance_clock('10 s') \gset
SELECT * FROM states WHERE transaction_id IN ('r3', 'r4') ORDER BY 1;
SELECT * FROM moved;
SELECT * FROM moved;
SELECT * FROM states WHERE transaction_id IN ('r3', 'r4') ORDER BY 1;
SELECT code, subject, evidence, times_seen FROM faultline.ledger_findings WHERE subject = 'r4';
ROLLBACK;
-- R3: the job is gone without its intent.
BEGIN;
SELECT pg_temp.enqueue('r5') \gset
DELETE FROM faultline.live_jobs WHERE job_id > 36000;
SELECT * FROM moved;
SELECT * FROM moved;
SELECT state, failure_reason FROM faultline.transaction_status('r5');
ROLLBACK;

-- Bounded: so many of each rule.
SELECT count(*) FROM (SELECT pg_temp.enqueue('s' || i) FROM generate_series(1, 5) i) AS s;
SELECT count(*) FROM faultline.claim('recon', 'w', 9) c, faultline.apply_and_complete(c.job_id, c.lease_token);
SELECT rule, rows FROM faultline.reconcile(2) WHERE rows > 0;
SELECT rule, rows FROM faultline.reconcile(2) WHERE rows > 0;
SELECT rule, rows FROM faultline.reconcile(2) WHERE rows > 0;
SELECT rule, rows FROM faultline.reconcile(2) WHERE rows > 0;
-- A row that raises stops nobody, and becomes a finding.
SELECT count(*) FROM (SELECT pg_temp.enqueue('u' || i) FROM generate_series(1, 3) i) AS s;
SELECT count(*) FROM faultline.claim('recon', 'w', 9) c, faultline.apply_and_complete(c.job_id, c.lease_token);
BEGIN;
CREATE FUNCTION pg_temp.refuse() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'refused by the test'; END $$;
CREATE TRIGGER refuse BEFORE UPDATE ON faultline.ledger_transactions FOR EACH ROW WHEN (new.transaction_id = 'u2')
  EXECUTE FUNCTION pg_temp.refuse();
SELECT * FROM moved;
SELECT * FROM moved;
SELECT code, subject, evidence, times_seen FROM faultline.ledger_findings WHERE subject = 'u2';
SELECT transaction_id, state FROM states WHERE transaction_id LIKE 'u%' ORDER BY 1;
ROLLBACK;

-- Maintenance reconciles APPLIED in every round, and looks at INIT once a minute.
SELECT duty, done, error FROM faultline.maintain() WHERE duty = 'reconcile';
SELECT duty, done, error FROM faultline.maintain() WHERE duty = 'reconcile';
SELECT pg_temp.enqueue('v1') AS job \gset
DELETE FROM faultline.live_jobs WHERE job_id = :job;
SELECT done FROM faultline.maintain() WHERE duty = 'reconcile';
SELECT faultline.advance_clock('59 s') \gset
SELECT done FROM faultline.maintain() WHERE duty = 'reconcile';
SELECT faultline.advance_clock('2 s') \gset
SELECT done FROM faultline.maintain() WHERE duty = 'reconcile';
SELECT state, failure_reason FROM faultline.transaction_status('v1');
-- The clock was set back: it looks again.
SELECT pg_temp.enqueue('v2') AS job \gset
DELETE FROM faultline.live_jobs WHERE job_id = :job;
SELECT faultline.advance_clock('-1 h') \gset
SELECT done FROM faultline.maintain() WHERE duty = 'reconcile';
SELECT state FROM faultline.transaction_status('v2');

-- It has looked when all of these are done, however many others it moved in that round.
SELECT count(*) FROM faultline.reconcile(100000) \gset
SELECT count(*) FROM (SELECT pg_temp.enqueue('x' || i) FROM generate_series(1, 3) i) AS s;
SELECT count(*) FROM faultline.claim('recon', 'w', 9) c, faultline.apply_and_complete(c.job_id, c.lease_token);
SELECT pg_temp.enqueue('x4') AS job \gset
DELETE FROM faultline.live_jobs WHERE job_id = :job;
SELECT faultline.advance_clock('2 min') \gset
SELECT faultline.reconcile_round(3);
SELECT faultline.clock_now() - last_run_at AS looked_ago FROM faultline.duty_runs WHERE duty = 'reconcile_declared';
-- While there may be more of these, it looks again in the next round.
SELECT pg_temp.enqueue('x5') AS job5, pg_temp.enqueue('x6') AS job6 \gset
DELETE FROM faultline.live_jobs WHERE job_id IN (:job5, :job6);
SELECT faultline.advance_clock('2 min') \gset
SELECT faultline.reconcile_round(1);
SELECT faultline.reconcile_round(1);
SELECT state FROM faultline.transactions WHERE transaction_id IN ('x5', 'x6');

-- History ages out, transactions do not: the job is gone then, and has succeeded, as its entry says.
SELECT faultline.advance_clock('1 h 1 min') \gset
SELECT pg_temp.enqueue('w1') \gset
SELECT count(*) FROM faultline.claim('recon', 'w') c, faultline.apply_and_complete(c.job_id, c.lease_token);
SELECT faultline.advance_clock('30 days') \gset
BEGIN;
DELETE FROM faultline.finished_jobs WHERE job_id > 36000;
SELECT job_situation, rule FROM states WHERE transaction_id = 'w1';
SELECT * FROM moved;
SELECT state FROM faultline.transaction_status('w1');
ROLLBACK;
SELECT count(*) FROM faultline.maintain() WHERE error IS NOT NULL;
SELECT state, verdict FROM faultline.transaction_status('w1') s, faultline.apply_ledger(s.job_id, 1, 'w1');
SELECT * FROM moved;

SELECT code, subject FROM faultline.ledger_findings WHERE resolved_at IS NULL;
SELECT faultline.drop_queue('recon', force => true);
SELECT faultline.set_clock(NULL) \gset
SELECT * FROM faultline.check_invariants();
