-- Partitions: finished jobs and attempts by UTC day, made and dropped at run time; no row is refused for want of one.
\set sqlstate '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'
\set SHOW_CONTEXT never
SET timezone = 'UTC';
SET datestyle = 'ISO';
SET intervalstyle = 'postgres';
SELECT faultline.set_clock('2026-01-01 00:00Z') \gset
ALTER SEQUENCE faultline.job_id_seq RESTART 11001;

-- What other tests left behind would take part in retention.
DELETE FROM faultline.queues WHERE dropped_at IS NOT NULL;
CREATE TEMP VIEW partitions AS
  SELECT c.relname AS partition, pg_get_expr(c.relpartbound, c.oid) AS bounds
    FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
   WHERE i.inhparent IN ('faultline.finished_jobs'::regclass, 'faultline.ended_attempts'::regclass)
   ORDER BY c.relname;
CREATE TEMP VIEW finished AS
  SELECT job_id, tableoid::regclass AS partition, finished_at FROM faultline.finished_jobs
   WHERE job_id BETWEEN 11001 AND 11999 ORDER BY job_id;
CREATE TEMP VIEW ended AS
  SELECT job_id, attempt, tableoid::regclass AS partition, ended_at FROM faultline.ended_attempts
   WHERE job_id BETWEEN 11001 AND 11999 ORDER BY job_id, attempt;

--
-- Made with the queue, and again by upkeep
--
SELECT faultline.set_clock('2100-03-01 12:00Z') \gset
SELECT faultline.create_queue('days', backoff_jitter => 0, max_attempts => 5) \gset
SELECT count(*) FROM faultline.maintain();
SELECT * FROM partitions;
SELECT duty, done, error FROM faultline.maintain() WHERE duty <> 'count_jobs';
SELECT faultline.create_queue('short', keep_finished => '1 h') \gset
SELECT count(*) FROM partitions;

--
-- A row goes to the UTC day of its end, whatever the session's time zone
--
SELECT count(faultline.enqueue('days')) FROM generate_series(1, 3);
SELECT array_agg(job_id) AS ids, array_agg(lease_token) AS tokens INTO TEMP held FROM faultline.claim('days', 'w', 3, '24 h');
SET timezone = 'Pacific/Auckland';
SELECT faultline.set_clock('2100-03-01 23:59:59.999999Z') \gset
SELECT faultline.complete(ids[1], tokens[1]), faultline.fail(ids[3], tokens[3], 'no', retry_in => '3650 days') FROM held;
SELECT faultline.set_clock('2100-03-02 00:00Z') \gset
SELECT faultline.complete(ids[2], tokens[2]) FROM held;
SET timezone = 'UTC';
SELECT * FROM finished;
SELECT * FROM ended;

--
-- No partition for the day: the default one takes the row, and nobody notices
--
SELECT faultline.set_clock('2100-03-05 12:00Z') \gset
SELECT count(faultline.enqueue('days')) FROM generate_series(1, 3);
SELECT lease_token AS done FROM faultline.claim('days', 'w') \gset
SELECT faultline.complete(11004, :done);
SELECT faultline.complete(11004, :done);
SELECT state FROM faultline.jobs WHERE job_id = 11004;
SELECT lease_token FROM faultline.claim('days', 'w') \gset
SELECT faultline.fail(11005, :lease_token, 'no', retry_in => '0');
SELECT faultline.fail(11005, :lease_token, 'no');
SELECT verdict FROM faultline.cancel('{11006}');
SELECT * FROM finished WHERE job_id > 11003;
SELECT * FROM ended WHERE job_id > 11003;
SELECT item, state, detail, hint FROM faultline.status() WHERE item = 'partitions';
-- Its own partition, when it comes, takes the rows over; other days' rows stay.
SELECT duty, done, error FROM faultline.maintain() WHERE duty <> 'count_jobs';
SELECT * FROM finished WHERE job_id > 11003;
SELECT * FROM ended WHERE job_id > 11003;
SELECT count(*) FROM faultline.finished_jobs_default;
SELECT partition FROM partitions WHERE partition ~ 'finished';
SELECT item, state, detail FROM faultline.status() WHERE item = 'partitions';
-- ... and everything is still known of them.
SELECT faultline.complete(11004, :done);
SELECT faultline.fail(11005, :lease_token, 'no');
SELECT job_id, state FROM faultline.jobs WHERE job_id BETWEEN 11004 AND 11006 ORDER BY job_id;

-- An index that somebody has added to a partition is not taken for its own, whichever comes first.
BEGIN;
SELECT partition FROM finished WHERE job_id = 11004 \gset
CREATE INDEX added ON :partition USING brin (job_id);
SELECT indexrelid::regclass AS own FROM pg_index
 WHERE indrelid = :'partition'::regclass AND indexrelid <> 'faultline.added'::regclass \gset
DROP INDEX :own;
CREATE INDEX ON :partition (job_id);
SELECT faultline.complete(11004, :done);
ROLLBACK;

--
-- Retention by dropping whole days
--
-- 7 days are kept: on the 8th nothing is old enough, on the 9th the 1st is.
SELECT faultline.set_clock('2100-03-08 23:59:59Z') \gset
SELECT duty, done, error FROM faultline.maintain() WHERE duty = 'drop_partitions';
SELECT faultline.set_clock('2100-03-09 00:00Z') \gset
SELECT duty, done, error FROM faultline.maintain() WHERE duty IN ('create_partitions', 'drop_partitions');
-- The attempts of the 1st stay: job 11003 still lives.
SELECT partition FROM partitions WHERE partition < 'ended_attempts_21000304' OR partition ~ 'finished_jobs_2100030[1-4]';
SELECT * FROM ended WHERE job_id = 11003;
SELECT job_id, state FROM faultline.jobs WHERE job_id BETWEEN 11001 AND 11003 ORDER BY job_id;
-- What has aged out is unknown.
SELECT faultline.complete(11001, 1);
:sqlstate
SELECT verdict FROM faultline.cancel('{11003}');
SELECT duty, done, error FROM faultline.maintain() WHERE duty = 'drop_partitions';
SELECT * FROM ended WHERE job_id = 11003;

--
-- A queue that keeps less: its rows go one by one, those of the queue that keeps longest with their day
--
SELECT faultline.set_clock('2100-03-09 10:00Z') \gset
ALTER SEQUENCE faultline.job_id_seq RESTART 11101;
SELECT faultline.enqueue('short'), faultline.enqueue('days', priority => -9);
SELECT verdict FROM faultline.cancel('{11101,11102}');
SELECT faultline.set_clock('2100-03-09 11:00Z') \gset
SELECT duty, done, error FROM faultline.maintain() WHERE duty = 'delete_finished';
-- It is looked for every ten minutes.
SELECT faultline.advance_clock('10 minutes') \gset
SELECT duty, done, error FROM faultline.maintain() WHERE duty = 'delete_finished';
SELECT faultline.advance_clock('1 us') \gset
SELECT duty, done, error FROM faultline.maintain() WHERE duty = 'delete_finished';
SELECT job_id, state FROM faultline.jobs WHERE job_id IN (11101, 11102);

--
-- The default partitions age out, too: days that upkeep missed
--
SELECT faultline.set_clock('2100-04-01 00:00Z') \gset
SELECT job_id, lease_token FROM faultline.claim('days', 'w') \gset
SELECT faultline.fail(:job_id, :lease_token, 'no', retry_in => '0');
SELECT job_id, lease_token FROM faultline.claim('days', 'w') \gset
SELECT faultline.complete(:job_id, :lease_token);
SELECT partition FROM ended WHERE job_id = 11005 AND attempt = 2;
-- The next pass comes a day later only: no partition will ever be made for the 1st.
SELECT faultline.set_clock('2100-04-02 00:00Z') \gset
SELECT count(*) FROM faultline.maintain();
SELECT * FROM finished WHERE job_id = 11005;
SELECT faultline.set_clock('2100-04-08 00:00Z') \gset
SELECT count(*) FROM faultline.maintain();
SELECT state FROM faultline.jobs WHERE job_id = 11005;
SELECT count(*) FROM faultline.attempts WHERE job_id = 11005 AND ended_at = '2100-04-01 00:00Z';
SELECT faultline.set_clock('2100-04-10 00:00Z') \gset
SELECT duty, error FROM faultline.maintain() WHERE error IS NOT NULL;
SELECT state FROM faultline.jobs WHERE job_id = 11005;
SELECT count(*) FROM faultline.attempts WHERE job_id = 11005 AND ended_at = '2100-04-01 00:00Z';

--
-- A dropped queue: its history ages out like that of others, then it is forgotten
--
ALTER SEQUENCE faultline.job_id_seq RESTART 11201;
SELECT faultline.enqueue('short');
SELECT faultline.alter_queue('short', keep_finished => '3 days') \gset
SELECT verdict FROM faultline.cancel('{11201}');
SELECT faultline.drop_queue('short');
SELECT queue, state FROM faultline.jobs WHERE job_id = 11201;
SELECT faultline.advance_clock('3 days 1 us') \gset
SELECT count(*) FROM faultline.maintain();
SELECT queue, state FROM faultline.jobs WHERE job_id = 11201;
SELECT name, dropped_at FROM faultline.queues WHERE name = 'short';
SELECT faultline.advance_clock('5 days') \gset
SELECT count(*) FROM faultline.maintain();
SELECT name, dropped_at FROM faultline.queues WHERE name = 'short';

--
-- Days are UTC days also when times are written in an ambiguous way
--
SET timezone = 'Asia/Kolkata';
SET datestyle = 'SQL, DMY';
SELECT faultline.set_clock('2100-06-01 12:00Z') \gset
SELECT duty, done, error FROM faultline.maintain() WHERE duty = 'create_partitions';
SET timezone = 'UTC';
SET datestyle = 'ISO';
SELECT * FROM partitions WHERE partition = 'finished_jobs_21000602';

SELECT faultline.drop_queue(queue, force => true) FROM faultline.stat_queues ORDER BY queue;
SELECT faultline.set_clock(NULL) \gset
SELECT * FROM faultline.check_invariants();
