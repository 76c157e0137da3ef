-- Invariants: what must hold in every committed state, as queries that return what does not.
-- docs/invariants.md explains each name.
--
-- One function per kind of row, over a window of its key, "after" exclusive and "up_to" inclusive,
-- null for no end.  check_invariants() calls them without ends, the rolling audit (77_audit.sql) with
-- both.  They are planned for the window at hand (force_custom_plan): by index for a small one, by
-- hash join for everything.

CREATE VIEW faultline.job_rows AS
  SELECT j.job_id, j.state, j.queue_id, j.generation, j.attempt, j.max_attempts, j.declares_effect,
         j.idempotency_key, j.lease_token, j.enqueued_at, NULL::timestamptz AS ended_at
    FROM faultline.live_jobs j
  UNION ALL
  SELECT d.job_id, d.state, d.queue_id, d.generation, d.attempt, d.max_attempts, d.declares_effect,
         d.idempotency_key, d.lease_token, d.enqueued_at, d.finished_at
    FROM faultline.finished_jobs d
  UNION ALL
  SELECT f.job_id, 'f'::"char", f.queue_id, f.generation, f.attempt, f.max_attempts, f.declares_effect,
         f.idempotency_key, f.lease_token, f.enqueued_at, f.failed_at
    FROM faultline.failed_jobs f;
COMMENT ON VIEW faultline.job_rows IS 'Internal: every row of a job, in whichever table; a job that is sound has one.';
COMMENT ON COLUMN faultline.job_rows.job_id IS 'Key of the job.';
COMMENT ON COLUMN faultline.job_rows.state IS 'queued (q), running (r), succeeded (s), cancelled (c) or failed (f).';
COMMENT ON COLUMN faultline.job_rows.queue_id IS 'Number of its queue.';
COMMENT ON COLUMN faultline.job_rows.generation IS '1, and one more for each redrive.';
COMMENT ON COLUMN faultline.job_rows.attempt IS 'Number of claims so far.';
COMMENT ON COLUMN faultline.job_rows.max_attempts IS 'Claims that count before it fails for good.';
COMMENT ON COLUMN faultline.job_rows.declares_effect IS 'Whether its producer declared a ledger entry.';
COMMENT ON COLUMN faultline.job_rows.idempotency_key IS 'The key it was enqueued with.';
COMMENT ON COLUMN faultline.job_rows.lease_token IS 'Proof of its current or last lease.';
COMMENT ON COLUMN faultline.job_rows.enqueued_at IS 'When it was enqueued.';
COMMENT ON COLUMN faultline.job_rows.ended_at IS 'When it ended; null while it lives.';

-- The longest legal lease is lease_microseconds_max of core/limits.hpp.
CREATE FUNCTION faultline.invariants_of_live_jobs(after_id bigint, up_to_id bigint, grace interval)
  RETURNS TABLE (invariant text, subject text, detail text)
  LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
  SET plan_cache_mode = force_custom_plan SET jit = off AS $$
DECLARE
  lease_max CONSTANT interval := '24 h';
  now_at timestamptz := faultline.clock_now();
BEGIN
  RETURN QUERY
  WITH j AS MATERIALIZED (
    SELECT l.job_id, l.state, l.lease_token, l.lease_expires_at, l.lease_milliseconds, l.lease_owner,
           l.claimed_at,
           faultline.lease_end(l.job_id, l.lease_token, l.claimed_at, l.lease_expires_at, l.queue_id,
                               l.lease_milliseconds) AS lease_end,
           l.cancel_requested_at, l.attempt, l.attempts_uncounted, l.max_attempts, q.max_runtime
      FROM faultline.live_jobs l LEFT JOIN faultline.queues q ON q.queue_id = l.queue_id
     WHERE (after_id IS NULL OR l.job_id > after_id) AND (up_to_id IS NULL OR l.job_id <= up_to_id)
  )
  SELECT 'INV_009', j.job_id::text, format('state %s does not agree with its lease', j.state)
    FROM j
   WHERE j.state NOT IN ('q', 'r')
      OR (j.state = 'r') <> (j.lease_token IS NOT NULL)
      OR (j.state = 'r') <> (j.lease_expires_at IS NOT NULL)
      OR (j.state = 'r') <> (j.lease_owner IS NOT NULL)
      OR (j.state = 'r') <> (j.claimed_at IS NOT NULL)
      OR (j.state = 'r') <> (j.lease_milliseconds IS NOT NULL)
      OR (j.state <> 'r' AND j.cancel_requested_at IS NOT NULL)
  UNION ALL
  SELECT 'INV_010', j.job_id::text,
         format('attempt %s, %s uncounted, of %s', j.attempt, j.attempts_uncounted, j.max_attempts)
    FROM j
   WHERE j.attempts_uncounted < 0 OR j.attempt - j.attempts_uncounted NOT BETWEEN 0 AND j.max_attempts
      OR (j.state = 'q' AND j.attempt - j.attempts_uncounted = j.max_attempts)
  UNION ALL
  SELECT 'INV_101', j.job_id::text, format('its lease ended %s ago', now_at - j.lease_end)
    FROM j WHERE j.state = 'r' AND j.lease_end < now_at - grace
  UNION ALL
  SELECT 'INV_105', j.job_id::text, format('its lease ends in %s', j.lease_end - now_at)
    FROM j WHERE j.state = 'r' AND j.lease_end > now_at + lease_max
  UNION ALL
  SELECT 'INV_106', j.job_id::text,
         format('it has run for %s, longer than max_runtime %s, and its lease goes on', now_at - j.claimed_at,
                j.max_runtime)
    FROM j
   WHERE j.state = 'r' AND j.lease_end > j.claimed_at + j.max_runtime
     AND j.claimed_at + j.max_runtime < now_at - grace;
END $$;
COMMENT ON FUNCTION faultline.invariants_of_live_jobs(bigint, bigint, interval) IS
  'Internal: violations that the rows of live jobs of a window of ids show.';

CREATE FUNCTION faultline.invariants_of_jobs(after_id bigint, up_to_id bigint)
  RETURNS TABLE (invariant text, subject text, detail text)
  LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
  SET plan_cache_mode = force_custom_plan SET jit = off AS $$
BEGIN
  RETURN QUERY
  WITH j AS MATERIALIZED (
    SELECT r.* FROM faultline.job_rows r
     WHERE (after_id IS NULL OR r.job_id > after_id) AND (up_to_id IS NULL OR r.job_id <= up_to_id)
  ), a AS MATERIALIZED (
    SELECT e.job_id, e.lease_token, e.attempt, e.generation, e.outcome FROM faultline.ended_attempts e
     WHERE (after_id IS NULL OR e.job_id > after_id) AND (up_to_id IS NULL OR e.job_id <= up_to_id)
  ), f AS MATERIALIZED (
    SELECT d.job_id, d.attempt, d.attempts_uncounted, d.max_attempts, d.history
      FROM faultline.failed_jobs d
     WHERE (after_id IS NULL OR d.job_id > after_id) AND (up_to_id IS NULL OR d.job_id <= up_to_id)
  )
  SELECT 'INV_007', j.job_id::text, 'succeeded without the ledger entry it declared'
    FROM j
   WHERE j.state = 's' AND j.declares_effect
     AND NOT EXISTS (SELECT FROM faultline.ledger_entries e WHERE e.job_id = j.job_id AND e.job_id > 0)
  UNION ALL
  SELECT 'INV_010', f.job_id::text,
         format('attempt %s, %s uncounted, of %s', f.attempt, f.attempts_uncounted, f.max_attempts)
    FROM f
   WHERE f.attempts_uncounted < 0 OR f.attempt - f.attempts_uncounted NOT BETWEEN 0 AND f.max_attempts
  UNION ALL
  SELECT 'INV_012', t.job_id::text, 'one lease token ended in ' || count(*) || ' ways'
    FROM (SELECT j.job_id, j.lease_token FROM j WHERE j.ended_at IS NULL OR j.state = 's'
          UNION ALL SELECT a.job_id, a.lease_token FROM a) t
   WHERE t.lease_token IS NOT NULL
   GROUP BY t.job_id, t.lease_token HAVING count(*) > 1
  UNION ALL
  SELECT 'INV_016', f.job_id::text, 'dead letter without the history of its last attempt'
    FROM f
   WHERE (f.history -> -1 ->> 'attempt')::integer IS DISTINCT FROM f.attempt
  UNION ALL
  SELECT 'INV_017', f.job_id::text, format('dead letter of a job that is in state %s, too', j.state)
    FROM f JOIN j ON j.job_id = f.job_id AND j.state <> 'f'
  UNION ALL
  SELECT 'INV_018', j.job_id::text, format('its idempotency key belongs to %s',
                                           coalesce('job ' || k.job_id, 'no job'))
    FROM j LEFT JOIN faultline.idempotency_keys k ON k.queue_id = j.queue_id AND k.key = j.idempotency_key
   WHERE (j.ended_at IS NULL OR j.state = 'f') AND j.idempotency_key IS NOT NULL
     AND k.job_id IS DISTINCT FROM j.job_id
  UNION ALL
  SELECT 'INV_020', d.job_id::text, format('finished job in state %s', d.state)
    FROM faultline.finished_jobs d
   WHERE (d.state NOT IN ('s', 'c') OR (d.state = 's' AND d.lease_token IS NULL))
     AND (after_id IS NULL OR d.job_id > after_id) AND (up_to_id IS NULL OR d.job_id <= up_to_id)
  UNION ALL
  SELECT 'INV_022', a.job_id::text,
         format('generation %s was started %s times of %s', a.generation, count(DISTINCT a.lease_token),
                min(j.max_attempts))
    FROM a JOIN j USING (job_id)
   WHERE a.outcome IN ('f', 'x')
   GROUP BY a.job_id, a.generation HAVING count(DISTINCT a.lease_token) > min(j.max_attempts)
  UNION ALL
  SELECT 'INV_024', j.job_id::text, 'the job is in ' || count(*) || ' places'
    FROM j GROUP BY j.job_id HAVING count(*) > 1
  UNION ALL
  SELECT 'INV_026', j.job_id::text, 'queue number ' || j.queue_id || ' does not exist or was dropped'
    FROM j LEFT JOIN faultline.queues q ON q.queue_id = j.queue_id AND q.dropped_at IS NULL
   WHERE (j.ended_at IS NULL OR j.state = 'f') AND q.queue_id IS NULL
  UNION ALL
  SELECT 'INV_028', j.job_id::text, format('generation %s declares an effect without a transaction', j.generation)
    FROM j
   WHERE j.declares_effect
     AND NOT EXISTS (SELECT FROM faultline.ledger_transactions t
                      WHERE t.job_id = j.job_id AND t.generation = j.generation AND t.job_id > 0)
  UNION ALL
  SELECT 'INV_033', a.job_id::text, format('attempt %s ended in %s ways', a.attempt, count(*))
    FROM a GROUP BY a.job_id, a.attempt HAVING count(*) > 1
  UNION ALL
  SELECT 'INV_033', a.job_id::text, format('attempt %s of generation %s ended, the job is at %s of %s',
                                           a.attempt, a.generation, j.attempt, j.generation)
    FROM a JOIN j USING (job_id)
   WHERE a.attempt NOT BETWEEN 1 AND j.attempt OR a.generation NOT BETWEEN 1 AND j.generation;
END $$;
COMMENT ON FUNCTION faultline.invariants_of_jobs(bigint, bigint) IS
  'Internal: violations that the rows of jobs of a window of ids show, with their attempts, wherever they are.';

-- A log that does not begin with its job, because it was switched on later, is judged from where it
-- begins.
CREATE FUNCTION faultline.invariants_of_events(after_id bigint, up_to_id bigint)
  RETURNS TABLE (invariant text, subject text, detail text)
  LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
  SET plan_cache_mode = force_custom_plan SET jit = off AS $$
BEGIN
  RETURN QUERY
  WITH v AS MATERIALIZED (
    SELECT e.job_id, e.event_id, e.from_state, e.to_state, e.attempt, e.generation, e.lease_token,
           lag(e.to_state) OVER steps AS state_before,
           lead(e.event_id) OVER steps IS NULL AS is_last,
           first_value(e.from_state) OVER steps IS NULL AS is_complete
      FROM faultline.job_events e
     WHERE (after_id IS NULL OR e.job_id > after_id) AND (up_to_id IS NULL OR e.job_id <= up_to_id)
    WINDOW steps AS (PARTITION BY e.job_id ORDER BY e.event_id)
  ), j AS MATERIALIZED (
    SELECT r.job_id, r.state, r.generation, r.max_attempts, r.ended_at FROM faultline.job_rows r
     WHERE (after_id IS NULL OR r.job_id > after_id) AND (up_to_id IS NULL OR r.job_id <= up_to_id)
  )
  SELECT 'INV_012', v.job_id::text, 'one lease token was granted ' || count(*) || ' times'
    FROM v WHERE v.to_state = 'r' GROUP BY v.job_id, v.lease_token HAVING count(*) > 1
  UNION ALL
  SELECT 'INV_012', v.job_id::text, format('attempt %s was granted %s times', v.attempt, count(*))
    FROM v WHERE v.to_state = 'r' GROUP BY v.job_id, v.attempt HAVING count(*) > 1
  UNION ALL
  SELECT 'INV_013', v.job_id::text, format('event %s: illegal step %s>%s', v.event_id,
                                           coalesce(v.from_state, '-'), v.to_state)
    FROM v
   WHERE (coalesce(v.from_state, '-'), v.to_state) NOT IN
         (('-', 'q'), ('q', 'r'), ('q', 'c'), ('r', 'q'), ('r', 's'), ('r', 'f'), ('r', 'c'), ('f', 'q'))
  UNION ALL
  SELECT 'INV_014', v.job_id::text, format('state %s, but its log ends with %s', j.state, v.to_state)
    FROM v JOIN j USING (job_id) WHERE v.is_last AND v.to_state <> j.state
  UNION ALL
  SELECT 'INV_015', v.job_id::text, format('event %s starts from %s, the one before ended with %s',
                                           v.event_id, coalesce(v.from_state, '-'), v.state_before)
    FROM v WHERE v.state_before IS NOT NULL AND v.from_state IS DISTINCT FROM v.state_before
  UNION ALL
  -- Released attempts do not count; their rows are kept while the job lives.
  SELECT 'INV_022', v.job_id::text,
         format('generation %s was started %s times of %s', v.generation, count(*), min(j.max_attempts))
    FROM v JOIN j ON j.job_id = v.job_id AND j.generation = v.generation AND j.ended_at IS NULL
   WHERE v.to_state = 'r'
     AND NOT EXISTS (SELECT FROM faultline.ended_attempts a
                      WHERE a.job_id = v.job_id AND a.attempt = v.attempt AND a.outcome = 'r')
   GROUP BY v.job_id, v.generation HAVING count(*) > min(j.max_attempts)
  UNION ALL
  SELECT 'INV_023', e.job_id::text, format('entry %s was written by attempt %s, which was never granted',
                                           e.entry_id, e.attempt)
    FROM faultline.ledger_entries e
   WHERE e.job_id IN (SELECT v.job_id FROM v WHERE v.is_complete) AND e.job_id > 0
     AND NOT EXISTS (SELECT FROM v WHERE v.job_id = e.job_id AND v.attempt = e.attempt AND v.to_state = 'r');
END $$;
COMMENT ON FUNCTION faultline.invariants_of_events(bigint, bigint) IS
  'Internal: violations that the event log shows, for a window of job ids.';

CREATE FUNCTION faultline.invariants_of_keys(
  after_queue integer, after_key text, up_to_queue integer, up_to_key text
) RETURNS TABLE (invariant text, subject text, detail text)
  LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
  SET plan_cache_mode = force_custom_plan SET jit = off AS $$
BEGIN
  RETURN QUERY
  WITH k AS MATERIALIZED (
    SELECT n.job_id, n.expires_at, n.queue_id, n.key FROM faultline.idempotency_keys n
     WHERE (after_queue IS NULL OR (n.queue_id, n.key) > (after_queue, after_key COLLATE "C"))
       AND (up_to_queue IS NULL OR (n.queue_id, n.key) <= (up_to_queue, up_to_key COLLATE "C"))
  )
  SELECT 'INV_018', k.job_id::text, 'it was not enqueued with the idempotency key that names it'
    FROM k JOIN faultline.job_rows j ON j.job_id = k.job_id
   WHERE (j.queue_id, j.idempotency_key) IS DISTINCT FROM (k.queue_id, k.key)
  UNION ALL
  SELECT 'INV_025', k.job_id::text,
         CASE WHEN k.expires_at IS NULL THEN 'its idempotency key never expires, but the job has ended'
              ELSE 'its idempotency key expires, but the job is live or a dead letter' END
    FROM k
   WHERE (k.expires_at IS NULL)
         <> (EXISTS (SELECT FROM faultline.live_jobs j WHERE j.job_id = k.job_id)
             OR EXISTS (SELECT FROM faultline.failed_jobs f WHERE f.job_id = k.job_id));
END $$;
COMMENT ON FUNCTION faultline.invariants_of_keys(integer, text, integer, text) IS
  'Internal: violations that a window of idempotency keys shows, with their jobs.';

CREATE FUNCTION faultline.invariants_of_queues(grace interval)
  RETURNS TABLE (invariant text, subject text, detail text)
  LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off AS $$
DECLARE
  now_at timestamptz := faultline.clock_now();
BEGIN
  RETURN QUERY
  -- A job may be enqueued with a run_at long past; it has waited since it was enqueued.
  SELECT 'INV_104', q.name,
         format('%s jobs wait, the oldest for %s', count(*),
                now_at - min(greatest(j.next_run_at, j.enqueued_at)))
    FROM faultline.live_jobs j JOIN faultline.queues q ON q.queue_id = j.queue_id
   WHERE j.state = 'q' AND greatest(j.next_run_at, j.enqueued_at) < now_at - grace
     AND q.paused_at IS NULL
   GROUP BY q.queue_id, q.name;
END $$;
COMMENT ON FUNCTION faultline.invariants_of_queues(interval) IS
  'Internal: queues whose jobs have waited for too long, though nobody paused them.';

-- Row locks stand in the rows, not in pg_locks; the lock on the table that comes with them does, until
-- the transaction ends.  All in real time, whatever the virtual clock says.
CREATE FUNCTION faultline.invariants_of_locks(grace interval)
  RETURNS TABLE (invariant text, subject text, detail text)
  LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  SELECT DISTINCT 'INV_107', coalesce('prepared transaction ' || p.gid, 'session ' || a.pid),
         format('may hold rows of live jobs since %s', coalesce(p.prepared, a.xact_start))
    FROM pg_stat_activity me, pg_locks l
    LEFT JOIN pg_stat_activity a ON a.pid = l.pid
    LEFT JOIN pg_locks x ON l.pid IS NULL AND x.pid IS NULL AND x.locktype = 'transactionid'
                        AND x.virtualtransaction = l.virtualtransaction
    LEFT JOIN pg_prepared_xacts p ON p.transaction = x.transactionid
   WHERE me.pid = pg_backend_pid() AND l.pid IS DISTINCT FROM me.pid
     AND l.locktype = 'relation' AND l.granted AND l.relation = 'faultline.live_jobs'::regclass
     AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
     AND l.mode IN ('RowShareLock', 'RowExclusiveLock')
     AND coalesce(p.prepared, a.xact_start) < me.query_start - invariants_of_locks.grace
$$;
COMMENT ON FUNCTION faultline.invariants_of_locks(interval) IS
  'Internal: other sessions and prepared transactions that have been able to hold rows of live jobs for too long.';

CREATE FUNCTION faultline.check_invariants(grace interval = '1 hour')
  RETURNS TABLE (invariant text, subject text, detail text)
  LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off AS $$
BEGIN
  PERFORM faultline.check_setting(grace BETWEEN interval '0' AND interval '3650 days', 'grace', grace::text,
                                  '0 to 3650 days');
  RETURN QUERY SELECT * FROM faultline.invariants_of_live_jobs(NULL, NULL, grace);
  RETURN QUERY SELECT * FROM faultline.invariants_of_jobs(NULL, NULL);
  IF current_setting('faultline.trace_events')::boolean THEN
    RETURN QUERY SELECT * FROM faultline.invariants_of_events(NULL, NULL);
  END IF;
  RETURN QUERY SELECT * FROM faultline.invariants_of_entries(NULL, NULL, grace);
  RETURN QUERY SELECT * FROM faultline.invariants_of_transactions(NULL, NULL, grace);
  RETURN QUERY SELECT * FROM faultline.invariants_of_keys(NULL, NULL, NULL, NULL);
  RETURN QUERY SELECT * FROM faultline.invariants_of_accounts(NULL, NULL, NULL, NULL, NULL);
  RETURN QUERY SELECT * FROM faultline.invariants_of_assets();
  RETURN QUERY SELECT * FROM faultline.invariants_of_queues(grace);
  RETURN QUERY SELECT * FROM faultline.invariants_of_locks(grace);
END $$;
COMMENT ON FUNCTION faultline.check_invariants(interval) IS
  'Every violated invariant with its subject; no rows means that all hold. grace (0 to 3650 days): how long what has only to happen in the end may be overdue, and how far the clock may have been set back, before it is told. Reads all tables in one snapshot, so it takes time on large ones. docs/invariants.md explains each name.';
