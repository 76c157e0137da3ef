-- How queues are, and what was counted of them.

CREATE VIEW faultline.stat_queues WITH (security_barrier) AS
  WITH t AS MATERIALIZED (SELECT faultline.clock_now() AS now_at)
  SELECT q.name AS queue, f.queued, f.scheduled, f.running, f.dead_letters,
         t.now_at - f.oldest_ready_at AS oldest_ready_age, q.paused_at, f.exact
    FROM faultline.visible_queues q
    JOIN faultline.queue_figures() f USING (queue_id)
   CROSS JOIN t
   WHERE q.dropped_at IS NULL;
COMMENT ON VIEW faultline.stat_queues IS
  'One row per queue: how many jobs are in which state. Costs the same however many jobs there are.';
COMMENT ON COLUMN faultline.stat_queues.queue IS 'Name of the queue.';
COMMENT ON COLUMN faultline.stat_queues.queued IS 'Jobs that are ready to run.';
COMMENT ON COLUMN faultline.stat_queues.scheduled IS 'Queued jobs whose next_run_at is in the future.';
COMMENT ON COLUMN faultline.stat_queues.running IS 'Jobs under a lease.';
COMMENT ON COLUMN faultline.stat_queues.dead_letters IS 'Jobs that failed for good and are still kept.';
COMMENT ON COLUMN faultline.stat_queues.oldest_ready_age IS 'How long the oldest ready job has waited.';
COMMENT ON COLUMN faultline.stat_queues.paused_at IS 'Since when the queue is paused; null when it is not.';
COMMENT ON COLUMN faultline.stat_queues.exact IS
  'False: there are at least so many. After a start, until maintenance has counted the jobs; without preload, for more than 100000 jobs; and as long as there are more than a thousand ready and a thousand scheduled ones, of which then only the sum is exact.';

CREATE VIEW faultline.stat_events WITH (security_barrier) AS
  SELECT q.name AS queue, e.event, e.total, round(e.recent / 300.0, 2) AS per_second, e.stats_reset
    FROM faultline.visible_queues q
    JOIN faultline.event_totals() e USING (queue_id)
   WHERE q.dropped_at IS NULL;
COMMENT ON VIEW faultline.stat_events IS
  'One row per queue and event: how often it happened in transactions that committed, since stats_reset.';
COMMENT ON COLUMN faultline.stat_events.queue IS 'Name of the queue.';
COMMENT ON COLUMN faultline.stat_events.event IS
  'enqueued; deduplicated: enqueue() found the key used; claimed; completed; attempt_failed: by fail(); lease_expired; released; retried: queued again after a failure or an expiry; dead: failed for good; cancelled; redriven; purged: dead letters removed; claim_empty: calls of claim() that got nothing; stale_rejected: calls under a lease that was lost, counted at once because their transactions roll back.';
COMMENT ON COLUMN faultline.stat_events.total IS 'Since stats_reset; null when nobody counts the queue (no preload, or faultline.max_queues are taken).';
COMMENT ON COLUMN faultline.stat_events.per_second IS 'Mean of the last five minutes.';
COMMENT ON COLUMN faultline.stat_events.stats_reset IS 'Since when totals are counted: stat_reset(), a crash, or the first use of the queue.';

CREATE FUNCTION faultline.latency_quantile(buckets bigint[], quantile double precision) RETURNS interval
  LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
  WITH b AS (
    SELECT u.bucket, sum(u.number) OVER (ORDER BY u.bucket) AS up_to, sum(u.number) OVER () AS total
      FROM unnest(latency_quantile.buckets) WITH ORDINALITY AS u (number, bucket)
  )
  SELECT make_interval(secs => (faultline.latency_bounds())[least(b.bucket,
                                 cardinality(faultline.latency_bounds()))])
    FROM b WHERE b.total > 0 AND b.up_to >= b.total * latency_quantile.quantile
   ORDER BY b.bucket LIMIT 1
$$;
COMMENT ON FUNCTION faultline.latency_quantile(bigint[], double precision) IS
  'Internal: upper bound of the bucket of a histogram in which the quantile lies; of the last bucket, its lower bound. Null when it is empty.';

CREATE VIEW faultline.stat_latency WITH (security_barrier) AS
  SELECT q.name AS queue, l.measure, l.outcome, n.number AS count,
         make_interval(secs => l.sum_seconds / nullif(n.number, 0)::double precision) AS mean,
         faultline.latency_quantile(l.buckets, 0.5) AS p50,
         faultline.latency_quantile(l.buckets, 0.95) AS p95,
         faultline.latency_quantile(l.buckets, 0.99) AS p99
    FROM faultline.visible_queues q
    JOIN faultline.latency_totals() l USING (queue_id)
   CROSS JOIN LATERAL (SELECT sum(b.number)::bigint AS number FROM unnest(l.buckets) AS b (number)) n
   WHERE q.dropped_at IS NULL;
COMMENT ON VIEW faultline.stat_latency IS
  'One row per queue and histogram. Quantiles are upper bounds of buckets: latency_bounds().';
COMMENT ON COLUMN faultline.stat_latency.queue IS 'Name of the queue.';
COMMENT ON COLUMN faultline.stat_latency.measure IS
  'wait: from when a job could run until it was claimed; claim: a call of claim(); run: from the claim until the attempt ended.';
COMMENT ON COLUMN faultline.stat_latency.outcome IS 'How the run ended: succeeded, failed, lease_expired, released or cancelled; null for the other measures.';
COMMENT ON COLUMN faultline.stat_latency.count IS 'How many were timed since stats_reset; null when nobody counts the queue.';
COMMENT ON COLUMN faultline.stat_latency.mean IS 'Mean time.';
COMMENT ON COLUMN faultline.stat_latency.p50 IS 'Half of them took no longer.';
COMMENT ON COLUMN faultline.stat_latency.p95 IS '95 of 100 took no longer.';
COMMENT ON COLUMN faultline.stat_latency.p99 IS '99 of 100 took no longer.';
