-- Clock: the one time that every function uses, and its virtual twin for tests.
\set sqlstate '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'
\set SHOW_CONTEXT never
SET timezone = 'UTC';
SET datestyle = 'ISO';
SET intervalstyle = 'postgres';
SELECT faultline.set_clock('2026-01-01 00:00Z') \gset
ALTER SEQUENCE faultline.job_id_seq RESTART 12001;
SELECT faultline.clock_now();
-- It stands still until it is moved, also across statements and calls within one.
SELECT faultline.clock_now() = faultline.clock_now() AS still;
SELECT faultline.advance_clock('1 h 30 min');
SELECT faultline.advance_clock('1 month');
SELECT faultline.advance_clock('-1 day');
SELECT faultline.advance_clock('0');
SELECT faultline.set_clock('1999-12-31 23:59:59.999999Z');
SELECT faultline.advance_clock('1 us');
SELECT count(*) FROM faultline.virtual_clock;

-- Part of the transaction, like any other change.
BEGIN;
SELECT faultline.set_clock('2030-01-01 00:00Z');
SAVEPOINT s;
SELECT faultline.advance_clock('1 h');
ROLLBACK TO s;
SELECT faultline.clock_now();
ROLLBACK;
SELECT faultline.clock_now();
-- Also in a transaction whose snapshot is older.
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT faultline.clock_now();
SELECT faultline.advance_clock('1 s');
SELECT faultline.clock_now();
COMMIT;

-- Everything asks this clock.
SELECT faultline.set_clock('2026-01-01 00:00Z') \gset
SELECT faultline.create_queue('timed', lease => '10 s', backoff_jitter => 0) \gset
SELECT created_at FROM faultline.queues WHERE name = 'timed';
SELECT faultline.enqueue('timed', delay => '1 min');
SELECT enqueued_at, next_run_at FROM faultline.jobs WHERE job_id = 12001;
SELECT faultline.set_clock('2026-01-01 00:00:59.999999Z') \gset
SELECT count(*) FROM faultline.claim('timed', 'w');
SELECT faultline.advance_clock('1 us') \gset
SELECT lease_expires_at, lease_token FROM faultline.claim('timed', 'w') \gset
SELECT :'lease_expires_at' AS lease_expires_at;
SELECT faultline.advance_clock('4 s') \gset
SELECT faultline.extend(12001, :lease_token);
-- A clock that goes back makes no job run early, nor a lease end, unless it is further back than any
-- lease lasts (lease.sql).
SELECT faultline.advance_clock('-23 h') \gset
SELECT faultline.expire_leases();
SELECT count(*) FROM faultline.claim('timed', 'w');
SELECT faultline.advance_clock('23 h') \gset
SELECT faultline.complete(12001, :lease_token);
SELECT finished_at FROM faultline.jobs WHERE job_id = 12001;
SELECT state, detail, hint FROM faultline.status() WHERE item = 'clock';

-- At the end of time nothing overflows.
SELECT faultline.enqueue('timed') > 0 AS enqueued;
SELECT faultline.set_clock('294276-12-31 23:59:59.999999Z');
SELECT faultline.advance_clock('1 us');
:sqlstate
SELECT faultline.clock_now();
SELECT faultline.enqueue('timed') > 0 AS enqueued;
SELECT faultline.enqueue('timed', delay => '1 us');
:sqlstate
SELECT job_id FROM faultline.claim('timed', 'w');
:sqlstate
SELECT faultline.set_clock('2026-01-01 00:00Z') \gset
SELECT faultline.advance_clock('178000000 years');
:sqlstate
SELECT faultline.advance_clock('-178000000 years');
:sqlstate

-- Only finite times.
SELECT faultline.set_clock('infinity');
:sqlstate
SELECT faultline.set_clock('-infinity');
:sqlstate
SELECT faultline.advance_clock(NULL);
:sqlstate
SELECT faultline.clock_now();

-- Back to real time; and from there a step makes it virtual again.
SELECT faultline.set_clock(NULL) - clock_timestamp() BETWEEN '-1 min' AND '1 min' AS real;
SELECT count(*) FROM faultline.virtual_clock;
SELECT faultline.clock_now() <= clock_timestamp() AND clock_timestamp() <= faultline.clock_now() AS runs;
SELECT state, detail, hint FROM faultline.status() WHERE item = 'clock';
SELECT abs(extract(epoch FROM faultline.advance_clock('1 day') - clock_timestamp()) - 86400) < 60 AS tomorrow;
SELECT faultline.clock_now() = faultline.clock_now() AS still;

SELECT faultline.drop_queue(queue, force => true) FROM faultline.stat_queues ORDER BY queue;
SELECT faultline.set_clock(NULL) \gset
SELECT * FROM faultline.check_invariants();
