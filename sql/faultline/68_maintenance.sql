-- Maintenance: which duties there are, how they went, and the background worker that does them.

CREATE TABLE faultline.duty_statistics (
  duty text COLLATE "C" PRIMARY KEY,
  last_started_at timestamptz,
  last_succeeded_at timestamptz,
  last_failed_at timestamptz,
  backing_off_until timestamptz,
  runs bigint NOT NULL,
  done bigint NOT NULL,
  failures bigint NOT NULL,
  failures_in_row integer NOT NULL,
  last_error text
);
COMMENT ON TABLE faultline.duty_statistics IS 'How the duties of maintenance went; not part of a dump.';

-- The one list of duties, in the order in which maintain() and the background worker do them.  Last
-- what takes locks that others wait for, as maintain() holds them until its transaction ends.
CREATE FUNCTION faultline.duties() RETURNS TABLE (duty text, every interval)
  LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  VALUES ('expire_leases', interval '1 min'),
         ('reconcile', interval '10 s'),
         ('expire_keys', interval '1 min'),
         ('delete_finished', interval '1 min'),
         ('sweep_windows', interval '10 s'),
         ('audit', coalesce(nullif(current_setting('faultline.audit_interval', true)::interval, '0'), '1 min')),
         ('count_jobs', interval '1 min'),
         ('create_partitions', interval '1 min'),
         ('drop_partitions', interval '1 min')
$$;
COMMENT ON FUNCTION faultline.duties() IS
  'Internal: the duties of maintenance and how often the background worker does each; expire_leases also whenever a lease ends. Any duty again at once while there is more to do.';

-- Never waits for a session that records the same duty: its figures are then left out, and false
-- says so.
CREATE FUNCTION faultline.record_duty(
  duty text, started_at timestamptz, succeeded_at timestamptz, runs bigint, done bigint,
  failures bigint, failures_in_row integer, error text, back_off interval
) RETURNS boolean
  LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  now_at timestamptz := faultline.clock_now();
BEGIN
  PERFORM FROM faultline.duty_statistics s WHERE s.duty = record_duty.duty FOR UPDATE SKIP LOCKED;
  IF FOUND THEN
    UPDATE faultline.duty_statistics s
       SET last_started_at = coalesce(record_duty.started_at, s.last_started_at),
           last_succeeded_at = coalesce(record_duty.succeeded_at, s.last_succeeded_at),
           last_failed_at = CASE WHEN record_duty.failures > 0 THEN now_at ELSE s.last_failed_at END,
           backing_off_until = now_at + record_duty.back_off,
           runs = s.runs + record_duty.runs,
           done = s.done + record_duty.done,
           failures = s.failures + record_duty.failures,
           failures_in_row = CASE WHEN record_duty.error IS NULL THEN 0
             ELSE coalesce(record_duty.failures_in_row, s.failures_in_row + 1) END,
           last_error = coalesce(record_duty.error, s.last_error)
     WHERE s.duty = record_duty.duty;
    RETURN true;
  END IF;
  INSERT INTO faultline.duty_statistics
    VALUES (record_duty.duty, record_duty.started_at, record_duty.succeeded_at,
            CASE WHEN record_duty.failures > 0 THEN now_at END, now_at + record_duty.back_off,
            record_duty.runs, record_duty.done, record_duty.failures,
            CASE WHEN record_duty.error IS NULL THEN 0 ELSE coalesce(record_duty.failures_in_row, 1) END,
            record_duty.error)
    ON CONFLICT DO NOTHING;
  RETURN FOUND;
END $$;
COMMENT ON FUNCTION faultline.record_duty(text, timestamptz, timestamptz, bigint, bigint, bigint, integer, text, interval) IS
  'Internal: adds to the figures of a duty. error: of the last run, null if it went well. failures_in_row null: one more than before. Returns whether it was recorded.';

CREATE FUNCTION faultline.start_worker() RETURNS text
  LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'faultline_start_worker';
COMMENT ON FUNCTION faultline.start_worker() IS
  'Starts the background worker for this database on a server that does not preload the library, until its next restart. Returns started or already_running. 55000 when the settings do not let it run, 53000 when the server has no room for it.';

CREATE FUNCTION faultline.workers_refused_since() RETURNS timestamptz
  LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'faultline_workers_refused_since';
COMMENT ON FUNCTION faultline.workers_refused_since() IS
  'Internal: since when max_worker_processes has been exhausted for the launcher; null when it is not, or the library is not preloaded.';

CREATE FUNCTION faultline.worker_is_wanted() RETURNS boolean
  LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'faultline_worker_is_wanted';
COMMENT ON FUNCTION faultline.worker_is_wanted() IS
  'Internal: whether faultline.background_worker and faultline.databases let the background worker serve this database.';

CREATE FUNCTION faultline.process_present(kind integer) RETURNS boolean
  LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RETURN EXISTS (
    SELECT FROM pg_locks l
      JOIN pg_database d ON d.datname = current_database()
     WHERE l.locktype = 'object' AND l.database = 0 AND l.classid = 'pg_database'::regclass
       AND l.objid IN (0, d.oid) AND l.objsubid = process_present.kind AND l.granted);
END $$;
COMMENT ON FUNCTION faultline.process_present(integer) IS
  'Internal: whether the launcher (1) or the worker (2) of the background worker is there for this database.';

-- The items of status() about maintenance.
CREATE FUNCTION faultline.worker_status() RETURNS TABLE (item text, state text, detail text, hint text)
  LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  -- An idle database is looked at once a minute, and a nap may be longer.
  late_after CONSTANT interval := interval '3 min' + 2 * current_setting('faultline.naptime')::interval;
  preloaded CONSTANT boolean := faultline.library_is_preloaded();
  wanted CONSTANT boolean := faultline.worker_is_wanted();
  launched CONSTANT boolean := faultline.process_present(1);
  refused_since CONSTANT timestamptz := faultline.workers_refused_since();
  last_look timestamptz;
  late boolean;
  failing record;
BEGIN
  SELECT max(s.last_started_at) INTO last_look FROM faultline.duty_statistics s;
  late := coalesce(last_look, (SELECT min(q.created_at) FROM faultline.queues q WHERE q.dropped_at IS NULL))
          < faultline.clock_now() - late_after;
  item := 'worker'; state := 'info'; hint := NULL;
  IF pg_is_in_recovery() THEN
    detail := 'there is none on a standby; it starts with the promotion';
  ELSIF NOT wanted OR NOT (launched OR preloaded) THEN
    detail := CASE WHEN wanted THEN 'not started'
                   WHEN current_setting('faultline.background_worker')::boolean THEN 'switched off here by faultline.databases'
                   ELSE 'switched off by faultline.background_worker' END;
    hint := CASE WHEN wanted THEN 'SELECT faultline.start_worker(); -- until the next restart of the server'
                 WHEN current_setting('faultline.background_worker')::boolean THEN 'ALTER SYSTEM RESET faultline.databases; SELECT pg_reload_conf();'
                 ELSE 'ALTER SYSTEM SET faultline.background_worker = on; SELECT pg_reload_conf();' END;
    IF late THEN
      state := 'warning';
      detail := format('%s, and nobody has called maintain() since %s: leases of dead workers do not end on time, and partitions are not made',
                       detail, coalesce(last_look::text, 'the first queue was made'));
    ELSE
      detail := detail || '; call maintain() yourself';
    END IF;
  ELSIF NOT launched THEN
    state := 'warning'; detail := 'its launcher does not run, though the library is preloaded';
    hint := 'Look into the log of the server, which starts it again every second.';
  ELSIF refused_since IS NOT NULL THEN
    state := 'warning';
    detail := format('all of max_worker_processes are in use since %s', refused_since);
    hint := format('ALTER SYSTEM SET max_worker_processes = %s; -- then restart the server',
                   current_setting('max_worker_processes')::integer + current_setting('faultline.max_workers')::integer);
  ELSIF late THEN
    state := 'warning'; detail := format('it was here last at %s', coalesce(last_look::text, 'no time'));
    hint := 'SELECT * FROM faultline.maintain(); -- and look into the log of the server';
  ELSE
    state := 'ok';
    detail := CASE WHEN faultline.process_present(2) THEN 'it is at work'
                   ELSE 'it comes when there is something to do' END;
  END IF;
  RETURN NEXT;

  item := 'duties'; state := 'ok'; detail := 'no duty of maintenance fails'; hint := NULL;
  FOR failing IN
    SELECT s.duty, s.failures_in_row, s.last_error FROM faultline.stat_maintenance s WHERE s.failures_in_row > 0
  LOOP
    item := 'duty ' || failing.duty; state := 'warning';
    detail := format('failed %s times in a row: %s', failing.failures_in_row, failing.last_error);
    hint := 'SELECT * FROM faultline.stat_maintenance; -- the log of the server says more';
    RETURN NEXT;
  END LOOP;
  IF item = 'duties' THEN
    RETURN NEXT;
  END IF;
END $$;
COMMENT ON FUNCTION faultline.worker_status() IS 'Internal: the items of status() about maintenance.';

CREATE FUNCTION faultline.library_is_preloaded() RETURNS boolean
  LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  SELECT 'faultline' = ANY (string_to_array(
           replace(replace(current_setting('shared_preload_libraries'), '"', ''), ' ', ''), ','))
$$;
COMMENT ON FUNCTION faultline.library_is_preloaded() IS 'Internal: whether shared_preload_libraries names the library.';

CREATE VIEW faultline.stat_maintenance WITH (security_barrier) AS
  SELECT d.duty, s.last_started_at AS last_start, s.last_succeeded_at AS last_success,
         coalesce(s.runs, 0) AS runs, coalesce(s.done, 0) AS done,
         coalesce(s.failures, 0) AS failures, coalesce(s.failures_in_row, 0) AS failures_in_row,
         s.last_error, s.last_failed_at AS last_error_at, s.backing_off_until,
         CASE WHEN s.last_succeeded_at IS NOT NULL
              THEN greatest(faultline.clock_now() - s.last_succeeded_at - d.every, interval '0') END AS lag
    FROM faultline.duties() WITH ORDINALITY AS d (duty, every, position)
    LEFT JOIN faultline.duty_statistics s USING (duty)
   ORDER BY d.position;
COMMENT ON VIEW faultline.stat_maintenance IS
  'One row per duty of maintenance: how it went, by the background worker and by maintain(). The worker writes it at most once per naptime, and every half minute while it finds nothing to do.';
COMMENT ON COLUMN faultline.stat_maintenance.duty IS 'Name of the duty.';
COMMENT ON COLUMN faultline.stat_maintenance.last_start IS 'When it began last; null if it never did.';
COMMENT ON COLUMN faultline.stat_maintenance.last_success IS 'When it ended well last.';
COMMENT ON COLUMN faultline.stat_maintenance.runs IS 'How often it ran.';
COMMENT ON COLUMN faultline.stat_maintenance.done IS 'How much it did: jobs, keys, transactions or partitions.';
COMMENT ON COLUMN faultline.stat_maintenance.failures IS 'How often it failed.';
COMMENT ON COLUMN faultline.stat_maintenance.failures_in_row IS 'How often it failed since it last went well; 0 when it is well.';
COMMENT ON COLUMN faultline.stat_maintenance.last_error IS 'Error of the last failure; stays when it is over.';
COMMENT ON COLUMN faultline.stat_maintenance.last_error_at IS 'When it failed last.';
COMMENT ON COLUMN faultline.stat_maintenance.backing_off_until IS 'While it fails: when the background worker tries it again.';
COMMENT ON COLUMN faultline.stat_maintenance.lag IS 'How long it is overdue: the time since its last success, less the time between two runs. Up to a minute in a database where nothing happens; null if it never went well.';
