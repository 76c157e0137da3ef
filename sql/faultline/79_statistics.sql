-- Statistics: what src/stats/ counts, queue by queue, in shared memory, and the views of it.  Totals
-- are null for a queue that nobody counts: without preload, or when faultline.max_queues are taken.

CREATE FUNCTION faultline.queue_figures()
  RETURNS TABLE (queue_id integer, queued bigint, scheduled bigint, running bigint, dead_letters bigint,
                 exact boolean, oldest_ready_at timestamptz, asked_at timestamptz, stats_reset timestamptz,
                 enqueued_per_second double precision, claimed_per_second double precision,
                 completed_per_second double precision,
                 enqueued bigint, deduplicated bigint, claimed bigint, completed bigint, attempt_failed bigint,
                 lease_expired bigint, released bigint, retried bigint, dead bigint, cancelled bigint,
                 redriven bigint, purged bigint, claim_empty bigint, stale_rejected bigint,
                 enqueue_refused bigint, retries_deferred bigint)
  LANGUAGE c VOLATILE ROWS 10 AS 'MODULE_PATHNAME', 'faultline_queue_figures';
COMMENT ON FUNCTION faultline.queue_figures() IS
  'Internal: how the queues are that the current user may see. It looks at a bounded number of rows, however many there are. asked_at: when a worker last asked for jobs, null if none did since the server started. What follows stats_reset is that of event_totals(), null for a queue that nobody counts.';

CREATE FUNCTION faultline.event_totals()
  RETURNS TABLE (queue_id integer, event text, total bigint, recent bigint, per_second double precision,
                 stats_reset timestamptz)
  LANGUAGE c VOLATILE ROWS 160 AS 'MODULE_PATHNAME', 'faultline_event_totals';
COMMENT ON FUNCTION faultline.event_totals() IS
  'Internal: what was counted of the queues that the current user may see; recent: of the last five minutes, the current one included; per_second: the mean of these.';

CREATE FUNCTION faultline.latency_totals()
  RETURNS TABLE (queue_id integer, measure text, outcome text, buckets bigint[], sum_seconds double precision,
                 stats_reset timestamptz)
  LANGUAGE c VOLATILE ROWS 70 AS 'MODULE_PATHNAME', 'faultline_latency_totals';
COMMENT ON FUNCTION faultline.latency_totals() IS
  'Internal: histograms of the queues that the current user may see, a number for each bucket; the last one is of what lies above all bounds.';

CREATE FUNCTION faultline.latency_bounds() RETURNS double precision[]
  LANGUAGE c IMMUTABLE AS 'MODULE_PATHNAME', 'faultline_latency_bounds';
COMMENT ON FUNCTION faultline.latency_bounds() IS 'Internal: upper bounds of the buckets of all histograms, in seconds.';

CREATE FUNCTION faultline.memory_slots()
  RETURNS TABLE (segment text, holds text, slots bigint, slots_used bigint, overflowed boolean)
  LANGUAGE c VOLATILE ROWS 8 AS 'MODULE_PATHNAME', 'faultline_memory_slots';
COMMENT ON FUNCTION faultline.memory_slots() IS
  'Internal: what the segments of shared memory have room for, and how much of that all databases take; no rows without preload.';

CREATE FUNCTION faultline.count_jobs() RETURNS bigint
  LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'faultline_count_jobs';
COMMENT ON FUNCTION faultline.count_jobs() IS
  'Internal: the maintenance duty count_jobs; counts the jobs of queues whose depth is unknown, after a start, and returns how many queues those were.';

CREATE FUNCTION faultline.count_purged(queue_id integer, number bigint) RETURNS void
  LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'faultline_count_purged';
COMMENT ON FUNCTION faultline.count_purged(integer, bigint) IS 'Internal: counts dead letters that were removed for good.';

CREATE FUNCTION faultline.count_dropped_queue(queue_id integer) RETURNS void
  LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'faultline_count_dropped_queue';
COMMENT ON FUNCTION faultline.count_dropped_queue(integer) IS
  'Internal: gives the counters of a queue back when the transaction that drops it commits.';

CREATE FUNCTION faultline.stat_reset(queue text = NULL) RETURNS timestamptz
  LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'faultline_stat_reset';
COMMENT ON FUNCTION faultline.stat_reset(text) IS
  'Sets the totals and histograms of a queue, or for null of all queues of this database, to zero, at once and whatever becomes of the transaction; returns the time, which the views show as stats_reset. How many jobs are in which state is not touched. Raises JQ005 for an unknown queue.';

CREATE FUNCTION faultline.running_jobs()
  RETURNS TABLE (job_id bigint, queue_id integer, kind text, worker text, attempt integer,
                 claimed_at timestamptz, lease_expires_at timestamptz)
  LANGUAGE c VOLATILE ROWS 100 AS 'MODULE_PATHNAME', 'faultline_running_jobs';
COMMENT ON FUNCTION faultline.running_jobs() IS
  'Internal: jobs that run, of the queues that the current user may see; looks where claims begin, past at most 100000 jobs of each queue.';

CREATE FUNCTION faultline.worker_totals()
  RETURNS TABLE (queue_id integer, worker text, seen_at timestamptz, claimed bigint, completed bigint,
                 failed bigint, lease_expired bigint)
  LANGUAGE c VOLATILE ROWS 100 AS 'MODULE_PATHNAME', 'faultline_worker_totals';
COMMENT ON FUNCTION faultline.worker_totals() IS
  'Internal: what was counted, in transactions that committed, of the 256 workers seen last in any database; of the queues that the current user may see.';
