-- How queues are, and what was counted of them.

CREATE VIEW faultline.stat_queues WITH (security_barrier) AS
  WITH t AS MATERIALIZED (SELECT faultline.clock_now() AS now_at)
  SELECT q.name AS queue, f.queued, f.scheduled, f.running, f.dead_letters,
         t.now_at - f.oldest_ready_at AS oldest_ready_age, q.paused_at, f.exact,
         round(f.enqueued_per_second::numeric, 3) AS enqueued_per_second,
         round(f.claimed_per_second::numeric, 3) AS claimed_per_second,
         round(f.completed_per_second::numeric, 3) AS completed_per_second,
         f.enqueued, f.deduplicated, f.claimed, f.completed, f.attempt_failed, f.lease_expired,
         f.released, f.retried, f.dead, f.cancelled, f.redriven, f.purged, f.claim_empty,
         f.stale_rejected, f.enqueue_refused, f.retries_deferred, f.stats_reset
    FROM faultline.visible_queues q
    JOIN faultline.queue_figures() f USING (queue_id)
   CROSS JOIN t
   WHERE q.dropped_at IS NULL;
COMMENT ON VIEW faultline.stat_queues IS
  'One row per queue: how many jobs are in which state, and what happened to them. Costs the same however many jobs there are. In psql, \x auto makes it readable.';
COMMENT ON COLUMN faultline.stat_queues.queue IS 'Name of the queue.';
COMMENT ON COLUMN faultline.stat_queues.queued IS 'Jobs that are ready to run.';
COMMENT ON COLUMN faultline.stat_queues.scheduled IS 'Queued jobs whose next_run_at is in the future.';
COMMENT ON COLUMN faultline.stat_queues.running IS 'Jobs under a lease.';
COMMENT ON COLUMN faultline.stat_queues.dead_letters IS 'Jobs that failed for good and are still kept.';
COMMENT ON COLUMN faultline.stat_queues.oldest_ready_age IS 'How long the oldest ready job has waited.';
COMMENT ON COLUMN faultline.stat_queues.paused_at IS 'Since when the queue is paused; null when it is not.';
COMMENT ON COLUMN faultline.stat_queues.exact IS
  'False: there are at least so many. After a start, until maintenance has counted the jobs, if there are more than some 10000; without preload, if there are more than some 100000; and as long as there are more than a thousand ready and a thousand scheduled ones, of which then only the sum is exact.';
COMMENT ON COLUMN faultline.stat_queues.enqueued_per_second IS 'Jobs enqueued, mean of the last five minutes; stat_events has the rates of all events.';
COMMENT ON COLUMN faultline.stat_queues.claimed_per_second IS 'Attempts begun, mean of the last five minutes.';
COMMENT ON COLUMN faultline.stat_queues.completed_per_second IS 'Attempts that succeeded, mean of the last five minutes.';
COMMENT ON COLUMN faultline.stat_queues.enqueued IS 'Jobs enqueued. This and what follows: totals of what committed since stats_reset, null when nobody counts the queue (no preload, or faultline.max_queues are taken).';
COMMENT ON COLUMN faultline.stat_queues.deduplicated IS 'Requests of enqueue() that found their idempotency key used, and got the first job.';
COMMENT ON COLUMN faultline.stat_queues.claimed IS 'Attempts begun.';
COMMENT ON COLUMN faultline.stat_queues.completed IS 'Attempts that succeeded.';
COMMENT ON COLUMN faultline.stat_queues.attempt_failed IS 'Attempts that ended with fail().';
COMMENT ON COLUMN faultline.stat_queues.lease_expired IS 'Attempts that ended because their lease ran out.';
COMMENT ON COLUMN faultline.stat_queues.released IS 'Attempts given back untried.';
COMMENT ON COLUMN faultline.stat_queues.retried IS 'Jobs queued again after a failure or an expiry.';
COMMENT ON COLUMN faultline.stat_queues.dead IS 'Jobs that failed for good; dead_letters has those that are still kept.';
COMMENT ON COLUMN faultline.stat_queues.cancelled IS 'Jobs that ended as cancelled.';
COMMENT ON COLUMN faultline.stat_queues.redriven IS 'Dead letters put back into the queue.';
COMMENT ON COLUMN faultline.stat_queues.purged IS 'Dead letters removed.';
COMMENT ON COLUMN faultline.stat_queues.claim_empty IS 'Calls of claim() that got nothing.';
COMMENT ON COLUMN faultline.stat_queues.stale_rejected IS 'Calls under a lease that was lost, counted at once because their transactions roll back.';
COMMENT ON COLUMN faultline.stat_queues.enqueue_refused IS 'Calls of enqueue() and enqueue_many() that found max_backlog reached, counted at once because their transactions roll back.';
COMMENT ON COLUMN faultline.stat_queues.retries_deferred IS 'Retries that were put off because retry_budget was spent.';
COMMENT ON COLUMN faultline.stat_queues.stats_reset IS 'Since when totals are counted: stat_reset(), a crash, or the first use of the queue.';

CREATE VIEW faultline.stat_events WITH (security_barrier) AS
  SELECT q.name AS queue, e.event, e.total, round(e.per_second::numeric, 3) AS per_second, e.stats_reset
    FROM faultline.visible_queues q
    JOIN faultline.event_totals() e USING (queue_id)
   WHERE q.dropped_at IS NULL;
COMMENT ON VIEW faultline.stat_events IS
  'One row per queue and event: how often it happened in transactions that committed, since stats_reset.';
COMMENT ON COLUMN faultline.stat_events.queue IS 'Name of the queue.';
COMMENT ON COLUMN faultline.stat_events.event IS
  'enqueued; deduplicated: enqueue() found the key used; claimed; completed; attempt_failed: by fail(); lease_expired; released; retried: queued again after a failure or an expiry; dead: failed for good; cancelled; redriven; purged: dead letters removed; claim_empty: calls of claim() that got nothing; stale_rejected: calls under a lease that was lost, counted at once because their transactions roll back; enqueue_refused: calls that found the queue full, counted likewise; retries_deferred: retries that the budget has put off.';
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

CREATE VIEW faultline.stat_activity WITH (security_barrier) AS
  WITH t AS MATERIALIZED (SELECT faultline.clock_now() AS now_at)
  SELECT r.job_id, q.name AS queue, r.kind, r.worker, r.attempt,
         t.now_at - r.claimed_at AS running_for, r.lease_expires_at - t.now_at AS lease_left
    FROM faultline.running_jobs() r
    JOIN faultline.visible_queues q USING (queue_id)
   CROSS JOIN t;
COMMENT ON VIEW faultline.stat_activity IS 'One row per running job.';
COMMENT ON COLUMN faultline.stat_activity.job_id IS 'Key of the job.';
COMMENT ON COLUMN faultline.stat_activity.queue IS 'Name of its queue.';
COMMENT ON COLUMN faultline.stat_activity.kind IS 'What sort of job it is, as given at enqueue.';
COMMENT ON COLUMN faultline.stat_activity.worker IS 'Name the worker gave to claim().';
COMMENT ON COLUMN faultline.stat_activity.attempt IS 'Number of the claim.';
COMMENT ON COLUMN faultline.stat_activity.running_for IS 'Time since the claim.';
COMMENT ON COLUMN faultline.stat_activity.lease_left IS 'Time until the lease ends unless it is extended; negative when it has ended and nobody has settled it yet.';

CREATE VIEW faultline.stat_workers WITH (security_barrier) AS
  WITH running AS MATERIALIZED (
    SELECT r.queue_id, r.worker, count(*) AS running FROM faultline.running_jobs() r GROUP BY r.queue_id, r.worker
  )
  SELECT coalesce(w.worker, r.worker) AS worker, q.name AS queue, coalesce(r.running, 0) AS running,
         w.completed AS finished, w.failed, w.lease_expired AS expired, w.claimed,
         faultline.waiting_now() - w.seen_at AS last_seen_ago
    FROM faultline.worker_totals() w
    FULL JOIN running r ON (r.queue_id, r.worker) = (w.queue_id, w.worker)
    JOIN faultline.visible_queues q ON q.queue_id = coalesce(w.queue_id, r.queue_id)
   WHERE q.dropped_at IS NULL;
COMMENT ON VIEW faultline.stat_workers IS
  'One row per worker and queue: the workers that hold jobs, and those seen since the server started, at most 256 of them. Without preload only the former.';
COMMENT ON COLUMN faultline.stat_workers.worker IS 'Name it gives to claim().';
COMMENT ON COLUMN faultline.stat_workers.queue IS 'Name of the queue.';
COMMENT ON COLUMN faultline.stat_workers.running IS 'Jobs that it holds now.';
COMMENT ON COLUMN faultline.stat_workers.finished IS 'Its attempts that succeeded, since the server started.';
COMMENT ON COLUMN faultline.stat_workers.failed IS 'Its attempts that it ended with fail().';
COMMENT ON COLUMN faultline.stat_workers.expired IS 'Its attempts that ended because the lease ran out.';
COMMENT ON COLUMN faultline.stat_workers.claimed IS 'Attempts that it began.';
COMMENT ON COLUMN faultline.stat_workers.last_seen_ago IS 'Time since it last asked for jobs, extended a lease or ended a job, by the clock of the server; null without preload.';

-- Settled transactions stay for ever, so they are not counted; those that are open are few.
CREATE FUNCTION faultline.open_transactions() RETURNS TABLE (state text, number bigint, oldest_at timestamptz)
  LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY
  SELECT s.name, count(l.created_at), min(l.created_at)
    FROM (VALUES ('init', 'i'), ('applied', 'a')) AS s (name, letter)
    LEFT JOIN LATERAL (SELECT t.created_at FROM faultline.ledger_transactions t
                        WHERE t.state = s.letter::"char" AND t.state IN ('i', 'a') LIMIT 10000) l ON true
   GROUP BY s.name;
END $$;
COMMENT ON FUNCTION faultline.open_transactions() IS
  'Internal: ledger transactions that are not final, at most 10000 counted of each state.';

CREATE VIEW faultline.stat_ledger WITH (security_barrier) AS
  WITH t AS MATERIALIZED (SELECT faultline.clock_now() AS now_at),
  o AS MATERIALIZED (SELECT * FROM faultline.open_transactions())
  SELECT (SELECT o.number FROM o WHERE o.state = 'init') AS init,
         (SELECT t.now_at - o.oldest_at FROM o CROSS JOIN t WHERE o.state = 'init') AS oldest_init_age,
         (SELECT o.number FROM o WHERE o.state = 'applied') AS applied,
         (SELECT t.now_at - o.oldest_at FROM o CROSS JOIN t WHERE o.state = 'applied') AS oldest_applied_age,
         (SELECT CASE WHEN s.is_called THEN s.last_value ELSE 0 END FROM faultline.ledger_entry_id_seq s) AS entry_numbers,
         (SELECT count(*) FROM faultline.ledger_findings f WHERE f.resolved_at IS NULL) AS open_findings,
         (SELECT coalesce(sum(a.violations), 0) FROM faultline.audit_progress a)::bigint AS violations;
COMMENT ON VIEW faultline.stat_ledger IS 'One row: what the ledger has still to settle, and what was found wrong.';
COMMENT ON COLUMN faultline.stat_ledger.init IS 'Transactions declared by jobs that have not ended; at most 10000 are counted.';
COMMENT ON COLUMN faultline.stat_ledger.oldest_init_age IS 'Time since the oldest of them was declared.';
COMMENT ON COLUMN faultline.stat_ledger.applied IS 'Transactions that have their entry and wait for reconciliation; at most 10000 are counted.';
COMMENT ON COLUMN faultline.stat_ledger.oldest_applied_age IS 'Time since the oldest of them was declared.';
COMMENT ON COLUMN faultline.stat_ledger.entry_numbers IS 'Numbers drawn for entries, those of transactions that rolled back included.';
COMMENT ON COLUMN faultline.stat_ledger.open_findings IS 'Findings of reconciliation and audit that nobody has resolved.';
COMMENT ON COLUMN faultline.stat_ledger.violations IS 'Violations of invariants that the rolling audit saw, those seen again counted again.';

CREATE FUNCTION faultline.memory_segments() RETURNS TABLE (name text, bytes bigint)
  LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT substr(m.name, 11), m.allocated_size FROM pg_shmem_allocations m WHERE m.name LIKE 'faultline %'
$$;
COMMENT ON FUNCTION faultline.memory_segments() IS 'Internal: segments of shared memory of the library.';

CREATE VIEW faultline.stat_memory WITH (security_barrier) AS
  SELECT m.name AS segment,
         CASE WHEN coalesce(s.position = min(s.position) OVER (PARTITION BY m.name), true) THEN m.bytes END AS bytes,
         s.holds, s.slots, s.slots_used, s.overflowed
    FROM faultline.memory_segments() m
    LEFT JOIN faultline.memory_slots() WITH ORDINALITY AS s (segment, holds, slots, slots_used, overflowed, position)
      ON s.segment = m.name
   ORDER BY m.name, s.position;
COMMENT ON VIEW faultline.stat_memory IS
  'One row per segment of shared memory and what it holds, of all databases; none without preload.';
COMMENT ON COLUMN faultline.stat_memory.segment IS
  'What it is for: leases, ready windows, statistics (counters of queues), waiters, workers (what sessions and the background worker tell each other), workers by name (counters of workers), locks.';
COMMENT ON COLUMN faultline.stat_memory.bytes IS 'Size of the segment, fixed when the server starts; in its first row.';
COMMENT ON COLUMN faultline.stat_memory.holds IS 'What it has slots for; a segment may hold several things.';
COMMENT ON COLUMN faultline.stat_memory.slots IS
  'How many have room: queues (faultline.max_queues), jobs in all ready windows (faultline.ready_window each), running jobs whose lease is kept (faultline.max_leases), workers known by name (256, the one seen last goes first), sessions that wait (all that the server can have), databases.';
COMMENT ON COLUMN faultline.stat_memory.slots_used IS 'How many of them are taken.';
COMMENT ON COLUMN faultline.stat_memory.overflowed IS
  'Statistics: a queue found no room since the server started, so that what happens to it is not counted. Leases: a part of the table is full, so that some leases are extended by writing their rows. Null for the others.';
