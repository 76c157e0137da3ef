-- Undoing an effect by another one, and asking what became of a transaction.
\set sqlstate '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'
\set SHOW_CONTEXT never
SET timezone = 'UTC';
SET datestyle = 'ISO';
SELECT faultline.set_clock('2026-01-01 00:00Z') \gset
SET faultline.allow_same_transaction = on;
SELECT faultline.create_queue('undo'), faultline.create_asset('PLN') \gset
SELECT faultline.open_account('purse', 'PLN', min_balance => -100) \gset
ALTER SEQUENCE faultline.job_id_seq RESTART 35001;
CREATE FUNCTION pg_temp.enqueue(id text) RETURNS bigint LANGUAGE sql RETURN faultline.enqueue('undo', ledger =>
  jsonb_build_object('transaction_id', id, 'debit', 'purse', 'credit', 'stall', 'amount', 100, 'asset', 'PLN', 'metadata', '{"order": 7}'::jsonb));
SELECT pg_temp.enqueue('p1') AS job \gset
-- INIT.
SELECT state, entry_id, job_id, failure_reason FROM faultline.transaction_status('p1');
SELECT faultline.reverse_transaction('p1', 'p1-undo', 'wrong');
:sqlstate
-- APPLIED.
SELECT verdict FROM faultline.claim('undo', 'w') c, faultline.apply_and_complete(c.job_id, c.lease_token);
SELECT state, entry_id IS NOT NULL AS entry, job_id, failure_reason FROM faultline.transaction_status('p1');
SELECT faultline.reverse_transaction('p1', 'p1-undo', 'sent back') AS entry \gset
SELECT :entry = faultline.reverse_transaction('p1', 'p1-undo', 'sent back'), :entry = faultline.reverse_transaction('p1', 'p1-undo', 'asked again');
SELECT transaction_id, queue, job_id, generation, state, debit, credit, amount, asset, reverses, metadata, attempt, applied_at
  FROM faultline.transactions WHERE transaction_id IN ('p1', 'p1-undo') ORDER BY 1 \gx
SELECT account, balance FROM faultline.accounts WHERE asset = 'PLN' ORDER BY 1;
SELECT state, entry_id = :entry AS entry, job_id, failure_reason FROM faultline.transaction_status('p1-undo');
-- Once only; under an id of its own.
SELECT faultline.reverse_transaction('p1', 'p1-undo-2', 'sent back');
:sqlstate
SELECT faultline.reverse_transaction('p1', 'p1', 'sent back');
:sqlstate
SELECT pg_temp.enqueue('p2') AS job \gset
SELECT verdict FROM faultline.claim('undo', 'w') c, faultline.apply_and_complete(c.job_id, c.lease_token);
SELECT faultline.reverse_transaction('p2', 'p1-undo', 'sent back');
:sqlstate
SELECT faultline.reverse_transaction('p2', 'p1', 'sent back');
:sqlstate
-- The reversal's id is taken for jobs, too.
SELECT pg_temp.enqueue('p1-undo');
:sqlstate
SELECT faultline.apply_ledger(:job, 1, 'p1-undo');
:sqlstate
-- A reversal may be reversed.
SELECT faultline.reverse_transaction('p1-undo', 'p1-redo', 'kept after all') > :entry;
:sqlstate
SELECT faultline.alter_account('purse', 'PLN', min_balance => -200);
SELECT faultline.reverse_transaction('p1-undo', 'p1-redo', 'kept after all') > :entry;
SELECT account, balance FROM faultline.accounts WHERE asset = 'PLN' ORDER BY 1;
-- FAILED.
SELECT pg_temp.enqueue('p3') AS job \gset
SELECT verdict FROM faultline.cancel(ARRAY[:job], 'no more');
SELECT state, entry_id, job_id = :job AS job, failure_reason FROM faultline.transaction_status('p3');
SELECT faultline.reverse_transaction('p3', 'p3-undo', 'wrong');
:sqlstate
-- RECONCILED transactions are reversed all the same; reversals are reconciled, too.
SELECT count(*) FROM faultline.reconcile(100000);
SELECT transaction_id, state FROM faultline.transactions WHERE asset = 'PLN' ORDER BY 1;
SELECT faultline.reverse_transaction('p2', 'p2-undo', 'wrong') > 0;
-- A closed account, and one that does not exist.
SELECT pg_temp.enqueue('p4') AS job \gset
SELECT verdict FROM faultline.claim('undo', 'w') c, faultline.apply_and_complete(c.job_id, c.lease_token);
SELECT faultline.close_account('stall', 'PLN');
SELECT faultline.reverse_transaction('p4', 'p4-undo', 'wrong');
:sqlstate
SELECT faultline.reverse_transaction('p9', 'p9-undo', 'wrong');
:sqlstate
SELECT count(*) FROM faultline.transaction_status('p9');
-- Nothing of what was refused is there.
SELECT transaction_id FROM faultline.transactions WHERE asset = 'PLN' ORDER BY 1;
-- The queue is gone, its transactions are not.
SELECT faultline.drop_queue('undo', force => true);
SELECT state FROM faultline.transaction_status('p4');
SELECT faultline.reverse_transaction('p1-redo', 'p1-undo-again', 'wrong');
:sqlstate
BEGIN TRANSACTION READ ONLY;
SELECT faultline.transaction_status('p1');
:sqlstate
ROLLBACK;
SELECT faultline.set_clock(NULL) \gset
SELECT sum(rows) >= 0 AS reconciled FROM faultline.reconcile();
SELECT * FROM faultline.check_invariants();
