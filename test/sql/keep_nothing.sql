-- keep_finished of 0: a job that ends leaves no row.
\set sqlstate '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'
\set SHOW_CONTEXT never
SET timezone = 'UTC';
SET datestyle = 'ISO';
SET intervalstyle = 'postgres';
SELECT faultline.set_clock('2026-01-01 00:00Z') \gset
ALTER SEQUENCE faultline.job_id_seq RESTART 21001;
SELECT faultline.create_queue('brief', keep_finished => '0', keep_keys => '1 h', backoff_jitter => 0) \gset
TRUNCATE faultline.job_events;
SET faultline.trace_events = on;
CREATE FUNCTION pg_temp.take(OUT job_id bigint, OUT lease_token bigint) LANGUAGE sql AS
  $$SELECT job_id, lease_token FROM faultline.claim('brief', 'w')$$;

--
-- Completions
--
SELECT count(faultline.enqueue('brief', idempotency_key => 'k' || n)) FROM generate_series(1, 4) AS n;
SELECT * FROM pg_temp.take() \gset
SELECT faultline.complete(:job_id, :lease_token, '{"total": 7}');
-- There is nothing that could answer a repeated call.
SELECT faultline.complete(:job_id, :lease_token);
:sqlstate
SELECT verdict FROM faultline.complete_many(ARRAY[:job_id], ARRAY[:lease_token]::bigint[]);
SELECT count(*) FROM faultline.jobs WHERE job_id > 21000 AND state = 'succeeded';
-- Many in one call, and one of them twice.
SELECT array_agg(job_id) AS ids, array_agg(lease_token) AS tokens FROM faultline.claim('brief', 'w', 2) \gset
SELECT verdict FROM faultline.complete_many(:'ids'::bigint[] || (:'ids'::bigint[])[1], :'tokens'::bigint[] || (:'tokens'::bigint[])[1]);
SELECT job_id, state FROM faultline.jobs WHERE job_id > 21000;
SELECT job_id, from_state, to_state FROM faultline.job_events ORDER BY event_id;
-- Keys outlive their jobs.
SELECT faultline.enqueue('brief', idempotency_key => 'k1');
SELECT key, expires_at FROM faultline.idempotency_keys WHERE job_id > 21000 ORDER BY key;

--
-- Cancelled and failed
--
SELECT * FROM faultline.cancel('{21004}');
SELECT * FROM faultline.cancel('{21004}');
SELECT faultline.enqueue('brief') AS asked \gset
SELECT * FROM pg_temp.take() \gset
SELECT verdict FROM faultline.cancel(ARRAY[:job_id]);
SELECT faultline.fail(:job_id, :lease_token, 'stopped');
-- Dead letters stay until somebody redrives or purges them.
SELECT faultline.enqueue('brief') \gset
SELECT * FROM pg_temp.take() \gset
SELECT faultline.fail(:job_id, :lease_token, 'never', discard => true);
SELECT job_id, state FROM faultline.jobs WHERE job_id > 21000;
SELECT * FROM faultline.redrive(ARRAY[:job_id]);
SELECT * FROM pg_temp.take() \gset
SELECT faultline.complete(:job_id, :lease_token);
SELECT * FROM faultline.check_invariants();

--
-- Effects
--
SELECT faultline.create_asset('EUR') \gset
-- A job that declared one leaves its row: reconciliation asks how it ended.
SELECT faultline.enqueue('brief', ledger => '{"transaction_id": "brief", "debit": "a", "credit": "b", "amount": 1,
                         "asset": "EUR"}') \gset
SELECT * FROM pg_temp.take() \gset
SELECT verdict FROM faultline.apply_and_complete(:job_id, :lease_token);
SELECT job_id = :job_id AS same, state FROM faultline.jobs WHERE job_id > 21000;
-- One that did not leaves its entry.
SELECT faultline.enqueue('brief') \gset
SELECT * FROM pg_temp.take() \gset
SELECT verdict FROM faultline.apply_and_complete(:job_id, :lease_token, 'brief2', 'a', 'b', 1, 'EUR');
SELECT verdict FROM faultline.apply_and_complete(:job_id, :lease_token, 'brief2', 'a', 'b', 1, 'EUR');
SELECT count(*) FROM faultline.jobs WHERE job_id = :job_id;
SELECT rule, rows FROM faultline.reconcile() WHERE rows > 0;
SELECT state FROM faultline.transaction_status('brief') UNION ALL SELECT state FROM faultline.transaction_status('brief2');
SELECT * FROM faultline.check_invariants();

--
-- The policy counts from the next call
--
SELECT faultline.alter_queue('brief', keep_finished => '1 s');
SELECT faultline.enqueue('brief') \gset
SELECT * FROM pg_temp.take() \gset
SELECT faultline.complete(:job_id, :lease_token);
SELECT faultline.complete(:job_id, :lease_token);
RESET faultline.trace_events;
SELECT count(faultline.drop_queue(queue, force => true)) > 0 AS dropped FROM faultline.stat_queues;
