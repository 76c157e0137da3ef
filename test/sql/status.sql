-- Status: how the system is, item by item, with the command to run where there is something to do.
\set sqlstate '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'
\set SHOW_CONTEXT never
SET timezone = 'UTC';
SET datestyle = 'ISO';
SET intervalstyle = 'postgres';
SELECT faultline.set_clock('2026-01-01 00:00Z') \gset
ALTER SEQUENCE faultline.job_id_seq RESTART 15001;
CREATE TEMP VIEW status AS
  SELECT item, state, detail, hint FROM faultline.status() WHERE item NOT IN ('version', 'preload', 'worker', 'duties');

-- The version is named and agrees with the files; the library is not preloaded here, and all works.
SELECT item, state, detail = format('extension %1$s, files %1$s', extversion) AS detail, hint
  FROM faultline.status(), pg_extension WHERE item = 'version' AND extname = 'faultline';
SELECT * FROM faultline.status() WHERE item = 'preload' \gx
-- Without a queue.
SELECT * FROM status WHERE item = 'queues';
SELECT faultline.create_queue('one', lease => '10 s', max_attempts => 1) \gset
SELECT faultline.create_queue('two') \gset
SELECT * FROM status;
SELECT queue, queued, scheduled, running, dead_letters, oldest_ready_age, paused_at, exact FROM faultline.stat_queues ORDER BY queue;

-- Each kind of job.
SELECT count(faultline.enqueue('one')) FROM generate_series(1, 6);
SELECT count(faultline.enqueue('two', delay => '1 h')) FROM generate_series(1, 2);
SELECT * INTO TEMP held FROM faultline.claim('one', 'w', 4);
SELECT faultline.fail(job_id, lease_token, 'no') FROM held WHERE job_id = 15001;
SELECT faultline.complete(job_id, lease_token) FROM held WHERE job_id = 15002;
SELECT faultline.pause_queue('two') \gset
SELECT faultline.advance_clock('20 s') \gset
SELECT * FROM status;
SELECT queue, queued, scheduled, running, dead_letters, oldest_ready_age, paused_at, exact FROM faultline.stat_queues ORDER BY queue;
-- Leases that ended more than 10 s ago, and the hint's cure.
SELECT faultline.advance_clock('1 us') \gset
SELECT * FROM status WHERE item = 'leases';
SELECT * FROM faultline.maintain();
SELECT * FROM status WHERE item IN ('leases', 'jobs');
-- The age of the oldest ready job counts from when it might have run.
SELECT faultline.set_clock('2026-01-01 01:30Z') \gset
SELECT queue, queued, scheduled, oldest_ready_age FROM faultline.stat_queues ORDER BY queue;
SELECT faultline.enqueue('two', run_at => '2025-12-31 00:00Z') > 0 AS enqueued;
SELECT queue, queued, scheduled, oldest_ready_age FROM faultline.stat_queues ORDER BY queue;
-- A dropped queue is not counted any more.
SELECT faultline.drop_queue('two', true);
SELECT * FROM status WHERE item IN ('queues', 'jobs');
SELECT queue FROM faultline.stat_queues;

-- Maintenance: one row per duty, and one that fails stops no other.
BEGIN;
CREATE FUNCTION pg_temp.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'refused by the test';
END $$;
CREATE TRIGGER refuse BEFORE DELETE ON faultline.idempotency_keys
  FOR EACH STATEMENT EXECUTE FUNCTION pg_temp.refuse();
SELECT * FROM faultline.maintain();
ROLLBACK;
SELECT * FROM faultline.maintain() WHERE error IS NOT NULL;

SELECT faultline.drop_queue(queue, force => true) FROM faultline.stat_queues ORDER BY queue;
SELECT faultline.set_clock(NULL) \gset
SELECT * FROM faultline.check_invariants();
