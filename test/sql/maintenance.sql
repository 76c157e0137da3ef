-- Maintenance by hand: how each duty went, health(), and the background worker's absence.
\set sqlstate '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'
\set SHOW_CONTEXT never
SET timezone = 'UTC';
SET datestyle = 'ISO';
SET intervalstyle = 'postgres';
SELECT faultline.set_clock('2026-03-01 00:00Z') \gset
ALTER SEQUENCE faultline.job_id_seq RESTART 26001;
-- Other tests have called maintain() before.
DELETE FROM faultline.duty_statistics;
DELETE FROM faultline.duty_runs;

-- Every duty is there before it was ever done, and nothing is said to be wrong.
SELECT duty, last_start, last_success, runs, done, failures, failures_in_row, lag
  FROM faultline.stat_maintenance;
SELECT item, state, detail, hint FROM faultline.status() WHERE item IN ('worker', 'duties') \gx
-- The duties that maintain() does are these, in this order.
SELECT array_agg(duty) = (SELECT array_agg(duty) FROM faultline.stat_maintenance) AS same
  FROM faultline.maintain();

-- What was done is counted.
SELECT faultline.create_queue('m', lease => '10 s') \gset
SELECT count(faultline.enqueue('m')) FROM generate_series(1, 3);
SELECT count(*) FROM faultline.claim('m', 'w', 3);
SELECT faultline.set_clock('2026-03-01 00:01Z') \gset
SELECT duty, done, error FROM faultline.maintain() WHERE duty = 'expire_leases';
SELECT duty, last_start, last_success, runs, done, failures, lag FROM faultline.stat_maintenance
 WHERE duty = 'expire_leases';
-- Overdue: a duty that should run each minute, an hour later.
SELECT faultline.set_clock('2026-03-01 01:01Z') \gset
SELECT duty, lag FROM faultline.stat_maintenance WHERE duty = 'expire_leases';
-- Then it is no choice any more that nobody does it.
SELECT item, state, detail, hint FROM faultline.health() WHERE item = 'worker' \gx

-- A duty that fails is named, by health() too, until it goes well; the others go on.
CREATE FUNCTION pg_temp.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'refused by the test';
END $$;
CREATE TRIGGER refuse BEFORE DELETE ON faultline.idempotency_keys
  FOR EACH STATEMENT EXECUTE FUNCTION pg_temp.refuse();
SELECT duty, error FROM faultline.maintain() WHERE error IS NOT NULL;
SELECT duty, error FROM faultline.maintain() WHERE error IS NOT NULL;
SELECT duty, failures, failures_in_row, last_error, last_error_at FROM faultline.stat_maintenance
 WHERE failures > 0;
SELECT item, state, detail, hint FROM faultline.health() WHERE item ~ '^dut' \gx
DROP TRIGGER refuse ON faultline.idempotency_keys;
SELECT duty, error FROM faultline.maintain() WHERE error IS NOT NULL;
SELECT duty, failures, failures_in_row, last_error FROM faultline.stat_maintenance WHERE failures > 0;
SELECT item FROM faultline.health() WHERE item ~ '^dut';
-- health() is what status() warns of.
SELECT (SELECT array_agg(h) FROM faultline.health() h)
       = (SELECT array_agg(s) FROM faultline.status() s WHERE s.state = 'warning') AS same;

-- A pass that is rolled back leaves no trace of itself.
BEGIN;
SELECT count(*) > 0 AS passed FROM faultline.maintain();
ROLLBACK;
SELECT runs FROM faultline.stat_maintenance WHERE duty = 'expire_leases';

-- Bounds: a setting for each duty that goes by rows.
SELECT d.duty, current_setting('faultline.' || d.duty || '_rows', true) AS rows,
       current_setting('faultline.' || d.duty || '_timeout', true) AS timeout
  FROM faultline.duties() d;
SELECT count(*) FROM faultline.claim('m', 'w', 3);
SELECT faultline.set_clock('2026-03-01 02:00Z') \gset
SELECT faultline.run_duty('expire_leases', 2);
SELECT faultline.run_duty('expire_leases', 2);
SELECT faultline.run_duty('expire_leases', 0);
:sqlstate
SET faultline.naptime = 1;
:sqlstate
SET faultline.expire_leases_rows = 0;
:sqlstate

-- The look for ended leases where claims begin: all queues and priorities, past what is scheduled.
SELECT faultline.create_queue('n', lease => '10 s') \gset
SELECT faultline.drop_queue('m', force => true) \gset
SELECT count(faultline.enqueue('n', priority => p)) FROM generate_series(-1, 1) p;
SELECT faultline.create_queue('m', lease => '10 s') \gset
SELECT count(faultline.enqueue('m', delay => '1 h')) FROM generate_series(1, 300);
SELECT faultline.enqueue('m', priority => 7) > 0 AS enqueued;
SELECT count(*) FROM faultline.claim('n', 'w', 3);
SELECT count(*) FROM faultline.claim('m', 'w', 1);
SELECT count(faultline.enqueue('n', priority => 0)) FROM generate_series(1, 300);
SELECT faultline.advance_clock('9 s') \gset
SELECT faultline.expire_round(1000, everywhere => false);
SELECT faultline.advance_clock('1 s') \gset
SELECT faultline.expire_round(3, everywhere => false);
SELECT faultline.expire_round(1000, everywhere => false);
SELECT state, count(*) FROM faultline.jobs WHERE queue IN ('m', 'n') GROUP BY state;
-- It misses what runs behind many jobs that were put in before it since; a full look does not.
SELECT count(*) FROM faultline.claim('n', 'w', 1);
SELECT count(faultline.enqueue('n', priority => p, run_at => '2026-01-01 00:00Z'))
  FROM faultline.jobs, LATERAL (SELECT priority AS p WHERE state = 'running') v, generate_series(1, 300);
SELECT faultline.advance_clock('10 s') \gset
SELECT faultline.expire_round(1000, everywhere => false);
SELECT faultline.expire_round(1000, everywhere => true);
SELECT faultline.drop_queue('n', force => true) > 0 AS dropped;

-- Clean up.
SELECT faultline.drop_queue('m', force => true) > 0 AS dropped;
DELETE FROM faultline.duty_statistics;
SELECT faultline.set_clock(NULL) \gset
SELECT * FROM faultline.check_invariants();
