-- The items of status() about jobs, queues and what grows worse slowly.  Each says what is, why it matters, and the
-- command to run; each costs the same however many jobs there are.

CREATE FUNCTION faultline.horizon_status() RETURNS TABLE (item text, state text, detail text, hint text)
  LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  held_longest CONSTANT interval := current_setting('faultline.horizon_age_limit')::interval;
  behind_most CONSTANT bigint := 1000000;  -- of those who do not tell since when
  holder record;
BEGIN
  item := 'horizon'; state := 'ok'; hint := NULL;
  detail := format('nobody has kept vacuum from removing dead rows for longer than %s', held_longest);
  SELECT h.* INTO holder FROM faultline.horizon_holders() h
   WHERE h.since < faultline.waiting_now() - held_longest OR (h.since IS NULL AND h.transactions > behind_most)
   ORDER BY h.transactions DESC LIMIT 1;
  IF FOUND THEN
    state := 'warning'; hint := holder.cure;
    detail := format('%s keeps dead rows from being removed%s, %s of them now, and claims have to pass over each',
                     holder.holder, coalesce(' since ' || holder.since, ''),
                     (SELECT sum(t.dead_tuples) FROM faultline.table_sizes() t));
  END IF;
  RETURN NEXT;

  item := 'wraparound'; hint := NULL;
  SELECT CASE WHEN age(d.datfrozenxid) > greatest(2 * current_setting('autovacuum_freeze_max_age')::bigint, 1000000000)
              THEN 'warning' ELSE 'ok' END,
         format('the oldest transaction id of this database is %s old', age(d.datfrozenxid))
    INTO state, detail
    FROM pg_database d WHERE d.datname = current_database();
  IF state = 'ok' THEN
    detail := 'transaction ids are frozen in time';
  ELSE
    detail := detail || '; at 2100 million the server accepts no more writes';
    hint := 'VACUUM (FREEZE, VERBOSE); -- once nobody keeps the horizon back';
  END IF;
  RETURN NEXT;
END $$;
COMMENT ON FUNCTION faultline.horizon_status() IS 'Internal: the items of status() about what vacuum may remove.';

CREATE FUNCTION faultline.table_status() RETURNS TABLE (item text, state text, detail text, hint text)
  LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  tables text;
  cures text;
  nearest record;
BEGIN
  SELECT string_agg(c.relname, ', ' ORDER BY c.relname),
         string_agg(format('ALTER TABLE %s RESET (autovacuum_enabled);', c.oid::regclass), ' ' ORDER BY c.relname)
    INTO tables, cures
    FROM pg_class c
   WHERE c.relnamespace = 'faultline'::regnamespace AND c.relkind = 'r'
     AND EXISTS (SELECT FROM pg_options_to_table(c.reloptions) o
                  WHERE o.option_name = 'autovacuum_enabled' AND NOT o.option_value::boolean);
  item := 'autovacuum'; state := 'ok'; detail := 'switched on'; hint := NULL;
  IF NOT (current_setting('autovacuum')::boolean AND current_setting('track_counts')::boolean) THEN
    state := 'warning'; detail := 'switched off for the server: dead rows stay, and claims grow slower and slower';
    hint := 'ALTER SYSTEM RESET autovacuum; ALTER SYSTEM RESET track_counts; SELECT pg_reload_conf();';
  ELSIF tables IS NOT NULL THEN
    state := 'warning'; hint := cures;
    detail := format('switched off for %s: dead rows stay, and claims grow slower and slower', tables);
  END IF;
  RETURN NEXT;

  SELECT s.sequencename AS name, s.last_value, s.max_value INTO nearest FROM pg_sequences s
   WHERE s.schemaname = 'faultline' AND s.last_value IS NOT NULL
   ORDER BY s.last_value::numeric / s.max_value DESC LIMIT 1;
  item := 'sequences'; state := 'ok'; detail := 'numbers last'; hint := NULL;
  IF nearest.last_value > nearest.max_value * 0.8::numeric THEN
    state := 'warning';
    detail := format('%s is at %s of %s; after the last number calls that need one fail', nearest.name,
                     nearest.last_value, nearest.max_value);
    hint := format('SELECT * FROM pg_sequences WHERE sequencename = %L; -- who draws so many?', nearest.name);
  END IF;
  RETURN NEXT;
END $$;
COMMENT ON FUNCTION faultline.table_status() IS 'Internal: the items of status() about tables and sequences.';

-- Counts the live jobs by what is known of the queues, and names each queue that something is wrong with.
CREATE FUNCTION faultline.queue_status() RETURNS TABLE (item text, state text, detail text, hint text)
  LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  waiting_longest CONSTANT interval := current_setting('faultline.ready_age_limit')::interval;
  asked_last CONSTANT interval := '5 min';
  now_at CONSTANT timestamptz := faultline.clock_now();
  queued bigint := 0;
  running bigint := 0;
  dead bigint := 0;
  exact boolean := true;
  late bigint := 0;
  f record;
BEGIN
  FOR f IN
    SELECT q.name, q.paused_at, g.*, e.recent AS dying
      FROM faultline.queue_figures() g
      JOIN faultline.queues q USING (queue_id)
      LEFT JOIN faultline.event_totals() e ON e.queue_id = g.queue_id AND e.event = 'dead'
     ORDER BY q.name
  LOOP
    queued := queued + f.queued + f.scheduled; running := running + f.running;
    dead := dead + f.dead_letters; exact := exact AND f.exact;
    item := 'queue ' || f.name; state := 'warning';
    IF f.paused_at IS NULL AND waiting_longest > interval '0' AND f.oldest_ready_at < now_at - waiting_longest THEN
      late := late + 1;
      IF f.running = 0 AND f.stats_reset IS NOT NULL
         AND coalesce(f.asked_at < faultline.waiting_now() - asked_last, true) THEN
        detail := format('%s jobs are ready, the oldest for %s, and no worker asks for them (last: %s)', f.queued,
                         now_at - f.oldest_ready_at, coalesce(f.asked_at::text, 'not since the server started'));
        hint := format('Start workers that call claim(%L, ...), or SELECT faultline.pause_queue(%1$L);', f.name);
      ELSE
        detail := format('%s jobs are ready, the oldest for %s: workers do not keep up, or are stuck', f.queued,
                         now_at - f.oldest_ready_at);
        hint := format('SELECT * FROM faultline.stat_workers WHERE queue = %L; SELECT * FROM faultline.stat_latency WHERE queue = %1$L;', f.name);
      END IF;
      RETURN NEXT;
    END IF;
    IF f.dying > 0 THEN
      item := 'dead letters ' || f.name;
      detail := format('%s jobs failed for good in the last 5 minutes, %s dead letters are kept; nothing runs them again by itself',
                       f.dying, f.dead_letters);
      hint := format('SELECT job_id, kind, last_error FROM faultline.dead_letters WHERE queue = %L ORDER BY failed_at DESC; -- then redrive(queue => %1$L)', f.name);
      RETURN NEXT;
    END IF;
  END LOOP;
  item := 'jobs'; state := 'ok'; hint := NULL;
  detail := format('%s%s queued, %s running, %s dead letters', CASE WHEN exact THEN '' ELSE 'at least ' END,
                   queued, running, dead);
  RETURN NEXT;
  item := 'backlog'; state := 'ok'; hint := NULL;
  detail := format('no job has been ready for longer than %s', waiting_longest);
  IF late = 0 THEN
    RETURN NEXT;
  END IF;
END $$;
COMMENT ON FUNCTION faultline.queue_status() IS 'Internal: the items of status() about jobs and queues.';

CREATE FUNCTION faultline.lease_status() RETURNS TABLE (item text, state text, detail text, hint text)
  LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY
  SELECT 'leases', CASE WHEN o.overdue > 0 THEN 'warning' ELSE 'ok' END,
         format('%s leases ended more than 10 s ago and are not settled', o.overdue),
         CASE WHEN o.overdue > 0 THEN 'SELECT * FROM faultline.maintain();' END
    FROM (SELECT count(*) AS overdue FROM faultline.running_jobs() r
           WHERE r.lease_expires_at < faultline.clock_now() - interval '10 s') o;
END $$;
COMMENT ON FUNCTION faultline.lease_status() IS 'Internal: the item of status() about leases.';

CREATE FUNCTION faultline.statistics_status() RETURNS TABLE (item text, state text, detail text, hint text)
  LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY
  SELECT 'statistics',
         CASE WHEN m.slots IS NULL THEN 'info' WHEN m.overflowed THEN 'warning' ELSE 'ok' END,
         CASE WHEN m.slots IS NULL THEN 'nothing is counted without preload; depths are counted at each look'
              WHEN m.overflowed THEN format('more queues than the %s that have room in shared memory: the others are slower and not counted', m.slots)
              ELSE 'all queues are counted' END,
         CASE WHEN m.overflowed THEN format('ALTER SYSTEM SET faultline.max_queues = %s; -- then restart the server', 2 * m.slots) END
    FROM (SELECT) one LEFT JOIN faultline.memory_slots() m ON m.segment = 'statistics';
END $$;
COMMENT ON FUNCTION faultline.statistics_status() IS 'Internal: the item of status() about counters.';
