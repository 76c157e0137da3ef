-- Reading: one row per job, wherever it is.  A role sees the jobs of queues it has any level on.
-- No view shows a lease token.

CREATE FUNCTION faultline.queue_visible(queue_id integer) RETURNS boolean
  LANGUAGE c STABLE COST 10 AS 'MODULE_PATHNAME', 'faultline_queue_visible';
COMMENT ON FUNCTION faultline.queue_visible(integer) IS 'True when the current user has any level on the queue.';

CREATE FUNCTION faultline.payload_visible(queue_id integer) RETURNS boolean
  LANGUAGE c STABLE COST 10 AS 'MODULE_PATHNAME', 'faultline_payload_visible';
COMMENT ON FUNCTION faultline.payload_visible(integer) IS 'True when the current user has a level on the queue other than monitor.';

CREATE VIEW faultline.visible_queues WITH (security_barrier) AS
  SELECT q.queue_id, q.name, q.paused_at, q.dropped_at,
         faultline.payload_visible(q.queue_id) AS payload_visible
    FROM faultline.queues q WHERE faultline.queue_visible(q.queue_id);
COMMENT ON VIEW faultline.visible_queues IS 'Internal: queues that the current user may see, dropped ones included.';
COMMENT ON COLUMN faultline.visible_queues.queue_id IS 'Number of the queue.';
COMMENT ON COLUMN faultline.visible_queues.name IS 'Name of the queue.';
COMMENT ON COLUMN faultline.visible_queues.paused_at IS 'Since when it is paused.';
COMMENT ON COLUMN faultline.visible_queues.dropped_at IS 'Since when it is dropped.';
COMMENT ON COLUMN faultline.visible_queues.payload_visible IS 'Whether the current user may read what its jobs carry.';

CREATE VIEW faultline.jobs WITH (security_barrier) AS
  SELECT j.job_id, q.name AS queue, j.kind,
         CASE j.state WHEN 'q' THEN 'queued' ELSE 'running' END AS state,
         j.priority::integer AS priority,
         CASE WHEN q.payload_visible THEN j.payload END AS payload,
         CASE WHEN q.payload_visible THEN j.headers END AS headers, j.attempt, j.max_attempts,
         j.next_run_at, j.lease_owner,
         faultline.lease_end(j.job_id, j.lease_token, j.claimed_at, j.lease_expires_at, j.queue_id,
                             j.lease_milliseconds) AS lease_expires_at, j.enqueued_at,
         NULL::timestamptz AS finished_at, j.last_error, NULL::jsonb AS result,
         CASE WHEN q.payload_visible THEN j.progress END AS progress,
         CASE WHEN q.payload_visible THEN j.idempotency_key END AS idempotency_key
    FROM faultline.live_jobs j JOIN faultline.visible_queues q USING (queue_id)
  UNION ALL
  SELECT d.job_id, q.name, d.kind, CASE d.state WHEN 's' THEN 'succeeded' ELSE 'cancelled' END,
         d.priority::integer, CASE WHEN q.payload_visible THEN d.payload END,
         CASE WHEN q.payload_visible THEN d.headers END, d.attempt, d.max_attempts, NULL, NULL, NULL,
         d.enqueued_at, d.finished_at, d.last_error,
         CASE WHEN q.payload_visible THEN d.result END, CASE WHEN q.payload_visible THEN d.progress END,
         CASE WHEN q.payload_visible THEN d.idempotency_key END
    FROM faultline.finished_jobs d JOIN faultline.visible_queues q USING (queue_id)
  UNION ALL
  SELECT f.job_id, q.name, f.kind, 'failed', f.priority::integer,
         CASE WHEN q.payload_visible THEN f.payload END, CASE WHEN q.payload_visible THEN f.headers END,
         f.attempt, f.max_attempts, NULL, NULL, NULL, f.enqueued_at, f.failed_at, f.last_error, NULL,
         CASE WHEN q.payload_visible THEN f.progress END,
         CASE WHEN q.payload_visible THEN f.idempotency_key END
    FROM faultline.failed_jobs f JOIN faultline.visible_queues q USING (queue_id);
COMMENT ON VIEW faultline.jobs IS 'One row per job: live, finished or failed for good.';
COMMENT ON COLUMN faultline.jobs.job_id IS 'Key of the job.';
COMMENT ON COLUMN faultline.jobs.queue IS 'Name of its queue.';
COMMENT ON COLUMN faultline.jobs.kind IS 'What sort of job it is, as given at enqueue.';
COMMENT ON COLUMN faultline.jobs.state IS 'queued, running, succeeded, failed or cancelled. Queued with next_run_at in the future: scheduled, or waiting to be retried.';
COMMENT ON COLUMN faultline.jobs.priority IS 'Lower runs first.';
COMMENT ON COLUMN faultline.jobs.payload IS 'What the producer sent. Hidden from monitors.';
COMMENT ON COLUMN faultline.jobs.headers IS 'Carried untouched from the producer. Hidden from monitors.';
COMMENT ON COLUMN faultline.jobs.attempt IS 'Number of claims so far; never falls.';
COMMENT ON COLUMN faultline.jobs.max_attempts IS 'Claims that count before the job fails for good.';
COMMENT ON COLUMN faultline.jobs.next_run_at IS 'When it may run, or might have run; null once it has ended.';
COMMENT ON COLUMN faultline.jobs.lease_owner IS 'Name of the worker that runs it now.';
COMMENT ON COLUMN faultline.jobs.lease_expires_at IS 'When that lease ends unless it is extended.';
COMMENT ON COLUMN faultline.jobs.enqueued_at IS 'When it was enqueued.';
COMMENT ON COLUMN faultline.jobs.finished_at IS 'When it ended: succeeded, cancelled or failed for good.';
COMMENT ON COLUMN faultline.jobs.last_error IS 'Error text of the last attempt that failed, or the reason of a cancellation.';
COMMENT ON COLUMN faultline.jobs.result IS 'What the worker gave to complete(). Hidden from monitors.';
COMMENT ON COLUMN faultline.jobs.progress IS 'What the worker last gave to extend(). Hidden from monitors.';
COMMENT ON COLUMN faultline.jobs.idempotency_key IS 'The key given at enqueue. Hidden from monitors.';

CREATE VIEW faultline.dead_letters WITH (security_barrier) AS
  SELECT f.job_id, q.name AS queue, f.kind, f.failed_at,
         CASE f.reason WHEN 'a' THEN 'attempts_exhausted' ELSE 'discarded' END AS reason,
         f.last_error, f.attempt, f.max_attempts, f.priority::integer AS priority, f.generation,
         f.enqueued_at,
         CASE WHEN q.payload_visible THEN f.payload END AS payload,
         CASE WHEN q.payload_visible THEN f.headers END AS headers,
         CASE WHEN q.payload_visible THEN f.progress END AS progress,
         CASE WHEN q.payload_visible THEN f.idempotency_key END AS idempotency_key,
         CASE WHEN q.payload_visible THEN f.history END AS history
    FROM faultline.failed_jobs f JOIN faultline.visible_queues q USING (queue_id);
COMMENT ON VIEW faultline.dead_letters IS 'Jobs that failed for good, until they are redriven or purged.';
COMMENT ON COLUMN faultline.dead_letters.job_id IS 'Key of the job.';
COMMENT ON COLUMN faultline.dead_letters.queue IS 'Name of its queue.';
COMMENT ON COLUMN faultline.dead_letters.kind IS 'What sort of job it is, as given at enqueue.';
COMMENT ON COLUMN faultline.dead_letters.failed_at IS 'When it failed for good.';
COMMENT ON COLUMN faultline.dead_letters.reason IS 'attempts_exhausted or discarded.';
COMMENT ON COLUMN faultline.dead_letters.last_error IS 'Error text of the last attempt.';
COMMENT ON COLUMN faultline.dead_letters.attempt IS 'Number of claims, all generations together.';
COMMENT ON COLUMN faultline.dead_letters.max_attempts IS 'Claims that count before the job fails for good.';
COMMENT ON COLUMN faultline.dead_letters.priority IS 'Lower runs first.';
COMMENT ON COLUMN faultline.dead_letters.generation IS '1, and one more for each redrive.';
COMMENT ON COLUMN faultline.dead_letters.enqueued_at IS 'When it was enqueued.';
COMMENT ON COLUMN faultline.dead_letters.payload IS 'What the producer sent. Hidden from monitors.';
COMMENT ON COLUMN faultline.dead_letters.headers IS 'Carried untouched from the producer. Hidden from monitors.';
COMMENT ON COLUMN faultline.dead_letters.progress IS 'What a worker last gave to extend(). Hidden from monitors.';
COMMENT ON COLUMN faultline.dead_letters.idempotency_key IS 'The key given at enqueue; it does not expire while the dead letter is kept. Hidden from monitors.';
COMMENT ON COLUMN faultline.dead_letters.history IS 'Array of all attempts: attempt, worker, outcome, error, started_at, ended_at.';

CREATE VIEW faultline.attempts WITH (security_barrier) AS
  SELECT a.job_id, q.name AS queue, a.generation, a.attempt, a.worker,
         CASE a.outcome WHEN 'f' THEN 'failed' WHEN 'x' THEN 'lease_expired'
                        WHEN 'r' THEN 'released' ELSE 'cancelled' END AS outcome,
         a.final, a.error, a.started_at, a.ended_at
    FROM faultline.ended_attempts a JOIN faultline.visible_queues q USING (queue_id);
COMMENT ON VIEW faultline.attempts IS 'One row per attempt that did not succeed.';
COMMENT ON COLUMN faultline.attempts.job_id IS 'Key of the job.';
COMMENT ON COLUMN faultline.attempts.queue IS 'Name of its queue.';
COMMENT ON COLUMN faultline.attempts.generation IS '1, and one more for each redrive.';
COMMENT ON COLUMN faultline.attempts.attempt IS 'Number of the claim.';
COMMENT ON COLUMN faultline.attempts.worker IS 'Name the worker gave to claim().';
COMMENT ON COLUMN faultline.attempts.outcome IS 'failed, lease_expired, released or cancelled.';
COMMENT ON COLUMN faultline.attempts.final IS 'Whether the job ended with it.';
COMMENT ON COLUMN faultline.attempts.error IS 'Error text given to fail().';
COMMENT ON COLUMN faultline.attempts.started_at IS 'When it was claimed.';
COMMENT ON COLUMN faultline.attempts.ended_at IS 'When it ended.';
