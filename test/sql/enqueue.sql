-- Enqueue: what a new job is made of, and how it belongs to the caller's transaction.
\set sqlstate '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'
\set SHOW_CONTEXT never
SET timezone = 'UTC';
SET datestyle = 'ISO';
SET intervalstyle = 'postgres';
SELECT faultline.set_clock('2026-01-01 00:00Z') \gset
ALTER SEQUENCE faultline.job_id_seq RESTART 2001;
SELECT faultline.create_queue('mail', max_attempts => 7) \gset

--
-- Defaults
--
SELECT faultline.enqueue('mail');
SELECT * FROM faultline.jobs WHERE job_id = 2001 \gx

--
-- Every argument
--
SELECT faultline.enqueue('mail', '{"to": "ann"}', kind => 'welcome', idempotency_key => 'ann-1',
  run_at => '2026-01-02 00:00Z', priority => -5, max_attempts => 2,
  headers => '{"traceparent": "00-ab-cd-01"}');
SELECT * FROM faultline.jobs WHERE job_id = 2002 \gx
-- By position; the key is known, so this is the same job.
SELECT faultline.enqueue('mail', '{"to": "ann"}', 'welcome', 'ann-1', '2026-01-02 00:00Z', NULL, -5, 2, NULL);

-- The bounds themselves are legal.
SELECT faultline.enqueue('mail', priority => -32768, max_attempts => 1, kind => repeat('k', 128),
                         idempotency_key => repeat('i', 512)) AS job \gset
SELECT priority, max_attempts, length(kind) AS kind, length(idempotency_key) AS key
  FROM faultline.jobs WHERE job_id = :job;
SELECT faultline.enqueue('mail', priority => 32767, max_attempts => 10000, kind => 'é') AS job \gset
SELECT priority, max_attempts, kind FROM faultline.jobs WHERE job_id = :job;

--
-- When it may run
--
SELECT faultline.enqueue('mail', run_at => '2025-12-31 23:59Z') AS past,
       faultline.enqueue('mail', run_at => '0001-01-01 00:00Z BC') AS antiquity,
       faultline.enqueue('mail', run_at => '2026-01-01 00:00:00.000001Z') AS soon,
       faultline.enqueue('mail', delay => '90 s') AS delayed,
       faultline.enqueue('mail', delay => '0') AS undelayed,
       faultline.enqueue('mail', delay => '1 month -29 days') AS one_day,
       faultline.enqueue('mail', delay => '3650 days') AS ten_years,
       faultline.enqueue('mail', run_at => '2035-12-30 00:00Z') AS in_ten_years \gset
SELECT job_id = :past AS past, job_id = :antiquity AS antiquity, enqueued_at, next_run_at
  FROM faultline.jobs
 WHERE job_id IN (:past, :antiquity, :soon, :delayed, :undelayed, :one_day, :ten_years, :in_ten_years)
 ORDER BY job_id;
SELECT faultline.enqueue('mail', run_at => '2026-01-02 00:00Z', delay => '1 s');
:sqlstate
SELECT faultline.enqueue('mail', run_at => 'infinity');
:sqlstate
SELECT faultline.enqueue('mail', run_at => '-infinity');
:sqlstate
SELECT faultline.enqueue('mail', run_at => '2035-12-30 00:00:01Z');
:sqlstate
-- Further ahead than a number of microseconds can say.
BEGIN;
SELECT faultline.set_clock('1999-12-01 00:00Z') \gset
SELECT faultline.enqueue('mail', run_at => '294276-12-31 23:59:59.999999Z');
:sqlstate
ROLLBACK;

--
-- Payloads
--
SELECT faultline.drop_queue('mail', true) \gset
SELECT faultline.create_queue('mail') \gset
SELECT faultline.enqueue('mail', '""') AS empty_text, faultline.enqueue('mail', '{}') AS empty_object,
       faultline.enqueue('mail', '[]') AS empty_array, faultline.enqueue('mail', 'null') AS json_null,
       faultline.enqueue('mail', '1e3') AS number, faultline.enqueue('mail', 'true') AS truth \gset
SELECT job_id - :empty_text AS nr, payload FROM faultline.jobs
 WHERE job_id BETWEEN :empty_text AND :truth ORDER BY job_id;
-- 10 MB that hardly compress, through enqueue, claim, complete and back.
SELECT jsonb_build_object('data', string_agg(md5(i::text), '')) AS payload
  INTO TEMP large FROM generate_series(1, 10 * 1024 * 1024 / 32) AS i;
SELECT faultline.enqueue('mail', payload, priority => -100) AS job FROM large \gset
SELECT c.job_id, c.lease_token, c.payload = l.payload AS same,
       length(c.payload ->> 'data') AS bytes
  INTO TEMP claimed_large FROM faultline.claim('mail', 'w') c, large l;
SELECT same, bytes FROM claimed_large;
SELECT faultline.complete(c.job_id, c.lease_token, l.payload) FROM claimed_large c, large l;
SELECT state, j.payload = l.payload AS payload, j.result = l.payload AS result
  FROM faultline.jobs j, large l WHERE job_id = :job;
-- Nesting: 1,000 levels travel; what PostgreSQL's own parser refuses never gets to enqueue.
SELECT faultline.enqueue('mail', (repeat('[', 1000) || repeat(']', 1000))::jsonb, priority => -100,
                         idempotency_key => 'deep') AS job \gset
SELECT job_id = :job AS claimed, length(payload::text) FROM faultline.claim('mail', 'w');
SELECT faultline.enqueue('mail', (repeat('[', 1000000) || repeat(']', 1000000))::jsonb);
:sqlstate
SELECT faultline.enqueue('mail', '{"a": "\u0000"}');
:sqlstate
SELECT faultline.enqueue('mail', '');
:sqlstate
SELECT faultline.enqueue('mail', '{"a": ');
:sqlstate
-- The escaped text of six characters is another thing, and stays what it is.
SELECT faultline.enqueue('mail', '"\\u0000"') AS job \gset
SELECT payload FROM faultline.jobs WHERE job_id = :job;

--
-- Many at once
--
SELECT faultline.drop_queue('mail', true) \gset
SELECT faultline.create_queue('mail') \gset
ALTER SEQUENCE faultline.job_id_seq RESTART 2101;
SELECT * FROM faultline.enqueue_many('mail', ARRAY['"c"', '"a"', '"b"']::jsonb[]);
SELECT * FROM faultline.enqueue_many('mail', ARRAY['"z"', '"y"']::jsonb[], kind => 'many',
  idempotency_keys => '{k2,k1}', delay => '1 min', priority => 3, max_attempts => 9,
  headers => '{"h": 1}');
SELECT job_id, kind, payload, idempotency_key, next_run_at, priority, max_attempts, headers
  FROM faultline.jobs WHERE job_id BETWEEN 2101 AND 2199 ORDER BY job_id;
SELECT * FROM faultline.enqueue_many('mail', '{}');
SELECT count(*) FROM faultline.enqueue_many('mail', array_fill('{}'::jsonb, ARRAY[500]));
SELECT count(*) FROM faultline.enqueue_many('mail', ARRAY['1', NULL]::jsonb[]);
:sqlstate
-- In a SELECT list, and once for each row of a query.
SELECT faultline.enqueue_many('mail', '{1,2}') > 0 AS enqueued;
SELECT count(faultline.enqueue('mail', to_jsonb(i))) FROM generate_series(1, 10) AS i;
SELECT queued, scheduled FROM faultline.stat_queues WHERE queue = 'mail';

--
-- Part of the caller's transaction
--
SELECT faultline.drop_queue('mail', true) \gset
SELECT faultline.create_queue('mail') \gset
ALTER SEQUENCE faultline.job_id_seq RESTART 200101;
BEGIN;
SELECT faultline.enqueue('mail', '"rolled back"');
-- Visible to the transaction itself, in views and to a claim.
SELECT payload, state FROM faultline.jobs WHERE job_id BETWEEN 200101 AND 200199;
SELECT payload FROM faultline.claim('mail', 'w');
ROLLBACK;
SELECT count(*) FROM faultline.jobs WHERE job_id BETWEEN 200101 AND 200199;
BEGIN;
SELECT faultline.enqueue('mail', '"outer"') \gset
SAVEPOINT s;
SELECT faultline.enqueue('mail', '"rolled back"', idempotency_key => 'k') \gset
ROLLBACK TO s;
SELECT faultline.enqueue('mail', '"inner"', idempotency_key => 'k') \gset
RELEASE s;
COMMIT;
DO $$
BEGIN
  PERFORM faultline.enqueue('mail', '"rolled back"');
  PERFORM 1 / 0;
EXCEPTION WHEN division_by_zero THEN
  PERFORM faultline.enqueue('mail', '"handler"');
END $$;
-- Also when the statement itself fails after the enqueue.
SELECT faultline.enqueue('mail', '"rolled back"'), 1 / (SELECT 0 OFFSET 0);
SELECT payload, idempotency_key FROM faultline.jobs WHERE job_id BETWEEN 200101 AND 200199 ORDER BY job_id;

--
-- The trigger
--
CREATE TEMP TABLE purchases (id int PRIMARY KEY, item text, details jsonb);
CREATE TRIGGER whole_row AFTER INSERT ON purchases
  FOR EACH ROW EXECUTE FUNCTION faultline.enqueue_trigger('mail');
CREATE TRIGGER one_column AFTER UPDATE ON purchases
  FOR EACH ROW EXECUTE FUNCTION faultline.enqueue_trigger('mail', 'details');
CREATE TRIGGER text_column BEFORE DELETE ON purchases
  FOR EACH ROW EXECUTE FUNCTION faultline.enqueue_trigger('mail', 'item');
ALTER SEQUENCE faultline.job_id_seq RESTART 2201;
INSERT INTO purchases VALUES (1, 'hat', '{"size": 7}'), (2, NULL, NULL);
UPDATE purchases SET details = details || '{"colour": "red"}';
DELETE FROM purchases;
SELECT count(*) FROM purchases;
SELECT job_id, payload FROM faultline.jobs WHERE job_id BETWEEN 2201 AND 2299 ORDER BY job_id;
BEGIN;
INSERT INTO purchases VALUES (3, 'coat', '{}');
ROLLBACK;
SELECT count(*) FROM faultline.jobs WHERE payload ->> 'item' = 'coat';
-- Wrong arguments.
DROP TRIGGER whole_row ON purchases;
CREATE TRIGGER wrong AFTER INSERT ON purchases
  FOR EACH ROW EXECUTE FUNCTION faultline.enqueue_trigger();
INSERT INTO purchases VALUES (4);
:sqlstate
CREATE OR REPLACE TRIGGER wrong AFTER INSERT ON purchases
  FOR EACH ROW EXECUTE FUNCTION faultline.enqueue_trigger('mail', 'item', 'more');
INSERT INTO purchases VALUES (4);
:sqlstate
CREATE OR REPLACE TRIGGER wrong AFTER INSERT ON purchases
  FOR EACH STATEMENT EXECUTE FUNCTION faultline.enqueue_trigger('mail');
INSERT INTO purchases VALUES (4);
:sqlstate
CREATE OR REPLACE TRIGGER wrong AFTER INSERT ON purchases
  FOR EACH ROW EXECUTE FUNCTION faultline.enqueue_trigger('mail', 'colour');
INSERT INTO purchases VALUES (4);
:sqlstate
CREATE OR REPLACE TRIGGER wrong AFTER INSERT ON purchases
  FOR EACH ROW EXECUTE FUNCTION faultline.enqueue_trigger('mial');
INSERT INTO purchases VALUES (4);
:sqlstate
CREATE OR REPLACE TRIGGER wrong AFTER INSERT ON purchases
  FOR EACH ROW EXECUTE FUNCTION faultline.enqueue_trigger('');
INSERT INTO purchases VALUES (4);
:sqlstate
SELECT faultline.enqueue_trigger();
:sqlstate
SELECT count(*) FROM purchases;

SELECT faultline.drop_queue(queue, force => true) FROM faultline.stat_queues ORDER BY queue;
SELECT faultline.set_clock(NULL) \gset
SELECT * FROM faultline.check_invariants();
