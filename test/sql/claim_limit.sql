-- expected_runtime: a claim gets no more jobs than can run one after the other within its lease.
SELECT faultline.set_clock('2026-01-01 00:00Z') \gset
SELECT faultline.create_queue('slow', lease => '30 s', expected_runtime => '10 s') \gset
SELECT faultline.create_queue('quick', lease => '30 s', expected_runtime => '1 s') \gset
SELECT faultline.create_queue('any', lease => '30 s') \gset
SELECT count(*) FROM faultline.enqueue_many('slow', array_fill('1'::jsonb, ARRAY[200]));
SELECT count(*) FROM faultline.enqueue_many('quick', array_fill('1'::jsonb, ARRAY[200]));
SELECT count(*) FROM faultline.enqueue_many('any', array_fill('1'::jsonb, ARRAY[200]));

SELECT count(*) FROM faultline.claim('slow', 'w', 100);
SELECT count(*) FROM faultline.claim('slow', 'w', 2);
-- The lease that is asked for decides; one job always fits.
SELECT count(*) FROM faultline.claim('slow', 'w', 100, lease => '69 s');
SELECT count(*) FROM faultline.claim('slow', 'w', 100, lease => '70 s');
SELECT count(*) FROM faultline.claim('slow', 'w', 100, lease => '1 s');
-- No lease is longer than max_runtime.
SELECT faultline.alter_queue('slow', max_runtime => '25 s') \gset
SELECT count(*) FROM faultline.claim('slow', 'w', 100);
SELECT faultline.alter_queue('slow', max_runtime => '0') \gset
-- The first jobs in order.
SELECT count(*), max(job_id) - min(job_id) AS distance FROM faultline.jobs WHERE queue = 'slow' AND state = 'running';

-- Several queues: what was claimed from one is done before the jobs of the next begin.
SELECT queue, count(*) FROM faultline.claim_any('{slow,quick,any}', 'w', 100, lease => '35 s') GROUP BY queue ORDER BY queue;
SELECT queue, count(*) FROM faultline.claim_any('{quick,slow}', 'w', 100) GROUP BY queue ORDER BY queue;
SELECT queue, count(*) FROM faultline.claim_any('{quick,slow}', 'w', 10) GROUP BY queue ORDER BY queue;
-- Jobs that may take any time count for nothing.
SELECT queue, count(*) FROM faultline.claim_any('{any,slow}', 'w', 200) GROUP BY queue ORDER BY queue;

-- A turn ends jobs and claims as many as fit.
SELECT array_agg(job_id) AS ids, array_agg(lease_token) AS tokens FROM faultline.claim('slow', 'w', 3) \gset
SELECT verdict, count(*) FROM faultline.turn('slow', 'w', :'ids', :'tokens', max_jobs => 100) GROUP BY verdict ORDER BY verdict;

-- The end of the limit.
SELECT faultline.alter_queue('slow', expected_runtime => '0') \gset
SELECT count(*) FROM faultline.claim('slow', 'w', 100);

SELECT faultline.drop_queue(queue, force => true) > 0 AS dropped FROM faultline.stat_queues
 WHERE queue IN ('slow', 'quick', 'any') ORDER BY queue;
SELECT * FROM faultline.check_invariants();
SELECT faultline.set_clock(NULL) > '2026-01-01' AS is_real_time;
