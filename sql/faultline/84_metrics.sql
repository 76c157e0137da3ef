-- Metrics for Prometheus: one list of families, one list of samples, put together as text.  Labels
-- are queues, duties and tables, never jobs, workers or keys; every queue has all its samples from
-- the start, so that rate() misses no first event.
--
-- The functions are PL/pgSQL, which keeps their plans for the session: planning takes longer than
-- running them.

CREATE FUNCTION faultline.metric_families() RETURNS TABLE (name text, kind text, unit text, help text)
  LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  VALUES
  ('faultline_build_info', 'gauge', '', 'Versions; always 1.'),
  ('faultline_preloaded', 'gauge', '', '1 when the library is in shared_preload_libraries; counters need it.'),
  ('faultline_metrics_collected_timestamp_seconds', 'gauge', 'seconds', 'When these metrics were collected.'),
  ('faultline_health_warnings', 'gauge', '', 'Rows of faultline.health(): how much is wrong.'),
  ('faultline_queue_info', 'gauge', '', 'A queue and its description; always 1.'),
  ('faultline_queue_paused', 'gauge', '', '1 while the queue is paused.'),
  ('faultline_jobs', 'gauge', 'jobs', 'Jobs by state: queued (ready to run), scheduled, running, dead.'),
  ('faultline_jobs_exact', 'gauge', '', '0 while faultline_jobs is a lower bound, after a start of the server.'),
  ('faultline_queue_oldest_ready_age_seconds', 'gauge', 'seconds', 'How long the oldest ready job has waited; 0 when none is ready.'),
  ('faultline_queue_last_claim_timestamp_seconds', 'gauge', 'seconds', 'When a worker last asked the queue for jobs; 0 when none did since the server started.'),
  ('faultline_jobs_enqueued_total', 'counter', 'jobs', 'Jobs enqueued.'),
  ('faultline_jobs_deduplicated_total', 'counter', 'jobs', 'Requests that found their idempotency key used, and got the first job.'),
  ('faultline_jobs_claimed_total', 'counter', 'jobs', 'Attempts begun.'),
  ('faultline_jobs_completed_total', 'counter', 'jobs', 'Jobs that succeeded.'),
  ('faultline_job_attempts_failed_total', 'counter', 'attempts', 'Attempts that ended with fail().'),
  ('faultline_lease_expirations_total', 'counter', 'attempts', 'Attempts that ended because their lease ran out.'),
  ('faultline_jobs_released_total', 'counter', 'attempts', 'Attempts that were given back untried.'),
  ('faultline_jobs_retried_total', 'counter', 'jobs', 'Jobs queued again after a failure or the end of a lease.'),
  ('faultline_jobs_dead_total', 'counter', 'jobs', 'Jobs that failed for good.'),
  ('faultline_jobs_cancelled_total', 'counter', 'jobs', 'Jobs that ended as cancelled.'),
  ('faultline_jobs_redriven_total', 'counter', 'jobs', 'Dead letters put back into their queue.'),
  ('faultline_jobs_purged_total', 'counter', 'jobs', 'Dead letters removed.'),
  ('faultline_claim_empty_total', 'counter', 'calls', 'Calls of claim() that got nothing.'),
  ('faultline_stale_writes_rejected_total', 'counter', 'calls', 'Calls of workers that had lost their lease.'),
  ('faultline_enqueue_refused_total', 'counter', 'calls', 'Calls of enqueue() that the backlog limit of the queue refused.'),
  ('faultline_retries_deferred_total', 'counter', 'jobs', 'Retries that the retry budget of the queue has put off.'),
  ('faultline_job_wait_seconds', 'histogram', 'seconds', 'From when a job could run until it was claimed.'),
  ('faultline_job_run_seconds', 'histogram', 'seconds', 'From the claim until the attempt ended, by how it ended.'),
  ('faultline_claim_seconds', 'histogram', 'seconds', 'Time of a call of claim() in the server.'),
  ('faultline_workers', 'gauge', 'workers', 'Workers that hold a lease of a job of the queue.'),
  ('faultline_worker_oldest_heartbeat_age_seconds', 'gauge', 'seconds', 'Of the workers that hold jobs of the queue, the longest time since one was seen to claim, extend or end a job; 0 when none runs.'),
  ('faultline_worker_process_up', 'gauge', '', '1 while the launcher of the background worker is there.'),
  ('faultline_maintenance_last_success_timestamp_seconds', 'gauge', 'seconds', 'When the duty last went well; 0 if it never did.'),
  ('faultline_maintenance_lag_seconds', 'gauge', 'seconds', 'How long the duty is overdue.'),
  ('faultline_maintenance_failures_in_row', 'gauge', '', 'Failures of the duty since it last went well.'),
  ('faultline_maintenance_runs_total', 'counter', 'runs', 'Runs of the duty.'),
  ('faultline_maintenance_done_total', 'counter', '', 'What the duty did: jobs, keys, transactions or partitions.'),
  ('faultline_maintenance_errors_total', 'counter', 'runs', 'Failed runs of the duty.'),
  ('faultline_ledger_open_transactions', 'gauge', '', 'Ledger transactions declared (init) or applied and not reconciled yet, at most 10000 counted.'),
  ('faultline_ledger_entries_total', 'counter', 'entries', 'Numbers drawn for ledger entries, those rolled back included.'),
  ('faultline_findings_open', 'gauge', '', 'Findings of reconciliation and audit that nobody has resolved.'),
  ('faultline_audit_violations_total', 'counter', '', 'Violations of invariants that the rolling audit saw.'),
  ('faultline_table_bytes', 'gauge', 'bytes', 'Size with indexes and TOAST, all partitions together.'),
  ('faultline_table_live_tuples', 'gauge', 'tuples', 'Rows, as the statistics of PostgreSQL estimate them.'),
  ('faultline_table_dead_tuples', 'gauge', 'tuples', 'Dead rows that vacuum has not removed, as the statistics of PostgreSQL estimate them.'),
  ('faultline_oldest_xmin_age_seconds', 'gauge', 'seconds', 'Age of the oldest transaction, prepared or not, that keeps vacuum from removing dead rows; 0 without one.'),
  ('faultline_oldest_xmin_age_transactions', 'gauge', 'transactions', 'How many transactions the snapshot horizon lags behind, also by slots and standbys.'),
  ('faultline_wraparound_age_transactions', 'gauge', 'transactions', 'Age of the oldest transaction id of this database.'),
  ('faultline_statistics_slots', 'gauge', '', 'Queues that have room for counters (faultline.max_queues).'),
  ('faultline_statistics_slots_used', 'gauge', '', 'How many of them are in use, by all databases.')
$$;
COMMENT ON FUNCTION faultline.metric_families() IS 'Internal: what metrics() exposes: name, type (kind), unit and help of each family.';

CREATE FUNCTION faultline.metric_label(name text, value text) RETURNS text
  LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RETURN metric_label.name || '="'
         || replace(replace(replace(metric_label.value, '\', '\\'), '"', '\"'), E'\n', '\n') || '"';
END $$;
COMMENT ON FUNCTION faultline.metric_label(text, text) IS 'Internal: a label with its value escaped for the text format.';

-- The samples of each family, in order: labels, and what is appended to the name.
CREATE FUNCTION faultline.queue_metrics() RETURNS TABLE (family text, suffix text, labels text, value text)
  LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY
  WITH f AS MATERIALIZED (SELECT * FROM faultline.queue_figures()),
  q AS MATERIALIZED (
    SELECT f.*, faultline.metric_label('queue', d.name) AS label, d.paused_at, d.description
      FROM f JOIN faultline.queues d USING (queue_id) ORDER BY d.name
  )
  SELECT 'faultline_queue_info', '', q.label || ',' || faultline.metric_label('description', coalesce(q.description, '')), '1' FROM q
  UNION ALL SELECT 'faultline_queue_paused', '', q.label, (q.paused_at IS NOT NULL)::integer::text FROM q
  UNION ALL
  SELECT 'faultline_jobs', '', q.label || ',state="' || s.state || '"', s.number::text
    FROM q CROSS JOIN LATERAL (VALUES ('queued', q.queued), ('scheduled', q.scheduled), ('running', q.running),
                                      ('dead', q.dead_letters)) AS s (state, number)
  UNION ALL SELECT 'faultline_jobs_exact', '', q.label, q.exact::integer::text FROM q
  UNION ALL
  SELECT 'faultline_queue_oldest_ready_age_seconds', '', q.label,
         coalesce(extract(epoch FROM faultline.clock_now() - q.oldest_ready_at), 0)::text FROM q
  UNION ALL
  SELECT 'faultline_queue_last_claim_timestamp_seconds', '', q.label, coalesce(extract(epoch FROM q.asked_at), 0)::text FROM q
  UNION ALL
  SELECT CASE e.event WHEN 'attempt_failed' THEN 'faultline_job_attempts_failed_total'
                      WHEN 'lease_expired' THEN 'faultline_lease_expirations_total'
                      WHEN 'claim_empty' THEN 'faultline_claim_empty_total'
                      WHEN 'stale_rejected' THEN 'faultline_stale_writes_rejected_total'
                      WHEN 'enqueue_refused' THEN 'faultline_enqueue_refused_total'
                      WHEN 'retries_deferred' THEN 'faultline_retries_deferred_total'
                      ELSE 'faultline_jobs_' || e.event || '_total' END,
         '', q.label, e.total::text
    FROM q JOIN faultline.event_totals() e USING (queue_id) WHERE e.total IS NOT NULL
  UNION ALL
  SELECT s.family, '', q.label, s.value
    FROM q
    LEFT JOIN (SELECT r.queue_id, count(DISTINCT r.worker) AS workers,
                      max(extract(epoch FROM faultline.waiting_now() - coalesce(w.seen_at, r.claimed_at))) AS age
                 FROM faultline.running_jobs() r LEFT JOIN faultline.worker_totals() w USING (queue_id, worker)
                GROUP BY r.queue_id) x USING (queue_id)
   CROSS JOIN LATERAL (VALUES ('faultline_workers', coalesce(x.workers, 0)::text),
                              ('faultline_worker_oldest_heartbeat_age_seconds', coalesce(x.age, 0)::text)) AS s (family, value);
END $$;
COMMENT ON FUNCTION faultline.queue_metrics() IS 'Internal: samples of metrics() about queues.';

CREATE FUNCTION faultline.latency_metrics() RETURNS TABLE (family text, suffix text, labels text, value text)
  LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY
  WITH h AS MATERIALIZED (
    SELECT CASE l.measure WHEN 'wait' THEN 'faultline_job_wait_seconds' WHEN 'run' THEN 'faultline_job_run_seconds'
                          ELSE 'faultline_claim_seconds' END AS family,
           faultline.metric_label('queue', d.name) || coalesce(',outcome="' || l.outcome || '"', '') AS label,
           l.buckets, l.sum_seconds, (SELECT sum(b) FROM unnest(l.buckets) b) AS number
      FROM faultline.latency_totals() WITH ORDINALITY
             AS l (queue_id, measure, outcome, buckets, sum_seconds, stats_reset, position)
      JOIN faultline.queues d USING (queue_id)
     WHERE l.buckets IS NOT NULL
     ORDER BY d.name, l.position
  )
  SELECT h.family, s.suffix, h.label || s.le, s.value
    FROM h CROSS JOIN LATERAL (
      SELECT '_bucket' AS suffix, ',le="' || coalesce((faultline.latency_bounds())[u.bucket]::text, '+Inf') || '"' AS le,
             (sum(u.number) OVER (ORDER BY u.bucket))::text AS value
        FROM unnest(h.buckets) WITH ORDINALITY AS u (number, bucket)
      UNION ALL SELECT '_sum', '', h.sum_seconds::text
      UNION ALL SELECT '_count', '', h.number::text) s;
END $$;
COMMENT ON FUNCTION faultline.latency_metrics() IS 'Internal: histograms of metrics().';

CREATE FUNCTION faultline.table_sizes()
  RETURNS TABLE (table_name text, bytes bigint, live_tuples bigint, dead_tuples bigint)
  LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY
  SELECT t.name, sum(pg_total_relation_size(p.oid))::bigint, sum(pg_stat_get_live_tuples(p.oid))::bigint,
         sum(pg_stat_get_dead_tuples(p.oid))::bigint
    FROM unnest('{live_jobs,finished_jobs,ended_attempts,failed_jobs,idempotency_keys,ledger_transactions,ledger_entries,ledger_accounts,job_events}'::text[])
           WITH ORDINALITY AS t (name, position)
   CROSS JOIN LATERAL (
      SELECT c.oid FROM pg_class c WHERE c.oid = format('faultline.%I', t.name)::regclass
      UNION ALL
      SELECT i.inhrelid FROM pg_inherits i WHERE i.inhparent = format('faultline.%I', t.name)::regclass) p
   GROUP BY t.name, t.position ORDER BY t.position;
END $$;
COMMENT ON FUNCTION faultline.table_sizes() IS
  'Internal: size and rows, as PostgreSQL''s statistics estimate them, of the tables, with their partitions.';

CREATE FUNCTION faultline.server_metrics() RETURNS TABLE (family text, suffix text, labels text, value text)
  LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY
  WITH t AS MATERIALIZED (SELECT * FROM faultline.table_sizes()),
  h AS MATERIALIZED (SELECT * FROM faultline.horizon_holders()),
  m AS MATERIALIZED (SELECT * FROM faultline.memory_slots() s WHERE s.segment = 'statistics'),
  d AS MATERIALIZED (SELECT s.*, faultline.metric_label('task', s.duty) AS label FROM faultline.stat_maintenance s)
  SELECT 'faultline_build_info', '', faultline.metric_label('version', e.extversion) || ','
         || faultline.metric_label('server_version', current_setting('server_version')), '1'
    FROM pg_extension e WHERE e.extname = 'faultline'
  UNION ALL SELECT 'faultline_preloaded', '', '', faultline.library_is_preloaded()::integer::text
  UNION ALL SELECT 'faultline_metrics_collected_timestamp_seconds', '', '', extract(epoch FROM faultline.clock_now())::text
  UNION ALL SELECT 'faultline_health_warnings', '', '', (SELECT count(*) FROM faultline.health())::text
  UNION ALL SELECT 'faultline_worker_process_up', '', '', faultline.process_present(1)::integer::text
  UNION ALL SELECT 'faultline_maintenance_last_success_timestamp_seconds', '', d.label, coalesce(extract(epoch FROM d.last_success), 0)::text FROM d
  UNION ALL SELECT 'faultline_maintenance_lag_seconds', '', d.label, coalesce(extract(epoch FROM d.lag), 0)::text FROM d
  UNION ALL SELECT 'faultline_maintenance_failures_in_row', '', d.label, d.failures_in_row::text FROM d
  UNION ALL SELECT 'faultline_maintenance_runs_total', '', d.label, d.runs::text FROM d
  UNION ALL SELECT 'faultline_maintenance_done_total', '', d.label, d.done::text FROM d
  UNION ALL SELECT 'faultline_maintenance_errors_total', '', d.label, d.failures::text FROM d
  UNION ALL
  SELECT 'faultline_ledger_open_transactions', '', 'state="' || s.state || '"',
         s.number::text FROM faultline.open_transactions() s
  UNION ALL
  SELECT 'faultline_ledger_entries_total', '', '', (CASE WHEN s.is_called THEN s.last_value ELSE 0 END)::text
    FROM faultline.ledger_entry_id_seq s
  UNION ALL SELECT 'faultline_findings_open', '', '', (SELECT count(*) FROM faultline.ledger_findings f WHERE f.resolved_at IS NULL)::text
  UNION ALL SELECT 'faultline_audit_violations_total', '', '', (SELECT coalesce(sum(a.violations), 0) FROM faultline.audit_progress a)::text
  UNION ALL SELECT 'faultline_table_bytes', '', 'table="' || t.table_name || '"', t.bytes::text FROM t
  UNION ALL SELECT 'faultline_table_live_tuples', '', 'table="' || t.table_name || '"', t.live_tuples::text FROM t
  UNION ALL SELECT 'faultline_table_dead_tuples', '', 'table="' || t.table_name || '"', t.dead_tuples::text FROM t
  UNION ALL
  SELECT 'faultline_oldest_xmin_age_seconds', '', '',
         coalesce(max(extract(epoch FROM faultline.waiting_now() - h.since)), 0)::text FROM h
  UNION ALL SELECT 'faultline_oldest_xmin_age_transactions', '', '', coalesce(max(h.transactions), 0)::text FROM h
  UNION ALL SELECT 'faultline_wraparound_age_transactions', '', '', age(b.datfrozenxid)::text FROM pg_database b WHERE b.datname = current_database()
  UNION ALL SELECT 'faultline_statistics_slots', '', '', m.slots::text FROM m
  UNION ALL SELECT 'faultline_statistics_slots_used', '', '', m.slots_used::text FROM m;
END $$;
COMMENT ON FUNCTION faultline.server_metrics() IS 'Internal: samples of metrics() about the database and its maintenance.';

CREATE FUNCTION faultline.metrics() RETURNS text
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RETURN (
  WITH samples AS MATERIALIZED (
    SELECT s.* FROM (SELECT * FROM faultline.queue_metrics() UNION ALL SELECT * FROM faultline.latency_metrics()
                     UNION ALL SELECT * FROM faultline.server_metrics()) s
  ), texts AS (
    SELECT s.family, string_agg(s.family || s.suffix || CASE WHEN s.labels = '' THEN '' ELSE '{' || s.labels || '}' END
                                || ' ' || s.value || E'\n', '') AS lines
      FROM samples s GROUP BY s.family
  )
  SELECT string_agg(format(E'# HELP %s %s\n# TYPE %s %s\n', f.name, f.help, f.name, f.kind)
                    || coalesce(t.lines, ''), '' ORDER BY f.position)
    FROM faultline.metric_families() WITH ORDINALITY AS f (name, kind, unit, help, position)
    LEFT JOIN texts t ON t.family = f.name);
END $$;
COMMENT ON FUNCTION faultline.metrics() IS
  'All metrics of this database in the text format of Prometheus. Costs the same however many jobs there are. Without preload the families of counters have no samples. Names and descriptions of all queues show to whoever may call it.';
