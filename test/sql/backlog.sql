-- max_backlog: a queue that is full refuses new jobs with JQ010, and nothing else.
\set sqlstate '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'
\set SHOW_CONTEXT never
SELECT faultline.set_clock('2026-01-01 00:00Z') \gset
SELECT faultline.create_queue('small', max_backlog => 3, max_attempts => 2, backoff_base => '0') \gset
ALTER SEQUENCE faultline.job_id_seq RESTART 41001;
-- From the first look on the depth is known, where jobs are counted in memory.
SELECT queued FROM faultline.stat_queues WHERE queue = 'small';
CREATE TEMP VIEW waiting AS SELECT count(*) FROM faultline.jobs WHERE queue = 'small' AND state = 'queued';

-- Ready and scheduled jobs fill it.
SELECT count(faultline.enqueue('small', to_jsonb(n))) FROM generate_series(1, 2) n;
SELECT faultline.enqueue('small', delay => '1 h') \gset
SELECT faultline.enqueue('small');
:sqlstate
SELECT faultline.enqueue('small', delay => '1 day');
:sqlstate
SELECT * FROM waiting;
-- Running ones do not.
SELECT job_id, lease_token FROM faultline.claim('small', 'w') \gset
SELECT faultline.enqueue('small') \gset
SELECT faultline.enqueue('small');
:sqlstate
-- What comes back is never refused, though the queue holds more then.
SELECT faultline.fail(:job_id, :lease_token, 'bad');
SELECT * FROM waiting;
SELECT job_id, lease_token FROM faultline.claim('small', 'w') \gset
SELECT faultline.enqueue('small');
:sqlstate
SELECT faultline.release(:job_id, :lease_token);
SELECT job_id, lease_token FROM faultline.claim('small', 'w') \gset
SELECT faultline.fail(:job_id, :lease_token, 'bad', discard => true);
SELECT * FROM faultline.redrive(queue => 'small') \gset
SELECT * FROM waiting;
SELECT faultline.enqueue('small');
:sqlstate

-- Two leave, one may come.
SELECT count(*) FROM faultline.claim('small', 'w', 2);
SELECT faultline.enqueue('small') \gset
SELECT faultline.enqueue('small');
:sqlstate

-- A known key is answered; a new one is forgotten with the refusal.
SELECT faultline.alter_queue('small', max_backlog => 4) \gset
SELECT faultline.enqueue('small', '"keyed"', idempotency_key => 'a') AS first \gset
SELECT faultline.enqueue('small', '"keyed"', idempotency_key => 'a') = :first AS same_job;
SELECT faultline.enqueue('small', '"other"', idempotency_key => 'a');
:sqlstate
SELECT faultline.enqueue('small', '"keyed"', idempotency_key => 'b');
:sqlstate
SELECT count(*) FROM faultline.idempotency_keys WHERE key IN ('a', 'b');

-- Many: all or nothing; only what is new counts, and each key once.
SELECT faultline.alter_queue('small', max_backlog => 6) \gset
SELECT faultline.enqueue_many('small', '{1,2,3}');
:sqlstate
SELECT faultline.enqueue_many('small', '{1,2,3}', idempotency_keys => '{c,d,e}');
:sqlstate
SELECT * FROM waiting;
SELECT count(*), count(DISTINCT job_id)
  FROM faultline.enqueue_many('small', '{"\"keyed\"",1,1,2}', idempotency_keys => '{a,c,c,NULL}') AS job_id;
SELECT * FROM waiting;
SELECT count(*) FROM faultline.enqueue_many('small', '{"\"keyed\"",1}', idempotency_keys => '{a,c}') AS job_id;
SELECT count(*) FROM faultline.enqueue_many('small', '{}') AS job_id;
SELECT faultline.enqueue_many('small', '{1}');
:sqlstate

-- A transaction sees its own jobs, and what it takes back makes room.
SELECT faultline.alter_queue('small', max_backlog => 8) \gset
BEGIN;
SAVEPOINT before;
SELECT faultline.enqueue_many('small', '{1,2}') \g /dev/null
SAVEPOINT filled;
SELECT faultline.enqueue('small');
:sqlstate
ROLLBACK TO filled;
ROLLBACK TO before;
SELECT count(*) FROM faultline.enqueue_many('small', '{1,2}');
ROLLBACK;
SELECT count(faultline.enqueue('small')) FROM generate_series(1, 3);
:sqlstate
SELECT * FROM waiting;

-- A refused trigger takes the row with it.
CREATE TABLE source (id integer);
CREATE TRIGGER enqueue AFTER INSERT ON source FOR EACH ROW EXECUTE FUNCTION faultline.enqueue_trigger('small');
INSERT INTO source VALUES (1), (2), (3);
:sqlstate
INSERT INTO source VALUES (1), (2);
SELECT count(*) FROM source;
DROP TABLE source;

-- No limit any more.
SELECT faultline.alter_queue('small', max_backlog => 0) \gset
SELECT count(*) FROM faultline.enqueue_many('small', '{1,2,3,4,5}');
-- Lowered below what waits.
SELECT faultline.alter_queue('small', max_backlog => 1) \gset
SELECT faultline.enqueue('small');
:sqlstate

-- A counter that is wrong does not close a queue that is empty.
DELETE FROM faultline.live_jobs WHERE state = 'q';
SELECT faultline.enqueue('small') \gset
SELECT faultline.enqueue('small');
:sqlstate

-- A long queue. Without counters a session remembers what it counted, and counts again before it
-- refuses because of its own jobs.
SELECT faultline.create_queue('long', max_backlog => 2000) \gset
SELECT count(*) FROM faultline.enqueue_many('long', array_fill('1'::jsonb, ARRAY[1500]));
SELECT faultline.enqueue('long') \gset
BEGIN;
SELECT count(*) FROM faultline.enqueue_many('long', array_fill('1'::jsonb, ARRAY[499]));
ROLLBACK;
SELECT faultline.enqueue_many('long', array_fill('1'::jsonb, ARRAY[500]));
:sqlstate
SELECT count(*) FROM faultline.enqueue_many('long', array_fill('1'::jsonb, ARRAY[499]));
SELECT faultline.enqueue('long');
:sqlstate
SELECT faultline.enqueue_many('long', '{1,2}');
:sqlstate

SELECT faultline.drop_queue(queue, force => true) FROM faultline.stat_queues WHERE queue IN ('small', 'long') ORDER BY queue;
SELECT * FROM faultline.check_invariants();
SELECT faultline.set_clock(NULL) > '2026-01-01' AS is_real_time;
