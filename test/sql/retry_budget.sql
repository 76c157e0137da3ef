-- retry_budget: retries beyond a share of first starts are put off, and come all the same.
\set sqlstate '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'
\set SHOW_CONTEXT never
SET intervalstyle = 'postgres';
SELECT faultline.set_clock('2026-01-01 00:00Z') \gset
-- Ten retries are there in the beginning; each first start earns half a one.
SELECT faultline.create_queue('q', lease => '10 s', backoff_base => '1 s', backoff_factor => 1, backoff_max => '1 h',
  backoff_jitter => 0, retry_budget => 0.5) \gset
CREATE TEMP TABLE held (job_id bigint, token bigint);
CREATE FUNCTION pg_temp.claim(max_jobs integer) RETURNS bigint LANGUAGE sql AS $$
  TRUNCATE held;
  WITH c AS (INSERT INTO held SELECT job_id, lease_token FROM faultline.claim('q', 'w', max_jobs) RETURNING 1)
  SELECT count(*) FROM c
$$;
CREATE FUNCTION pg_temp.fail() RETURNS bigint LANGUAGE sql AS $$
  SELECT count(*) FROM faultline.fail_many((SELECT array_agg(job_id) FROM held), (SELECT array_agg(token) FROM held),
    (SELECT array_agg('down'::text) FROM held))
$$;
-- When the jobs that wait will run; those put off were put off some seconds ago.
CREATE TEMP VIEW waiting AS
  SELECT count(*) FILTER (WHERE wait = '1 s') AS by_back_off,
         count(*) FILTER (WHERE wait BETWEEN '29 min' AND '1 h') AS put_off,
         count(*) FILTER (WHERE wait <> '1 s' AND wait NOT BETWEEN '29 min' AND '1 h') AS others
    FROM (SELECT next_run_at - faultline.clock_now() AS wait FROM faultline.jobs
           WHERE queue = 'q' AND state = 'queued') w;

-- 10 and half of 40.
SELECT count(*) FROM faultline.enqueue_many('q', array_fill('1'::jsonb, ARRAY[40]));
SELECT pg_temp.claim(40);
SELECT pg_temp.fail();
SELECT * FROM waiting;
SELECT count(DISTINCT next_run_at) > 5 AS spread FROM faultline.jobs WHERE next_run_at > faultline.clock_now() + '1 s';
-- A retry earns nothing; all is spent.
SELECT faultline.advance_clock('1 s') \gset
SELECT pg_temp.claim(40);
SELECT pg_temp.fail();
SELECT * FROM waiting;

-- Ends of leases are retries too.
SELECT count(*) FROM faultline.enqueue_many('q', '{1,2,3,4}');
SELECT pg_temp.claim(4);
SELECT faultline.advance_clock('10 s') \gset
SELECT faultline.expire_leases();
SELECT count(*) FILTER (WHERE next_run_at = faultline.clock_now() + '1 s') AS by_back_off, count(*)
  FROM faultline.jobs WHERE queue = 'q' AND last_error = 'lease expired';

-- A job that is given back is no retry.
SELECT faultline.enqueue_many('q', '{1,2}', kind => 'given back') \g /dev/null
SELECT pg_temp.claim(2);
SELECT faultline.release(job_id, token) FROM held \g /dev/null
SELECT pg_temp.claim(2);
SELECT pg_temp.fail();
SELECT next_run_at - faultline.clock_now() AS wait, count(*) FROM faultline.jobs WHERE kind = 'given back' GROUP BY 1;

-- The worker's own delay: kept within the budget, and beyond it if it is the longer one.
SELECT faultline.enqueue_many('q', '{1,2,3,4}', kind => 'own') \g /dev/null
SELECT pg_temp.claim(4);
SELECT faultline.fail(job_id, token, 'down', retry_in => CASE n WHEN 4 THEN interval '2 h' ELSE '5 s' END)
  FROM (SELECT *, row_number() OVER (ORDER BY job_id) AS n FROM held ORDER BY job_id) h \g /dev/null
SELECT row_number() OVER (ORDER BY job_id) AS n,
       CASE WHEN wait BETWEEN '30 min' AND '1 h' THEN 'put off' ELSE wait::text END AS wait
  FROM (SELECT job_id, next_run_at - faultline.clock_now() AS wait FROM faultline.jobs WHERE kind = 'own') w ORDER BY 1;

-- Nothing is lost, and whoever was put off runs when the time has come.
SELECT faultline.advance_clock('2 h') \gset
SELECT pg_temp.claim(100);
SELECT count(*) AS live, count(*) FILTER (WHERE state = 'running') AS running FROM faultline.jobs WHERE queue = 'q';

-- The end of a budget: everybody follows the back-off.
SELECT faultline.alter_queue('q', retry_budget => 0) \gset
SELECT pg_temp.fail();
SELECT * FROM waiting;

-- A budget of its own for each queue.
SELECT faultline.create_queue('other', backoff_base => '1 s', backoff_jitter => 0, retry_budget => 0.01) \gset
SELECT faultline.enqueue('other') \gset
SELECT job_id, lease_token FROM faultline.claim('other', 'w') \gset
SELECT faultline.fail(:job_id, :lease_token, 'down');
SELECT next_run_at - faultline.clock_now() AS wait FROM faultline.jobs WHERE queue = 'other';

SELECT faultline.drop_queue(queue, force => true) FROM faultline.stat_queues WHERE queue IN ('q', 'other') ORDER BY queue;
SELECT * FROM faultline.check_invariants();
SELECT faultline.set_clock(NULL) > '2026-01-01' AS is_real_time;
