-- The rolling audit: window after window it finds what check_invariants() finds, and findings stay
-- until somebody resolves them.
\set sqlstate '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'
\set SHOW_CONTEXT never
SET timezone = 'UTC';
SET datestyle = 'ISO';
SET intervalstyle = 'postgres';
-- What other tests left in the ledger stays there for ever.
DROP EXTENSION faultline CASCADE;
CREATE EXTENSION faultline;
SELECT faultline.set_clock('2026-01-01 00:00Z') \gset
ALTER SEQUENCE faultline.job_id_seq RESTART 20001;
SELECT faultline.create_queue('audited', max_attempts => 1) \gset
SELECT faultline.create_asset('AUD') \gset
SELECT faultline.open_account('audited ' || i, 'AUD') IS NULL AS opened FROM generate_series(1, 3) AS i;
-- Every third job is live, finished or dead; each moves from one account to another.
SELECT count(faultline.enqueue('audited', idempotency_key => 'k' || i, ledger => format(
  '{"transaction_id": "audited %s", "debit": "audited %s", "credit": "audited %s", "amount": %s, "asset": "AUD"}',
  i, 1 + i % 3, 1 + (i + 1) % 3, i)::jsonb)) FROM generate_series(1, 30) AS i;
SELECT * INTO TEMP held FROM faultline.claim('audited', 'w', 30);
SELECT count(*) FROM held, faultline.apply_and_complete(job_id, lease_token) WHERE job_id % 3 = 0;
SELECT count(faultline.fail(job_id, lease_token, 'no')) FROM held WHERE job_id % 3 = 1;
SELECT * FROM faultline.check_invariants(grace => '0');

-- From before the rows of this test to the end, in windows of so many rows.
CREATE FUNCTION pg_temp.go_through(rows_max integer) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  found_total bigint := 0;
BEGIN
  UPDATE faultline.audit_progress SET position = CASE part
    WHEN 'jobs' THEN ARRAY['20000']
    WHEN 'entries' THEN ARRAY[((SELECT min(entry_id) FROM faultline.ledger_entries WHERE asset = 'AUD') - 1)::text]
    WHEN 'transactions' THEN ARRAY['audited']
    WHEN 'keys' THEN ARRAY[(SELECT queue_id::text FROM faultline.queues WHERE name = 'audited'), '']
    ELSE ARRAY['audited', ''] END;
  WHILE EXISTS (SELECT FROM faultline.audit_progress WHERE position IS NOT NULL) LOOP
    found_total := found_total + faultline.audit_windows(rows_max);
    -- What has come to its end waits for the others.
    UPDATE faultline.audit_progress p SET position = CASE part WHEN 'jobs' THEN '{9999999}' WHEN 'entries' THEN '{9999999}'
                                                              WHEN 'keys' THEN '{9999999,""}' ELSE '{~,~}' END::text[]
     WHERE position IS NULL AND EXISTS (SELECT FROM faultline.audit_progress o WHERE o.position IS NOT NULL
                                          AND o.position[1] NOT IN ('9999999', '~'));
  END LOOP;
  RETURN found_total;
END $$;
-- Sound data, in windows of each size: no finding.
SELECT pg_temp.go_through(1), pg_temp.go_through(3), pg_temp.go_through(7);
SELECT * FROM faultline.findings;
-- A whole round sees each row once.
UPDATE faultline.audit_progress SET (rounds, rows_checked, violations, last_run_at, position) = (0, 0, 0, NULL, NULL);
SELECT sum(faultline.audit_windows(100000));
SELECT part, position, rounds, round_started_at, last_run_at, rows_skipped, violations, open_findings
  FROM faultline.stat_audit ORDER BY part;
SELECT part, rows_checked = CASE part
         WHEN 'jobs' THEN (SELECT count(*) FROM faultline.jobs)
         WHEN 'entries' THEN (SELECT count(*) FROM faultline.ledger_entries)
         WHEN 'transactions' THEN (SELECT count(*) FROM faultline.ledger_transactions)
         WHEN 'keys' THEN (SELECT count(*) FROM faultline.idempotency_keys)
         ELSE (SELECT count(balance) FROM faultline.ledger_accounts) END AS all_rows
  FROM faultline.stat_audit ORDER BY part;
-- It goes on where it was.
UPDATE faultline.audit_progress SET position = '{20000}' WHERE part = 'jobs';
UPDATE faultline.audit_progress SET position = '{audited,""}' WHERE part = 'accounts';
UPDATE faultline.audit_progress SET position = '{audited}' WHERE part = 'transactions';
SELECT faultline.audit_windows(2);
SELECT faultline.audit_windows(2);
SELECT part, position, rounds FROM faultline.stat_audit WHERE part IN ('jobs', 'accounts', 'transactions') ORDER BY part;

--
-- Damage of each part
--
BEGIN;
ALTER TABLE faultline.ledger_entries DISABLE TRIGGER ALL;
ALTER TABLE faultline.ledger_transactions DISABLE TRIGGER ALL;
UPDATE faultline.live_jobs SET lease_owner = NULL WHERE job_id = 20003;
UPDATE faultline.live_jobs SET lease_expires_at = '2025-12-31' WHERE job_id = 20006;
UPDATE faultline.failed_jobs SET history = NULL WHERE job_id = 20005;
UPDATE faultline.ledger_entries SET attempt = 2 WHERE transaction_id = 'audited 4';
UPDATE faultline.ledger_entries SET amount = 1000 WHERE transaction_id = 'audited 7';
UPDATE faultline.ledger_transactions SET state = 'r' WHERE transaction_id = 'audited 3';
UPDATE faultline.idempotency_keys SET expires_at = created_at WHERE job_id = 20008;
UPDATE faultline.ledger_accounts SET version = 0 WHERE account = 'audited 2';
SELECT * INTO TEMP violation FROM faultline.check_invariants();
SELECT * FROM violation ORDER BY 1, 2, 3;
SELECT pg_temp.go_through(2);
-- The same, with the same words.
SELECT count(*) FROM faultline.findings;
SELECT invariant, subject, detail FROM violation EXCEPT SELECT code, subject, evidence FROM faultline.findings;
SELECT code, subject, evidence FROM faultline.findings EXCEPT SELECT invariant, subject, detail FROM violation;
SELECT open_findings, violations > 0 AS found FROM faultline.stat_audit WHERE part = 'jobs';
SELECT state, detail, hint FROM faultline.status() WHERE item = 'findings';
-- Resolved, and found again: a new one.
SELECT count(faultline.resolve_finding(finding_id, 'known')) FROM faultline.findings;
SELECT state, detail, hint FROM faultline.status() WHERE item = 'findings';
SELECT pg_temp.go_through(100000);
SELECT count(*), count(resolved_at), count(DISTINCT (code, subject)) FROM faultline.findings;
ROLLBACK;

-- An account with too many entries is left out, and that is told.
BEGIN;
UPDATE faultline.ledger_accounts SET version = 10001 WHERE account = 'audited 1';
SELECT pg_temp.go_through(100000);
SELECT part, rows_skipped, open_findings FROM faultline.stat_audit WHERE part = 'accounts';
SELECT invariant, subject FROM faultline.check_invariants();
ROLLBACK;

--
-- The duty of maintenance: one step every audit_interval
--
SHOW faultline.audit_interval;
BEGIN;
UPDATE faultline.audit_progress SET last_run_at = NULL, violations = 0, position = NULL;
UPDATE faultline.live_jobs SET lease_owner = NULL WHERE job_id = 20003;
SELECT duty, done, error FROM faultline.maintain() WHERE duty = 'audit';
SELECT duty, done, error FROM faultline.maintain() WHERE duty = 'audit';
SELECT faultline.advance_clock('9.999 s');
SELECT duty, done, error FROM faultline.maintain() WHERE duty = 'audit';
SELECT faultline.advance_clock('1 ms');
SELECT duty, done, error FROM faultline.maintain() WHERE duty = 'audit';
-- A clock that was set back does not stop it.
SELECT faultline.advance_clock('-1 h');
SELECT duty, done, error FROM faultline.maintain() WHERE duty = 'audit';
SELECT code, subject, evidence, found_at, last_seen_at, times_seen, resolved_at, resolution FROM faultline.findings;
ROLLBACK;

--
-- resolve_finding
--
ALTER SEQUENCE faultline.finding_id_seq RESTART 901;
SELECT faultline.record_finding('R5', 'some transaction', 'seen') \gset
SELECT finding_id FROM faultline.findings \gset
SELECT faultline.resolve_finding(NULL, 'x');
:sqlstate
SELECT faultline.resolve_finding(-1, 'x');
:sqlstate
SELECT faultline.resolve_finding(:finding_id, NULL);
:sqlstate
SELECT faultline.resolve_finding(:finding_id, '');
:sqlstate
SELECT faultline.resolve_finding(:finding_id, repeat('x', 1025));
:sqlstate
SELECT faultline.resolve_finding(:finding_id, 'a test');
SELECT faultline.resolve_finding(:finding_id, 'a test');
SELECT faultline.resolve_finding(:finding_id, 'something else');
:sqlstate
SELECT code, subject, evidence, times_seen, resolved_at, resolution FROM faultline.findings;
DELETE FROM faultline.ledger_findings;

--
-- Guards that a data-only restore has weakened; the hint is the cure
--
BEGIN;
ALTER TABLE faultline.ledger_entries DISABLE TRIGGER ALL;
ALTER TABLE faultline.ledger_entries ENABLE TRIGGER ALL;
ALTER TABLE faultline.queues DISABLE TRIGGER policy_changed;
SELECT state, detail, hint FROM faultline.status() WHERE item = 'guards';
SELECT hint FROM faultline.status() WHERE item = 'guards' \gexec
SELECT state, detail, hint FROM faultline.status() WHERE item = 'guards';
ROLLBACK;
BEGIN;
ALTER EXTENSION faultline DROP FUNCTION faultline.ledger_transaction_step();
DROP FUNCTION faultline.ledger_transaction_step() CASCADE;
SELECT state, detail, hint FROM faultline.status() WHERE item = 'guards';
ROLLBACK;

SELECT faultline.drop_queue('audited', force => true);
SELECT * FROM faultline.reconcile() WHERE rows > 0;
SELECT faultline.set_clock(NULL) \gset
SELECT * FROM faultline.check_invariants();
