-- Adoption: a copy of a database does not run the original's jobs until somebody says so.
\set sqlstate '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'
\set SHOW_CONTEXT never
SET timezone = 'UTC';
SET datestyle = 'ISO';
SET intervalstyle = 'postgres';
SELECT faultline.set_clock('2026-01-01 00:00Z') \gset
ALTER SEQUENCE faultline.job_id_seq RESTART 16001;
SELECT faultline.create_queue('copied') \gset
SELECT count(faultline.enqueue('copied')) FROM generate_series(1, 3);
SELECT job_id, lease_token FROM faultline.claim('copied', 'w') \gset
SELECT state, detail, hint FROM faultline.status() WHERE item = 'instance';

-- As after a restore or CREATE DATABASE ... TEMPLATE: the row names another database.
UPDATE faultline.instance SET database_id = 1;
SELECT * FROM faultline.claim('copied', 'w');
:sqlstate
SELECT * FROM faultline.claim_any('{copied}', 'w');
:sqlstate
SELECT state, detail, hint FROM faultline.status() WHERE item = 'instance';
-- Producers may go on, and what runs may end.
SELECT faultline.enqueue('copied') > 0 AS enqueued;
SELECT faultline.complete(:job_id, :lease_token);
-- It is undone with its transaction, also for the session that did it.
BEGIN;
SELECT faultline.adopt();
SELECT count(*) FROM faultline.claim('copied', 'w');
ROLLBACK;
SELECT * FROM faultline.claim('copied', 'w');
:sqlstate
SELECT faultline.adopt();
SELECT count(*) FROM faultline.claim('copied', 'w');
SELECT state, detail, hint FROM faultline.status() WHERE item = 'instance';
-- Adopting once more is harmless.
SELECT faultline.adopt();
SELECT count(*), bool_and(database_id = oid) FROM faultline.instance, pg_database WHERE datname = current_database();

-- As after pg_upgrade: another system.
UPDATE faultline.instance SET system_identifier = system_identifier + 1;
SELECT * FROM faultline.claim('copied', 'w');
:sqlstate
SELECT faultline.adopt();
SELECT count(*) FROM faultline.claim('copied', 'w');

-- As after a dump restored over jobs of this very database: both rows are there.
INSERT INTO faultline.instance
  SELECT system_identifier + 1, database_id, adopted_at FROM faultline.instance;
SELECT * FROM faultline.claim('copied', 'w');
:sqlstate
SELECT state FROM faultline.status() WHERE item = 'instance';
SELECT faultline.adopt();
SELECT count(*) FROM faultline.instance;

SELECT faultline.drop_queue(queue, force => true) FROM faultline.stat_queues ORDER BY queue;
SELECT faultline.set_clock(NULL) \gset
SELECT * FROM faultline.check_invariants();
