-- wait_for_jobs(): arguments, what counts as ready, and where it may be called.  The server is not
-- preloaded here; test/t/031_wait.pl has the waking.
\set sqlstate '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'
\set SHOW_CONTEXT never
SET timezone = 'UTC';
SET datestyle = 'ISO';
SET intervalstyle = 'postgres';
SELECT faultline.set_clock('2026-01-01 00:00Z') \gset
SELECT faultline.create_queue('wait1'), faultline.create_queue('wait2') \gset
-- Nothing returns by the end of the wait.
SET statement_timeout = '1 min';
-- How long a call took, as far as a test can tell.
CREATE TEMP TABLE clock AS SELECT clock_timestamp() AS began;
CREATE FUNCTION pg_temp.waited(at_least interval) RETURNS boolean LANGUAGE sql AS $$
  SELECT clock_timestamp() - (SELECT began FROM clock) >= at_least $$;

--
-- Arguments
--
CALL faultline.wait_for_jobs(NULL); :sqlstate
CALL faultline.wait_for_jobs('{}'); :sqlstate
CALL faultline.wait_for_jobs('{wait1,NULL}'); :sqlstate
CALL faultline.wait_for_jobs('{{wait1},{wait2}}'); :sqlstate
CALL faultline.wait_for_jobs('{wait1,wait3}'); :sqlstate
CALL faultline.wait_for_jobs(array_fill('wait1'::text, ARRAY[33])); :sqlstate
CALL faultline.wait_for_jobs('{wait1}', '-1 us'); :sqlstate
CALL faultline.wait_for_jobs('{wait1}', '1 day 1 us'); :sqlstate
CALL faultline.wait_for_jobs(array_fill('wait1'::text, ARRAY[32]), '0');
CALL faultline.wait_for_jobs(max_wait => '0', queues => '{wait1,wait1}');

--
-- It returns at once for a ready job, and after max_wait without one
--
SELECT faultline.enqueue('wait2') > 0 AS enqueued;
CALL faultline.wait_for_jobs('{wait1,wait2}', '1 day');
CALL faultline.wait_for_jobs('{wait2}', NULL);
UPDATE clock SET began = clock_timestamp();
CALL faultline.wait_for_jobs('{wait1}', '250 ms');
SELECT pg_temp.waited('250 ms');

--
-- Not ready: paused, running, not due yet
--
SELECT faultline.pause_queue('wait2');
UPDATE clock SET began = clock_timestamp();
CALL faultline.wait_for_jobs('{wait2}', '20 ms');
SELECT pg_temp.waited('20 ms');
SELECT faultline.resume_queue('wait2');
CALL faultline.wait_for_jobs('{wait2}', '1 day');
SELECT count(*) FROM faultline.claim('wait2', 'w');
UPDATE clock SET began = clock_timestamp();
CALL faultline.wait_for_jobs('{wait2}', '20 ms');
SELECT pg_temp.waited('20 ms');
SELECT count(faultline.enqueue('wait2', delay => '1 h', priority => p)) FROM generate_series(1, 3) AS p;
UPDATE clock SET began = clock_timestamp();
CALL faultline.wait_for_jobs('{wait2}', '20 ms');
SELECT pg_temp.waited('20 ms');
-- Behind a running job, and behind others that are not due.
SELECT faultline.enqueue('wait2', priority => 9) > 0 AS enqueued;
CALL faultline.wait_for_jobs('{wait2}', '1 day');

-- A lease that has ended is for claims to settle.
SELECT count(*) FROM faultline.claim('wait2', 'w', 10, '1 min');
CALL faultline.wait_for_jobs('{wait2}', '20 ms');
SELECT faultline.advance_clock('2 min') \gset
CALL faultline.wait_for_jobs('{wait2}', '1 day');
SELECT faultline.enqueue('wait2') > 0 AS enqueued;

--
-- A transaction of its own
--
BEGIN;
CALL faultline.wait_for_jobs('{wait2}'); :sqlstate
ROLLBACK;
DO $$ BEGIN CALL faultline.wait_for_jobs('{wait2}'); END $$; :sqlstate
CREATE FUNCTION pg_temp.waits() RETURNS void LANGUAGE plpgsql AS $$ BEGIN CALL faultline.wait_for_jobs('{wait2}'); END $$;
SELECT pg_temp.waits(); :sqlstate
CREATE PROCEDURE pg_temp.waits_too() LANGUAGE plpgsql AS $$ BEGIN COMMIT; CALL faultline.wait_for_jobs('{wait2}'); END $$;
CALL pg_temp.waits_too(); :sqlstate
SELECT 1 \; CALL faultline.wait_for_jobs('{wait2}'); :sqlstate
SET default_transaction_read_only = on;
CALL faultline.wait_for_jobs('{wait2}'); :sqlstate
RESET default_transaction_read_only;
-- What stood before it in its own statement is committed, as with every procedure that commits.
CREATE TEMP TABLE asked (queue text);
CREATE FUNCTION pg_temp.queues() RETURNS text[] LANGUAGE sql AS $$ INSERT INTO asked VALUES ('wait2') RETURNING ARRAY[queue] $$;
CALL faultline.wait_for_jobs(pg_temp.queues(), '1 day');
SELECT * FROM asked;
-- Whatever the default isolation level, it sees the newest.
SET default_transaction_isolation = 'serializable';
CALL faultline.wait_for_jobs('{wait2}', '1 day');
CALL faultline.wait_for_jobs('{wait1}', '20 ms');
RESET default_transaction_isolation;

--
-- Access: worker of each queue
--
CREATE ROLE regress_faultline_waiter;
SELECT faultline.grant_access('regress_faultline_waiter', 'worker', '{wait2}');
SET ROLE regress_faultline_waiter;
CALL faultline.wait_for_jobs('{wait2}', '1 day');
CALL faultline.wait_for_jobs('{wait2,wait1}', '1 day'); :sqlstate
RESET ROLE;
SELECT faultline.revoke_access('regress_faultline_waiter', 'worker');
SET ROLE regress_faultline_waiter;
CALL faultline.wait_for_jobs('{wait2}', '1 day'); :sqlstate
RESET ROLE;
DROP ROLE regress_faultline_waiter;

SET statement_timeout = '50 ms';
CALL faultline.wait_for_jobs('{wait1}'); :sqlstate
RESET statement_timeout;
SELECT faultline.drop_queue(queue, force => true) FROM faultline.stat_queues WHERE queue LIKE 'wait%' ORDER BY queue;
SELECT faultline.set_clock(NULL) \gset
SELECT * FROM faultline.check_invariants();
