-- After a workload that takes every path, the invariants hold: as check_invariants() tells it and
-- as queries of our own, from what was put in.  And check_invariants() sees each of them broken.
\set ON_ERROR_STOP 1
BEGIN;
SELECT plan(28);
SET LOCAL faultline.allow_same_transaction = on;

SELECT faultline.set_clock('2031-05-01 12:00+00');
SELECT faultline.create_queue('q', max_attempts => 2, lease => '10 s', backoff_base => '1 s');
SELECT faultline.create_queue('p', max_attempts => 2, lease => '10 s', backoff_base => '1 s');

-- 100 jobs in two queues, every second one with a key.
SELECT faultline.enqueue_many('q', array_agg(to_jsonb(i)),
         idempotency_keys => array_agg(CASE WHEN i % 2 = 0 THEN 'k' || i END))
  FROM generate_series(1, 60) AS i;
SELECT faultline.enqueue_many('p', array_agg(to_jsonb(i)),
         idempotency_keys => array_agg(CASE WHEN i % 2 = 0 THEN 'k' || i END))
  FROM generate_series(1, 40) AS i;

-- Rounds of claims whose jobs end in each way by turns; what nobody ends expires.
CREATE FUNCTION pg_temp.round_of_work(seed integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  job faultline.claimed_job;
BEGIN
  FOR job IN SELECT * FROM faultline.claim_any('{q,p}', 'worker ' || seed, 20) LOOP
    CASE (job.job_id + seed) % 7
      WHEN 0, 1 THEN PERFORM faultline.complete(job.job_id, job.lease_token, '"done"');
      WHEN 2 THEN PERFORM faultline.fail(job.job_id, job.lease_token, 'broken');
      WHEN 3 THEN PERFORM faultline.fail(job.job_id, job.lease_token, 'hopeless', discard => true);
      WHEN 4 THEN PERFORM faultline.release(job.job_id, job.lease_token);
      WHEN 5 THEN PERFORM faultline.cancel(ARRAY[job.job_id], 'not needed');
      ELSE NULL;
    END CASE;
  END LOOP;
  PERFORM faultline.advance_clock('11 s');
  PERFORM faultline.expire_leases();
  PERFORM faultline.redrive(queue => 'q', max_jobs => 2);
END $$;
SELECT pg_temp.round_of_work(seed) FROM generate_series(1, 15) AS seed;
-- Some are left running, waiting and dead.
SELECT faultline.enqueue_many('q', '{101,102,103,104}');
SELECT count(*) FROM faultline.claim('q', 'last', 2);

SELECT set_eq('SELECT DISTINCT state FROM faultline.jobs',
  ARRAY['queued', 'running', 'succeeded', 'failed', 'cancelled'],
    'the workload reached every state');
SELECT set_eq('SELECT DISTINCT outcome FROM faultline.attempts',
  ARRAY['failed', 'lease_expired', 'released', 'cancelled'], 'and every way an attempt ends');
SELECT cmp_ok((SELECT max(generation) FROM faultline.attempts), '>=', 2, 'and redrove jobs');
SELECT is_empty('SELECT * FROM faultline.check_invariants()', 'check_invariants() finds nothing');

-- Our own count of what was put in.
SELECT is((SELECT count(*) FROM faultline.jobs), 104::bigint, 'no job is lost or there twice');
SELECT is((SELECT count(DISTINCT job_id) FROM faultline.jobs), 104::bigint, 'one row per job');
SELECT bag_eq('SELECT queue, payload::text FROM faultline.jobs', $$
  SELECT 'q', i::text FROM generate_series(1, 60) i UNION ALL
  SELECT 'q', i::text FROM generate_series(101, 104) i UNION ALL
  SELECT 'p', i::text FROM generate_series(1, 40) i$$, 'each with its own payload');
SELECT is_empty($$SELECT job_id FROM faultline.jobs
  WHERE (state = 'running') <> (lease_owner IS NOT NULL)
     OR (state = 'running') <> (lease_expires_at IS NOT NULL)$$,
       'INV_009: a lease exactly while running');
SELECT is_empty($$SELECT job_id, generation, count(*) FROM faultline.attempts
  WHERE outcome IN ('failed', 'lease_expired') GROUP BY job_id, generation HAVING count(*) > 2$$,
  'INV_010, INV_022: never more than max_attempts that count');
SELECT is_empty($$SELECT job_id, attempt, count(*) FROM faultline.attempts
  GROUP BY job_id, attempt HAVING count(*) > 1$$, 'INV_012: an attempt ends once');
SELECT is_empty($$SELECT a.job_id FROM faultline.attempts a JOIN faultline.jobs j USING (job_id)
  WHERE j.state = 'succeeded' AND a.attempt >= j.attempt$$,
  'and the attempt that succeeded ended in no other way');
SELECT results_eq($$SELECT job_id FROM faultline.jobs WHERE state = 'failed' ORDER BY 1$$,
  $$SELECT job_id FROM faultline.dead_letters ORDER BY 1$$,
  'INV_016, INV_017: failed exactly as a dead letter');
SELECT is_empty($$SELECT job_id FROM faultline.dead_letters d
  WHERE jsonb_array_length(history)
        <> (SELECT count(*) FROM faultline.attempts a WHERE a.job_id = d.job_id)$$,
  'a dead letter carries all its attempts');
SELECT is_empty($$SELECT j.job_id FROM faultline.jobs j
    JOIN faultline.idempotency_keys k ON k.job_id = j.job_id
  WHERE j.idempotency_key IS DISTINCT FROM k.key$$, 'INV_018: a key maps to its job');
SELECT is((SELECT count(*) FROM faultline.idempotency_keys), 50::bigint, 'every key is there');
SELECT is_empty($$SELECT job_id FROM faultline.jobs
  WHERE (state IN ('succeeded', 'failed', 'cancelled')) <> (finished_at IS NOT NULL)$$,
  'INV_020: finished_at exactly once it ended');
SELECT is((SELECT sum(queued + scheduled + running + dead_letters) FROM faultline.stat_queues),
  (SELECT count(*) FROM faultline.jobs WHERE state IN ('queued', 'running', 'failed'))::numeric,
  'stat_queues counts what is there');

-- Damage done by hand is seen, under the name of the invariant; then undone.
CREATE FUNCTION pg_temp.seen(damage text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  names text;
  damaged bigint;
BEGIN
  BEGIN
    EXECUTE damage;
    GET DIAGNOSTICS damaged = ROW_COUNT;
    SELECT string_agg(DISTINCT invariant, ',' ORDER BY invariant) INTO names
      FROM faultline.check_invariants();
    RAISE EXCEPTION 'undo' USING ERRCODE = 'UN001';
  EXCEPTION WHEN SQLSTATE 'UN001' THEN
    RETURN CASE WHEN damaged = 1 THEN names ELSE 'damaged ' || damaged || ' rows' END;
  END;
END $$;
SELECT is(pg_temp.seen(damage), expected, what)
  FROM (VALUES
    ('INV_009', 'INV_009: a running job without its lease',
     $$UPDATE faultline.live_jobs SET lease_owner = NULL
        WHERE job_id = (SELECT min(job_id) FROM faultline.live_jobs WHERE state = 'r')$$),
    ('INV_010', 'INV_010: more attempts than allowed',
     $$UPDATE faultline.live_jobs SET attempt = 5
        WHERE job_id = (SELECT min(job_id) FROM faultline.live_jobs WHERE state = 'r')$$),
    ('INV_012', 'INV_012: a lease that ended and still runs',
     $$UPDATE faultline.ended_attempts SET (job_id, lease_token) =
              (SELECT job_id, lease_token FROM faultline.live_jobs WHERE state = 'r'
                ORDER BY job_id LIMIT 1)
        WHERE ctid = (SELECT min(ctid) FROM faultline.ended_attempts WHERE outcome = 'r')$$),
    ('INV_016', 'INV_016: a dead letter without its history',
     $$UPDATE faultline.failed_jobs SET history = NULL
        WHERE job_id = (SELECT min(job_id) FROM faultline.failed_jobs)$$),
    ('INV_018,INV_025', 'INV_018, INV_025: a key that names a job that is not there',
     $$UPDATE faultline.idempotency_keys SET job_id = -1
        WHERE key = (SELECT min(idempotency_key) FROM faultline.failed_jobs)
          AND queue_id = (SELECT queue_id FROM faultline.failed_jobs
                           ORDER BY idempotency_key LIMIT 1)$$),
    ('INV_020', 'INV_020: a finished job in a state that is no end',
     $$UPDATE faultline.finished_jobs SET state = 'q'
        WHERE job_id = (SELECT min(job_id) FROM faultline.finished_jobs)$$),
    ('INV_024', 'INV_024: a job in two places',
     $$INSERT INTO faultline.finished_jobs SELECT (f).*
       FROM (SELECT f FROM faultline.finished_jobs f
        WHERE f.state = 'c' ORDER BY job_id LIMIT 1) AS v$$),
    ('INV_025', 'INV_025: the key of a dead letter expires',
     $$UPDATE faultline.idempotency_keys k SET expires_at = '2031-06-01'
         FROM (SELECT queue_id, idempotency_key FROM faultline.failed_jobs
                WHERE idempotency_key IS NOT NULL LIMIT 1) AS f
        WHERE k.queue_id = f.queue_id AND k.key = f.idempotency_key$$),
    ('INV_026', 'INV_026: a job of a queue that is gone',
     $$UPDATE faultline.live_jobs SET queue_id = 999
        WHERE job_id = (SELECT max(job_id) FROM faultline.live_jobs WHERE state = 'q')$$))
    AS v (expected, what, damage);

-- INV_022: three attempts of one generation that count, of two allowed.
SELECT is(pg_temp.seen($$
  WITH job AS (SELECT job_id FROM faultline.finished_jobs WHERE state = 'c' ORDER BY 1 LIMIT 1),
  more AS (
    INSERT INTO faultline.ended_attempts (job_id, started_at, ended_at, lease_token, queue_id,
                                          attempt, generation, outcome, final)
    SELECT job_id, '2031-05-01', '2031-05-01', n, 1, n, 77, 'x', false
      FROM job, generate_series(1, 3) n)
  UPDATE faultline.queues SET description = description WHERE name = 'p'$$),
  'INV_022,INV_033', 'INV_022: more starts than allowed');
SELECT is_empty('SELECT * FROM faultline.check_invariants()', 'all the damage is undone');

SELECT * FROM finish();
ROLLBACK;
