-- Invariants: check_invariants() is silent on sound data and names each violation that is planted.
\set sqlstate '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'
\set SHOW_CONTEXT never
SET timezone = 'UTC';
SET datestyle = 'ISO';
SET intervalstyle = 'postgres';
-- What other tests left in the ledger stays there for ever.
DROP EXTENSION faultline CASCADE;
CREATE EXTENSION faultline;
SELECT faultline.set_clock('2026-01-01 00:00Z') \gset
ALTER SEQUENCE faultline.job_id_seq RESTART 13001;
SELECT faultline.create_queue('sound', max_attempts => 2, backoff_base => '0') \gset
-- Sound data of every kind: queued (1), running (2), succeeded (3), cancelled (4), a dead letter (5),
-- waiting for its second attempt (6), redriven (7), released (8), running and asked to stop (9).
SELECT faultline.enqueue('sound', to_jsonb(i), priority => i::int, idempotency_key => 'k' || i,
                         max_attempts => CASE WHEN i IN (5, 7) THEN 1 END)
  FROM generate_series(1, 9) AS i;
SELECT * INTO TEMP held FROM faultline.claim('sound', 'w', 9);
SELECT faultline.release(job_id, lease_token) FROM held WHERE job_id IN (13001, 13008);
SELECT job_id, faultline.complete(job_id, lease_token) FROM held WHERE job_id = 13003;
SELECT job_id, faultline.fail(job_id, lease_token, 'no', discard => job_id = 13005) FROM held WHERE job_id IN (13005, 13006, 13007);
SELECT * FROM faultline.redrive('{13007}');
SELECT * FROM faultline.cancel('{13009}');
SELECT job_id, faultline.release(job_id, lease_token) FROM held WHERE job_id = 13004;
SELECT * FROM faultline.cancel('{13004}');
SELECT job_id, state, attempt FROM faultline.jobs WHERE queue = 'sound' ORDER BY job_id;
SELECT * FROM faultline.check_invariants(grace => '0');

-- Plants a violation, looks, and takes it back.
CREATE FUNCTION pg_temp.violations(VARIADIC plants text[])
  RETURNS TABLE (invariant text, subject text, detail text) LANGUAGE plpgsql AS $$
DECLARE
  plant text;
BEGIN
  BEGIN
    FOREACH plant IN ARRAY plants LOOP
      EXECUTE plant;
    END LOOP;
    CREATE TEMP TABLE found ON COMMIT DROP AS SELECT * FROM faultline.check_invariants(grace => '0');
    RETURN QUERY SELECT * FROM found ORDER BY 1, 2, 3;
    RAISE EXCEPTION USING ERRCODE = 'U0000';
  EXCEPTION WHEN SQLSTATE 'U0000' THEN
    NULL;
  END;
END $$;

-- INV_009: a lease exactly while it runs
SELECT * FROM pg_temp.violations($$UPDATE faultline.live_jobs SET state = 'x' WHERE job_id = 13001$$);
SELECT * FROM pg_temp.violations($$UPDATE faultline.live_jobs SET state = 'q' WHERE job_id = 13002$$);
SELECT * FROM pg_temp.violations($$UPDATE faultline.live_jobs SET state = 'r' WHERE job_id = 13001$$);
SELECT * FROM pg_temp.violations($$UPDATE faultline.live_jobs SET lease_token = 5 WHERE job_id = 13001$$);
SELECT * FROM pg_temp.violations($$UPDATE faultline.live_jobs SET lease_token = NULL WHERE job_id = 13002$$);
SELECT * FROM pg_temp.violations($$UPDATE faultline.live_jobs SET lease_expires_at = enqueued_at WHERE job_id = 13001$$);
SELECT * FROM pg_temp.violations($$UPDATE faultline.live_jobs SET lease_expires_at = NULL WHERE job_id = 13002$$);
SELECT * FROM pg_temp.violations($$UPDATE faultline.live_jobs SET lease_milliseconds = 1 WHERE job_id = 13001$$);
SELECT * FROM pg_temp.violations($$UPDATE faultline.live_jobs SET lease_milliseconds = NULL WHERE job_id = 13002$$);
SELECT * FROM pg_temp.violations($$UPDATE faultline.live_jobs SET lease_owner = 'w' WHERE job_id = 13001$$);
SELECT * FROM pg_temp.violations($$UPDATE faultline.live_jobs SET lease_owner = NULL WHERE job_id = 13002$$);
SELECT * FROM pg_temp.violations($$UPDATE faultline.live_jobs SET claimed_at = enqueued_at WHERE job_id = 13001$$);
SELECT * FROM pg_temp.violations($$UPDATE faultline.live_jobs SET claimed_at = NULL WHERE job_id = 13002$$);
SELECT * FROM pg_temp.violations($$UPDATE faultline.live_jobs SET cancel_requested_at = enqueued_at WHERE job_id = 13001$$);

-- INV_010: attempts within their budget
SELECT * FROM pg_temp.violations($$UPDATE faultline.live_jobs SET attempts_uncounted = -1 WHERE job_id = 13002$$);
SELECT * FROM pg_temp.violations($$UPDATE faultline.live_jobs SET attempts_uncounted = 2 WHERE job_id = 13002$$);
SELECT * FROM pg_temp.violations($$UPDATE faultline.live_jobs SET attempt = 3 WHERE job_id = 13002$$);
SELECT * FROM pg_temp.violations($$UPDATE faultline.live_jobs SET attempt = 2 WHERE job_id = 13006$$);
SELECT * FROM pg_temp.violations($$UPDATE faultline.failed_jobs SET attempts_uncounted = -1 WHERE job_id = 13005$$);
SELECT * FROM pg_temp.violations($$UPDATE faultline.failed_jobs SET max_attempts = 0 WHERE job_id = 13005$$);

-- INV_012: one lease ends in one way
SELECT * FROM pg_temp.violations($$UPDATE faultline.ended_attempts SET lease_token =
  (SELECT lease_token FROM faultline.live_jobs WHERE job_id = 13002), job_id = 13002 WHERE job_id = 13006$$);
SELECT * FROM pg_temp.violations($$INSERT INTO faultline.ended_attempts SELECT * FROM faultline.ended_attempts WHERE job_id = 13008$$);
SELECT * FROM pg_temp.violations($$UPDATE faultline.ended_attempts a SET job_id = f.job_id, lease_token = f.lease_token
  FROM faultline.finished_jobs f WHERE f.job_id = 13003 AND a.job_id = 13008$$);

-- INV_016: a dead letter has the history of its last attempt
SELECT * FROM pg_temp.violations($$UPDATE faultline.failed_jobs SET history = NULL WHERE job_id = 13005$$);
SELECT * FROM pg_temp.violations($$UPDATE faultline.failed_jobs SET history = '[]' WHERE job_id = 13005$$);
SELECT * FROM pg_temp.violations($$UPDATE faultline.failed_jobs SET history = jsonb_set(history, '{0,attempt}', '7') WHERE job_id = 13005$$);

-- INV_018: the key of a job that lives or is a dead letter is its own
SELECT * FROM pg_temp.violations($$DELETE FROM faultline.idempotency_keys WHERE key = 'k1'$$);
SELECT * FROM pg_temp.violations($$UPDATE faultline.idempotency_keys SET job_id = 13001 WHERE key = 'k2'$$);
SELECT * FROM pg_temp.violations($$DELETE FROM faultline.idempotency_keys WHERE key = 'k5'$$);

-- INV_020: finished jobs succeeded, under a lease, or were cancelled
SELECT * FROM pg_temp.violations($$UPDATE faultline.finished_jobs SET state = 'q' WHERE job_id = 13003$$);
SELECT * FROM pg_temp.violations($$UPDATE faultline.finished_jobs SET lease_token = NULL WHERE job_id = 13003$$);

-- INV_022: no generation is started more often than max_attempts
SELECT * FROM pg_temp.violations($$INSERT INTO faultline.ended_attempts
  SELECT job_id, started_at, ended_at, lease_token + i, queue_id, attempt + i, generation, 'x', false, worker, error
    FROM faultline.ended_attempts, generate_series(1, 2) AS i WHERE job_id = 13006$$);
SELECT * FROM pg_temp.violations($$UPDATE faultline.failed_jobs SET max_attempts = 1 WHERE job_id = 13005$$,
  $$INSERT INTO faultline.ended_attempts SELECT job_id, started_at, ended_at, 1, queue_id, 9, generation, 'f', false, worker, error
    FROM faultline.ended_attempts WHERE job_id = 13005$$);

-- INV_024: a job is in one place
SELECT * FROM pg_temp.violations($$INSERT INTO faultline.finished_jobs SELECT * FROM faultline.finished_jobs WHERE job_id = 13003$$);
SELECT * FROM pg_temp.violations($$UPDATE faultline.finished_jobs SET job_id = 13001 WHERE job_id = 13004$$);
SELECT * FROM pg_temp.violations($$UPDATE faultline.failed_jobs SET job_id = 13001, idempotency_key = NULL WHERE job_id = 13005$$,
  $$DELETE FROM faultline.idempotency_keys WHERE key = 'k5'$$);

-- INV_025: a key expires exactly when its job has ended
SELECT * FROM pg_temp.violations($$UPDATE faultline.idempotency_keys SET expires_at = created_at WHERE key = 'k1'$$);
SELECT * FROM pg_temp.violations($$UPDATE faultline.idempotency_keys SET expires_at = created_at WHERE key = 'k5'$$);
SELECT * FROM pg_temp.violations($$UPDATE faultline.idempotency_keys SET expires_at = NULL WHERE key = 'k3'$$);

-- INV_026: a live job or dead letter has a queue
SELECT * FROM pg_temp.violations($$UPDATE faultline.live_jobs SET queue_id = 999999, idempotency_key = NULL WHERE job_id = 13001$$);
SELECT * FROM pg_temp.violations($$UPDATE faultline.failed_jobs SET queue_id = 999999, idempotency_key = NULL WHERE job_id = 13005$$);
SELECT invariant, count(*) FROM pg_temp.violations($$UPDATE faultline.queues SET dropped_at = created_at WHERE name = 'sound'$$)
 GROUP BY invariant;

-- INV_017: a dead letter is nothing else
SELECT * FROM pg_temp.violations($$UPDATE faultline.finished_jobs SET job_id = 13005, idempotency_key = 'k5' WHERE job_id = 13004$$);

-- INV_018: the job of a key was enqueued with it
SELECT * FROM pg_temp.violations($$UPDATE faultline.finished_jobs SET idempotency_key = 'other' WHERE job_id = 13003$$);
SELECT * FROM pg_temp.violations($$UPDATE faultline.finished_jobs SET queue_id = 0 WHERE job_id = 13003$$);

-- INV_033: each attempt ends once, and none that was not begun
SELECT * FROM pg_temp.violations($$INSERT INTO faultline.ended_attempts
  SELECT job_id, started_at, ended_at, 77, queue_id, attempt, generation, outcome, final, worker, error
    FROM faultline.ended_attempts WHERE job_id = 13008$$);
SELECT * FROM pg_temp.violations($$UPDATE faultline.ended_attempts SET attempt = 2 WHERE job_id = 13008$$);
SELECT * FROM pg_temp.violations($$UPDATE faultline.ended_attempts SET generation = 2 WHERE job_id = 13008$$);

--
-- What has to happen in the end: told once it is overdue for longer than grace
--
CREATE FUNCTION pg_temp.overdue(grace interval, VARIADIC plants text[])
  RETURNS TABLE (invariant text, subject text, detail text) LANGUAGE plpgsql AS $$
DECLARE
  plant text;
BEGIN
  FOREACH plant IN ARRAY plants LOOP
    EXECUTE plant;
  END LOOP;
  CREATE TEMP TABLE found ON COMMIT DROP AS SELECT * FROM faultline.check_invariants(overdue.grace);
  RETURN QUERY SELECT * FROM found ORDER BY 1, 2, 3;
  RAISE EXCEPTION USING ERRCODE = 'U0000';
EXCEPTION WHEN SQLSTATE 'U0000' THEN
  NULL;
END $$;
-- INV_101: an ended lease is settled
SELECT * FROM pg_temp.overdue('1 min', $$UPDATE faultline.live_jobs SET lease_expires_at = '2025-12-31 23:59Z' WHERE job_id = 13002$$);
SELECT * FROM pg_temp.overdue('1 min', $$UPDATE faultline.live_jobs SET lease_expires_at = '2025-12-31 23:58Z' WHERE job_id = 13002$$);
-- INV_104: jobs of a queue that is not paused are run
SELECT * FROM pg_temp.overdue('1 min', $$UPDATE faultline.live_jobs SET next_run_at = '2025-12-31 23:59Z', enqueued_at = '2025-12-31 23:59Z' WHERE state = 'q'$$);
SELECT * FROM pg_temp.overdue('1 min', $$UPDATE faultline.live_jobs SET next_run_at = '2025-12-31 23:58Z', enqueued_at = '2025-12-31 23:58Z' WHERE state = 'q'$$);
SELECT * FROM pg_temp.overdue('1 min', $$UPDATE faultline.live_jobs SET next_run_at = '2025-12-31 23:58Z', enqueued_at = '2025-12-31 23:58Z' WHERE state = 'q'$$,
  $$SELECT faultline.pause_queue('sound')$$);
SELECT * FROM pg_temp.overdue('1 min', $$UPDATE faultline.live_jobs SET next_run_at = '2000-01-01 00:00Z' WHERE state = 'q'$$);
-- INV_105: no lease ends later than any lease can
SELECT * FROM pg_temp.overdue('1 min', $$UPDATE faultline.live_jobs SET lease_expires_at = '2026-01-02 00:00Z' WHERE job_id = 13002$$);
SELECT * FROM pg_temp.overdue('1 min', $$UPDATE faultline.live_jobs SET lease_expires_at = '2026-01-02 00:00:01Z' WHERE job_id = 13002$$);
-- INV_106: no lease goes on behind max_runtime
SELECT * FROM pg_temp.overdue('1 min', $$UPDATE faultline.queues SET max_runtime = '1 min' WHERE name = 'sound'$$,
  $$UPDATE faultline.live_jobs SET claimed_at = '2025-12-31 23:58Z' WHERE job_id = 13002$$);
SELECT * FROM pg_temp.overdue('1 min', $$UPDATE faultline.queues SET max_runtime = '1 min' WHERE name = 'sound'$$,
  $$UPDATE faultline.live_jobs SET claimed_at = '2025-12-31 23:57Z' WHERE job_id = 13002$$);
-- INV_107: nobody else keeps rows of live jobs locked
BEGIN;
SELECT verdict FROM faultline.cancel('{13001}');
PREPARE TRANSACTION 'left open';
SELECT invariant, subject FROM faultline.check_invariants(grace => '0');
SELECT * FROM faultline.check_invariants();
ROLLBACK PREPARED 'left open';

--
-- The ledger.  13501: declared, queued.  13502: declared, running.  13503: reconciled, then reversed.
-- 13504: applied.  13505: dead letter.  13506: cancelled.  13507: redriven.  13508: nothing declared,
-- applied.  13509: running, applied.
--
ALTER SEQUENCE faultline.job_id_seq RESTART 13501;
ALTER SEQUENCE faultline.ledger_entry_id_seq RESTART 501;
SELECT faultline.create_queue('paid', max_attempts => 1, lease => '1 h') \gset
SELECT faultline.create_asset('EUR13') \gset
SELECT faultline.open_account('cash', 'EUR13') \gset
SELECT count(faultline.enqueue('paid', ledger => CASE WHEN i <> 8 THEN format(
  '{"transaction_id": "t%s", "debit": "cash", "credit": "till", "amount": %s, "asset": "EUR13"}', i, i)::jsonb END))
  FROM generate_series(1, 9) AS i;
SELECT verdict FROM faultline.cancel('{13506}');
SELECT * INTO TEMP paid FROM faultline.claim('paid', 'w', 9);
SELECT faultline.release(job_id, lease_token) FROM paid WHERE job_id = 13501;
SELECT verdict FROM paid, faultline.apply_and_complete(job_id, lease_token) WHERE job_id = 13503;
SELECT * FROM faultline.reconcile() WHERE rows > 0;
SELECT faultline.reverse_transaction('t3', 'back3', 'a mistake');
SELECT verdict FROM paid, faultline.apply_and_complete(job_id, lease_token) WHERE job_id = 13504;
SELECT faultline.fail(job_id, lease_token, 'no') FROM paid WHERE job_id IN (13505, 13507);
SELECT verdict FROM faultline.redrive('{13507}');
SELECT verdict FROM paid, faultline.apply_and_complete(job_id, lease_token, 'u8', 'street', 'till', 8, 'EUR13') WHERE job_id = 13508;
SELECT verdict FROM paid, faultline.apply_ledger(job_id, lease_token) WHERE job_id = 13509;
SELECT transaction_id, job_id, generation, state, entry_id FROM faultline.transactions ORDER BY transaction_id;
SELECT account, balance, maintained, version FROM faultline.accounts ORDER BY account;
SELECT * FROM faultline.check_invariants(grace => '0');

-- Plants what no guard lets through.
CREATE FUNCTION pg_temp.unguarded(VARIADIC plants text[])
  RETURNS TABLE (invariant text, subject text, detail text) LANGUAGE sql AS $$
  SELECT * FROM pg_temp.violations(VARIADIC ARRAY[
    'ALTER TABLE faultline.ledger_entries DISABLE TRIGGER ALL',
    'ALTER TABLE faultline.ledger_transactions DISABLE TRIGGER ALL',
    'ALTER TABLE faultline.ledger_accounts DISABLE TRIGGER ALL',
    'ALTER TABLE faultline.ledger_entries DROP CONSTRAINT ledger_entries_transaction,
       DROP CONSTRAINT ledger_entries_attempt',
    'ALTER TABLE faultline.ledger_transactions DROP CONSTRAINT ledger_transactions_amount,
       DROP CONSTRAINT ledger_transactions_accounts, DROP CONSTRAINT ledger_transactions_state,
       DROP CONSTRAINT ledger_transactions_failure, DROP CONSTRAINT ledger_transactions_job',
    -- The functions of the extension know these by name.
    'CREATE INDEX ledger_entries_transaction ON faultline.ledger_entries (transaction_id)',
    'DROP INDEX faultline.ledger_entries_job, faultline.ledger_transactions_generation',
    'CREATE INDEX ledger_entries_job ON faultline.ledger_entries (job_id) WHERE job_id > 0',
    'CREATE INDEX ledger_transactions_generation ON faultline.ledger_transactions (job_id, generation)
       WHERE job_id > 0'] || plants)
$$;
SELECT * FROM pg_temp.unguarded('SELECT 1');
-- INV_001, INV_002: one entry per job and per transaction
SELECT * FROM pg_temp.unguarded($$UPDATE faultline.ledger_transactions SET job_id = 13503 WHERE transaction_id = 'u8'$$,
  $$UPDATE faultline.ledger_entries SET job_id = 13503 WHERE transaction_id = 'u8'$$);
SELECT * FROM pg_temp.unguarded($$INSERT INTO faultline.ledger_entries
  SELECT 600, job_id, amount, created_at, attempt, transaction_id, debit, credit, asset
    FROM faultline.ledger_entries WHERE transaction_id = 'u8'$$);
-- INV_003: APPLIED and RECONCILED have an entry
SELECT * FROM pg_temp.unguarded($$UPDATE faultline.ledger_transactions SET state = 'a' WHERE transaction_id = 't1'$$);
SELECT * FROM pg_temp.unguarded($$UPDATE faultline.ledger_transactions SET state = 'r' WHERE transaction_id = 't1'$$);
-- INV_004: INIT and FAILED have none
SELECT * FROM pg_temp.unguarded($$UPDATE faultline.ledger_transactions SET state = 'i' WHERE transaction_id = 't9'$$);
SELECT * FROM pg_temp.unguarded($$UPDATE faultline.ledger_transactions SET state = 'f', failure_reason = 'x' WHERE transaction_id = 'u8'$$);
-- INV_005: an entry has a transaction
SELECT * FROM pg_temp.unguarded($$DELETE FROM faultline.ledger_transactions WHERE transaction_id = 'u8'$$);
SELECT * FROM pg_temp.unguarded($$DELETE FROM faultline.ledger_transactions WHERE transaction_id = 'back3'$$);
-- INV_006: of the same content
SELECT * FROM pg_temp.unguarded($$UPDATE faultline.ledger_transactions SET amount = 9 WHERE transaction_id = 'u8'$$);
SELECT * FROM pg_temp.unguarded($$UPDATE faultline.ledger_transactions SET debit = 'elsewhere' WHERE transaction_id = 'u8'$$);
-- INV_007: a job that declared an effect succeeded with it
SELECT * FROM pg_temp.unguarded($$DELETE FROM faultline.ledger_entries WHERE transaction_id = 't4'$$,
  $$UPDATE faultline.ledger_transactions SET state = 'i' WHERE transaction_id = 't4'$$,
  $$UPDATE faultline.ledger_accounts SET balance = balance + 4, version = version - 1 WHERE account = 'cash'$$);
-- INV_008: a job that failed or was cancelled has none
SELECT * FROM pg_temp.unguarded($$UPDATE faultline.finished_jobs SET state = 'c' WHERE job_id = 13508$$);
SELECT * FROM pg_temp.unguarded($$UPDATE faultline.ledger_entries SET job_id = 13505 WHERE transaction_id = 'u8'$$,
  $$UPDATE faultline.ledger_transactions SET job_id = 13505 WHERE transaction_id = 'u8'$$);
-- INV_011: an entry was written by an attempt that the job has reached
SELECT * FROM pg_temp.unguarded($$UPDATE faultline.ledger_entries SET attempt = 2 WHERE transaction_id = 'u8'$$);
SELECT * FROM pg_temp.unguarded($$UPDATE faultline.ledger_entries SET attempt = 0 WHERE transaction_id = 'u8'$$);
SELECT * FROM pg_temp.unguarded($$UPDATE faultline.ledger_entries SET attempt = 1 WHERE transaction_id = 'back3'$$);
-- INV_019: balances are the sum of entries, and together nothing
SELECT * FROM pg_temp.unguarded($$UPDATE faultline.ledger_accounts SET balance = 1 WHERE account = 'cash'$$);
SELECT * FROM pg_temp.unguarded($$UPDATE faultline.ledger_accounts SET version = 1 WHERE account = 'cash'$$);
SELECT * FROM pg_temp.unguarded($$DELETE FROM faultline.ledger_accounts WHERE account = 'street'$$);
-- INV_021: an entry is not older than its job and its transaction
SELECT * FROM pg_temp.unguarded($$UPDATE faultline.ledger_entries SET created_at = created_at - interval '1 s' WHERE transaction_id = 'u8'$$);
SELECT * FROM pg_temp.unguarded($$UPDATE faultline.ledger_transactions SET created_at = created_at + interval '1 s' WHERE transaction_id = 'back3'$$);
-- INV_023: it was written by an attempt that ended in no other way
SELECT * FROM pg_temp.unguarded($$INSERT INTO faultline.ended_attempts
  SELECT job_id, finished_at, finished_at, 5, queue_id, attempt, generation, 'x', false FROM faultline.finished_jobs WHERE job_id = 13508$$);
-- INV_027: a reversal mirrors what it reverses
SELECT * FROM pg_temp.unguarded($$UPDATE faultline.ledger_transactions SET reverses = 't4' WHERE transaction_id = 'back3'$$);
SELECT * FROM pg_temp.unguarded($$UPDATE faultline.ledger_transactions SET reverses = 'nothing' WHERE transaction_id = 'back3'$$);
SELECT * FROM pg_temp.unguarded($$UPDATE faultline.ledger_transactions SET reverses = NULL WHERE transaction_id = 'back3'$$);
SELECT * FROM pg_temp.unguarded($$UPDATE faultline.ledger_transactions SET reverses = 't4' WHERE transaction_id = 'u8'$$);
SELECT * FROM pg_temp.unguarded($$UPDATE faultline.ledger_transactions SET debit = 'a', credit = 'b', amount = 1 WHERE transaction_id = 't1'$$,
  $$UPDATE faultline.ledger_transactions SET reverses = 't1' WHERE transaction_id = 'back3'$$);
-- INV_028: a job that declares an effect has its transaction, and no other has one to come
SELECT * FROM pg_temp.unguarded($$DELETE FROM faultline.ledger_transactions WHERE transaction_id = 't1'$$);
SELECT * FROM pg_temp.unguarded($$UPDATE faultline.live_jobs SET declares_effect = false WHERE job_id = 13501$$);
SELECT * FROM pg_temp.unguarded($$UPDATE faultline.ledger_transactions SET generation = 3 WHERE transaction_id = 'u8'$$);
SELECT * FROM pg_temp.unguarded($$UPDATE faultline.ledger_transactions SET queue_id = 0 WHERE transaction_id = 'u8'$$);
-- INV_029: a queued job has no entry
SELECT * FROM pg_temp.unguarded($$UPDATE faultline.ledger_entries SET job_id = 13501 WHERE transaction_id = 't9'$$,
  $$UPDATE faultline.ledger_transactions SET job_id = CASE job_id WHEN 13501 THEN 13509 ELSE 13501 END WHERE transaction_id IN ('t1', 't9')$$);
-- INV_030: FAILED has a reason, nothing else has
SELECT * FROM pg_temp.unguarded($$UPDATE faultline.ledger_transactions SET failure_reason = NULL WHERE transaction_id = 't5'$$);
SELECT * FROM pg_temp.unguarded($$UPDATE faultline.ledger_transactions SET failure_reason = 'x' WHERE transaction_id = 't1'$$);
-- INV_031: FAILED is the transaction of a job that is over, without success
SELECT * FROM pg_temp.unguarded($$UPDATE faultline.ledger_transactions SET state = 'f', failure_reason = 'x' WHERE transaction_id = 't1'$$);
SELECT * FROM pg_temp.unguarded($$UPDATE faultline.ledger_transactions SET state = 'f', failure_reason = 'x' WHERE transaction_id = 't2'$$);
-- INV_032: accounts of an entry are there, and open
SELECT * FROM pg_temp.unguarded($$DELETE FROM faultline.ledger_accounts WHERE account = 'till'$$);
SELECT * FROM pg_temp.unguarded($$UPDATE faultline.ledger_accounts SET closed_at = '2025-12-31' WHERE account = 'street'$$);
-- INV_034: a transaction moves something known from one account to another
SELECT * FROM pg_temp.unguarded($$UPDATE faultline.ledger_transactions SET amount = 0 WHERE transaction_id = 't1'$$);
SELECT * FROM pg_temp.unguarded($$UPDATE faultline.ledger_transactions SET amount = 4611686018427387905 WHERE transaction_id = 't1'$$);
SELECT * FROM pg_temp.unguarded($$UPDATE faultline.ledger_transactions SET credit = debit WHERE transaction_id = 't1'$$);
SELECT * FROM pg_temp.unguarded($$UPDATE faultline.ledger_transactions SET state = 'x' WHERE transaction_id = 't1'$$);
SELECT * FROM pg_temp.unguarded($$UPDATE faultline.ledger_transactions SET asset = 'USD' WHERE transaction_id = 't1'$$);
-- INV_102: INIT of a job that is over becomes FAILED
CREATE FUNCTION pg_temp.later(VARIADIC plants text[])
  RETURNS TABLE (invariant text, subject text, detail text) LANGUAGE sql AS $$
  SELECT o.* FROM pg_temp.overdue('1 min', VARIADIC ARRAY[
    'ALTER TABLE faultline.ledger_transactions DISABLE TRIGGER ALL'] || plants) o WHERE o.invariant IN ('INV_102', 'INV_103')
$$;
SELECT * FROM pg_temp.later($$UPDATE faultline.ledger_transactions SET state = 'i', failure_reason = NULL WHERE state = 'f'$$,
  $$SELECT faultline.advance_clock('1 min')$$);
SELECT * FROM pg_temp.later($$UPDATE faultline.ledger_transactions SET state = 'i', failure_reason = NULL WHERE state = 'f'$$,
  $$DELETE FROM faultline.failed_jobs WHERE job_id = 13505$$, $$SELECT faultline.advance_clock('61 s')$$);
-- INV_103: APPLIED of a job that succeeded, and of a reversal, becomes RECONCILED
SELECT * FROM pg_temp.later($$SELECT faultline.advance_clock('1 min')$$);
SELECT * FROM pg_temp.later($$DELETE FROM faultline.finished_jobs WHERE job_id = 13508$$, $$SELECT faultline.advance_clock('61 s')$$);

--
-- The event log, while it is written
--
SET faultline.trace_events = on;
SELECT faultline.create_queue('logged', max_attempts => 1) \gset
ALTER SEQUENCE faultline.job_id_seq RESTART 13601;
ALTER SEQUENCE faultline.event_id_seq RESTART 1001;
SELECT count(faultline.enqueue('logged')) FROM generate_series(1, 3);
SELECT * INTO TEMP logged FROM faultline.claim('logged', 'w', 9);
SELECT faultline.release(job_id, lease_token) FROM logged WHERE job_id = 13601;
SELECT verdict FROM logged, faultline.apply_and_complete(job_id, lease_token, 'u102', 'street', 'till', 1, 'EUR13') WHERE job_id = 13602;
SELECT event_id, job_id, from_state, to_state, attempt FROM faultline.job_events WHERE job_id > 13600 ORDER BY event_id;
SELECT * FROM faultline.check_invariants(grace => '0');
-- INV_012, INV_022: a lease and a number are granted once, and a generation starts only so often
SELECT * FROM pg_temp.violations($$INSERT INTO faultline.job_events
  SELECT event_id + v.i, job_id, at, lease_token, queue_id, attempt, generation, v."from", v."to"
    FROM faultline.job_events, (VALUES (100, 'r'::"char", 'q'::"char"), (101, 'q', 'r')) AS v (i, "from", "to")
   WHERE job_id = 13603 AND to_state = 'r'$$);
SELECT * FROM pg_temp.violations($$INSERT INTO faultline.job_events
  SELECT event_id + v.i, job_id, at, lease_token + 1, queue_id, attempt + 1, generation, v."from", v."to"
    FROM faultline.job_events, (VALUES (100, 'r'::"char", 'q'::"char"), (101, 'q', 'r')) AS v (i, "from", "to")
   WHERE job_id = 13603 AND to_state = 'r'$$);
-- INV_013: only legal steps
SELECT * FROM pg_temp.violations($$DELETE FROM faultline.job_events WHERE job_id = 13602 AND to_state = 'r'$$,
  $$UPDATE faultline.job_events SET from_state = 'q' WHERE job_id = 13602 AND to_state = 's'$$);
-- INV_014: the log ends with the state of the row
SELECT * FROM pg_temp.violations($$DELETE FROM faultline.job_events WHERE job_id = 13603 AND to_state = 'r'$$);
-- INV_015: each step begins where the one before ended
SELECT * FROM pg_temp.violations($$DELETE FROM faultline.job_events WHERE job_id = 13601 AND to_state = 'r'$$);
-- INV_023: the attempt that wrote an entry was granted
SELECT * FROM pg_temp.violations($$UPDATE faultline.job_events SET attempt = 2 WHERE job_id = 13602$$);
-- Off: the log is not asked.
SET faultline.trace_events = off;
SELECT * FROM pg_temp.violations($$DELETE FROM faultline.job_events WHERE to_state = 'r'$$);

-- All was taken back.
SELECT * FROM faultline.check_invariants(grace => '0');

--
-- The verbs themselves refuse a row that they cannot have written, and change nothing
--
BEGIN;
UPDATE faultline.live_jobs SET lease_owner = NULL WHERE job_id = 13002;
SELECT faultline.complete(job_id, lease_token) FROM held WHERE job_id = 13002;
:sqlstate
ROLLBACK;
BEGIN;
UPDATE faultline.live_jobs SET attempts_uncounted = 5 WHERE job_id = 13002;
SELECT faultline.fail(job_id, lease_token, 'x') FROM held WHERE job_id = 13002;
:sqlstate
ROLLBACK;
-- No window knows a row that is written by hand.
SET faultline.fast_path = off;
BEGIN;
UPDATE faultline.live_jobs SET attempt = max_attempts WHERE job_id = 13001;
UPDATE faultline.live_jobs SET attempts_uncounted = 0 WHERE job_id = 13001;
SELECT job_id FROM faultline.claim('sound', 'w');
:sqlstate
ROLLBACK;
BEGIN;
UPDATE faultline.live_jobs SET state = 'x' WHERE job_id = 13001;
SELECT * FROM faultline.cancel('{13001}');
:sqlstate
ROLLBACK;
BEGIN;
UPDATE faultline.live_jobs SET queue_id = 999999 WHERE job_id = 13002;
SELECT faultline.complete(job_id, lease_token) FROM held WHERE job_id = 13002;
:sqlstate
ROLLBACK;

SELECT faultline.drop_queue(queue, force => true) FROM faultline.stat_queues ORDER BY queue;
SELECT * FROM faultline.reconcile() WHERE rows > 0;
SELECT faultline.set_clock(NULL) \gset
SELECT * FROM faultline.check_invariants();
