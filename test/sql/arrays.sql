-- Arrays: of different lengths, empty, with nulls, of two dimensions, and very long ones.
\set sqlstate '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'
\set SHOW_CONTEXT never
SET timezone = 'UTC';
SET datestyle = 'ISO';
SET intervalstyle = 'postgres';
SELECT faultline.set_clock('2026-01-01 00:00Z') \gset
ALTER SEQUENCE faultline.job_id_seq RESTART 1100001;
SELECT faultline.create_queue('arrays', lease => '1 h') \gset
SELECT count(faultline.enqueue('arrays')) FROM generate_series(1, 3);
SELECT * INTO TEMP held FROM faultline.claim('arrays', 'w', 2);
\pset format unaligned
\pset footer off
\pset tuples_only on
-- What a call answers; whatever it did is taken back.
CREATE FUNCTION pg_temp.answer(call text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  message text;
  detail text;
  hint text;
  state text;
  rows bigint;
BEGIN
  EXECUTE 'SELECT count(*) FROM ' || call INTO rows;
  RAISE EXCEPTION USING ERRCODE = 'U0000', DETAIL = rows;
EXCEPTION
  WHEN SQLSTATE 'U0000' THEN
    GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
    RETURN detail || ' rows';
  WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, state = RETURNED_SQLSTATE,
                            detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
    RETURN format(E'%s %s\n  DETAIL: %s\n  HINT: %s', state, message, detail, hint);
END $$;
-- $a and $b are two jobs that run.
CREATE TEMP TABLE calls (nr serial, call text);
INSERT INTO calls (call) VALUES
  -- Empty: nothing to do.
  ($$enqueue_many('arrays', '{}')$$), ($$enqueue_many('arrays', '{}', idempotency_keys => '{}')$$),
  ($$claim_any('{}', 'w')$$), ($$complete_many('{}', '{}')$$), ($$complete_many('{}', '{}', '{}')$$),
  ($$fail_many('{}', '{}', '{}')$$), ($$extend_many('{}', '{}')$$), ($$cancel('{}')$$), ($$redrive('{}')$$),
  -- Of different lengths.
  ($$enqueue_many('arrays', '{1,2}', idempotency_keys => '{}')$$),
  ($$enqueue_many('arrays', '{1,2}', idempotency_keys => '{a,b,c}')$$),
  ($$complete_many('{$a,$b}', '{1}')$$), ($$complete_many('{$a}', '{1,2}')$$), ($$complete_many('{}', '{1}')$$),
  ($$complete_many('{$a,$b}', '{1,2}', '{1}')$$), ($$complete_many('{$a,$b}', '{1,2}', '{}')$$),
  ($$complete_many('{}', '{}', '{1}')$$),
  ($$fail_many('{$a,$b}', '{1}', '{x,y}')$$), ($$fail_many('{$a,$b}', '{1,2}', '{x}')$$),
  ($$extend_many('{$a,$b}', '{1,2,3}')$$),
  -- With nulls, where there is no default for one element.
  ($$enqueue_many('arrays', '{1,NULL}')$$), ($$claim_any('{arrays,NULL}', 'w')$$), ($$claim_any('{NULL}', 'w')$$),
  ($$complete_many('{$a,NULL}', '{1,2}')$$), ($$complete_many('{$a,$b}', '{NULL,2}')$$),
  ($$fail_many('{NULL}', '{1}', '{x}')$$), ($$fail_many('{$a}', '{NULL}', '{x}')$$), ($$fail_many('{$a}', '{1}', '{NULL}')$$),
  ($$extend_many('{NULL}', '{1}')$$), ($$extend_many('{$a}', '{NULL}')$$), ($$cancel('{$a,NULL}')$$), ($$redrive('{NULL}')$$),
  -- With nulls, where there is one.
  ($$enqueue_many('arrays', '{1,2}', idempotency_keys => '{NULL,NULL}')$$), ($$complete_many('{$a,$b}', '{1,2}', '{NULL,NULL}')$$),
  -- Of two dimensions.
  ($$enqueue_many('arrays', '{{1,2},{3,4}}')$$), ($$enqueue_many('arrays', '{1,2}', idempotency_keys => '{{a,b}}')$$),
  ($$claim_any('{{arrays}}', 'w')$$), ($$complete_many('{{$a,$b}}', '{1,2}')$$), ($$complete_many('{$a}', '{{1}}')$$),
  ($$complete_many('{$a}', '{1}', '{{1}}')$$), ($$fail_many('{{$a}}', '{1}', '{x}')$$), ($$fail_many('{$a}', '{1}', '{{x}}')$$),
  ($$extend_many('{{$a}}', '{1}')$$), ($$cancel('{{$a}}')$$), ($$redrive('{{$a}}')$$),
  -- Counted from another number than 1.
  ($$enqueue_many('arrays', '[5:6]={1,2}', idempotency_keys => '[0:1]={a,b}')$$),
  ($$complete_many('[-1:0]={$a,$b}', '{1,2}', '[7:8]={1,2}')$$), ($$cancel('[0:1]={$a,$b}')$$),
  -- Too long by one.
  ($$enqueue_many('arrays', array_fill('1'::jsonb, ARRAY[100001]))$$),
  ($$enqueue_many('arrays', '{1}', idempotency_keys => array_fill('k'::text, ARRAY[100001]))$$),
  ($$claim_any(array_fill('arrays'::text, ARRAY[100001]), 'w')$$),
  ($$complete_many(array_fill(1::int8, ARRAY[100001]), '{1}')$$),
  ($$complete_many('{1}', array_fill(1::int8, ARRAY[100001]))$$),
  ($$complete_many('{1}', '{1}', array_fill('1'::jsonb, ARRAY[100001]))$$),
  ($$fail_many(array_fill(1::int8, ARRAY[100001]), '{1}', '{x}')$$),
  ($$fail_many('{1}', '{1}', array_fill('x'::text, ARRAY[100001]))$$),
  ($$extend_many(array_fill(1::int8, ARRAY[100001]), '{1}')$$),
  ($$cancel(array_fill(1::int8, ARRAY[100001]))$$), ($$redrive(array_fill(1::int8, ARRAY[100001]))$$);
SELECT format('%s: %s', call, pg_temp.answer('faultline.' || replace(replace(call, '$a', '1100001'), '$b', '1100002')))
  FROM calls ORDER BY nr;
-- All was taken back; also where one element of many was wrong.
SELECT job_id, state, attempt FROM faultline.jobs WHERE queue = 'arrays' ORDER BY job_id;
SELECT verdict FROM held, faultline.complete_many(ARRAY[job_id, NULL], ARRAY[lease_token, 1]);
:sqlstate
SELECT * FROM faultline.enqueue_many('arrays', '{1,2}', idempotency_keys => ARRAY['k', repeat('x', 513)]);
:sqlstate
SELECT job_id, state, attempt FROM faultline.jobs WHERE queue = 'arrays' ORDER BY job_id;

--
-- 100,000 elements through every function that takes many
--
SELECT faultline.drop_queue('arrays', true);
SELECT faultline.create_queue('arrays', lease => '1 h') \gset
ALTER SEQUENCE faultline.job_id_seq RESTART 1200001;
SELECT count(*), min(id), max(id)
  FROM faultline.enqueue_many('arrays', array_fill('{}'::jsonb, ARRAY[100000]),
         idempotency_keys => (SELECT array_agg('k' || i) FROM generate_series(1, 100000) AS i)) AS id;
CREATE TEMP TABLE many (job_id bigint, lease_token bigint);
DO $$
BEGIN
  FOR i IN 1 .. 10 LOOP
    INSERT INTO many SELECT job_id, lease_token FROM faultline.claim('arrays', 'w', 10000);
  END LOOP;
END $$;
SELECT count(DISTINCT job_id), count(DISTINCT lease_token) FROM many;
CREATE TEMP TABLE batch AS SELECT array_agg(job_id) AS ids, array_agg(lease_token) AS tokens FROM many;
SELECT verdict, count(*) FROM batch, faultline.extend_many(ids, tokens) GROUP BY verdict;
SELECT verdict, count(*) FROM batch, faultline.complete_many(ids, tokens) GROUP BY verdict;
-- The same id 100,000 times: as often answered by those for many, once by the others.
SELECT verdict, count(*) FROM faultline.fail_many(array_fill(1200001::int8, ARRAY[100000]),
  array_fill(1::int8, ARRAY[100000]), array_fill('x'::text, ARRAY[100000])) GROUP BY verdict;
SELECT * FROM faultline.cancel(array_fill(1200001::int8, ARRAY[100000]));
SELECT * FROM faultline.redrive(array_fill(1200001::int8, ARRAY[100000]));
SELECT state, count(*) FROM faultline.jobs WHERE job_id BETWEEN 1200001 AND 1300000 GROUP BY state;
-- The tests that follow need not wade through these.
SELECT * FROM faultline.check_invariants();
TRUNCATE faultline.finished_jobs, faultline.ended_attempts;

SELECT faultline.drop_queue(queue, force => true) FROM faultline.stat_queues ORDER BY queue;
SELECT faultline.set_clock(NULL) \gset
SELECT * FROM faultline.check_invariants();
