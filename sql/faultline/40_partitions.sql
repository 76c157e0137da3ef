-- Partitions by day, made and dropped at run time.  Never in this script: pg_dump 15 crashes on
-- partitions that belong to an extension.

CREATE FUNCTION faultline.day_partition_name(parent text, day date) RETURNS text
  LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
  SELECT parent || '_' || to_char(day, 'YYYYMMDD')
$$;
COMMENT ON FUNCTION faultline.day_partition_name(text, date) IS 'Internal: name of the partition of one UTC day.';

-- Waiting for an exclusive lock makes everybody else wait behind it, so maintenance does not even
-- start to wait for a transaction that shows no sign of ending.
CREATE FUNCTION faultline.held_for_long(relation regclass) RETURNS boolean
  LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
  SELECT EXISTS (
    SELECT FROM pg_stat_activity me, pg_locks l LEFT JOIN pg_stat_activity a ON a.pid = l.pid
     WHERE l.locktype = 'relation' AND l.granted AND l.relation = held_for_long.relation
       AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
       AND me.pid = pg_backend_pid() AND l.pid IS DISTINCT FROM me.pid
       -- Both in real time, whatever the virtual clock says.
       AND (l.pid IS NULL OR a.xact_start < me.query_start - interval '1 s'))
$$;
COMMENT ON FUNCTION faultline.held_for_long(regclass) IS
  'Internal: true when a prepared transaction, or one older than a second, holds a lock on the table.';

-- Makes the partition of one day, moving over what the default partition holds of that day.  The
-- bounds are written out as text, hence the fixed style of dates.
CREATE FUNCTION faultline.create_day_partition(parent text, time_column text, day date) RETURNS boolean
  LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
  SET timezone = 'UTC' SET datestyle = 'ISO' AS $$
DECLARE
  partition text := faultline.day_partition_name(parent, day);
  day_start timestamptz := day::timestamp AT TIME ZONE 'UTC';
  day_end timestamptz := (day + 1)::timestamp AT TIME ZONE 'UTC';
BEGIN
  IF to_regclass(format('faultline.%I', partition)) IS NOT NULL
     OR faultline.held_for_long(format('faultline.%I', parent || '_default')::regclass) THEN
    RETURN false;
  END IF;
  EXECUTE format('CREATE TABLE faultline.%I (LIKE faultline.%I INCLUDING DEFAULTS INCLUDING STORAGE)',
                 partition, parent);
  EXECUTE format('CREATE INDEX ON faultline.%I (job_id) WITH (fillfactor = 100)', partition);
  -- For databases that publish all their tables; there is no key to identify rows by.
  EXECUTE format('ALTER TABLE faultline.%I REPLICA IDENTITY FULL', partition);
  -- Writers that found no partition for the day wait here, and then look again.
  EXECUTE format('LOCK TABLE faultline.%I IN ACCESS EXCLUSIVE MODE', parent || '_default');
  EXECUTE format('WITH moved AS (DELETE FROM faultline.%I WHERE %I >= $1 AND %I < $2 RETURNING *)
                  INSERT INTO faultline.%I SELECT * FROM moved',
                 parent || '_default', time_column, time_column, partition)
    USING day_start, day_end;
  EXECUTE format('ALTER TABLE faultline.%I ATTACH PARTITION faultline.%I FOR VALUES FROM (%L) TO (%L)',
                 parent, partition, day_start, day_end);
  RETURN true;
END $$;
COMMENT ON FUNCTION faultline.create_day_partition(text, text, date) IS
  'Internal: makes the partition of one UTC day unless it is there, or its default partition is in use for long; returns whether it did.';

CREATE FUNCTION faultline.partitions_missing(from_day date, days_ahead integer) RETURNS bigint
  LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  SELECT count(*)
    FROM (VALUES ('finished_jobs'), ('ended_attempts')) AS v (parent)
   CROSS JOIN LATERAL (
     SELECT v.parent || '_default' AS name
     UNION ALL
     SELECT faultline.day_partition_name(v.parent, from_day + ahead)
       FROM generate_series(0, days_ahead) AS ahead
   ) AS wanted
   WHERE to_regclass(format('faultline.%I', wanted.name)) IS NULL
$$;
COMMENT ON FUNCTION faultline.partitions_missing(date, integer) IS
  'Internal: how many of the default partitions and of those of the given days do not exist.';

CREATE FUNCTION faultline.create_partitions() RETURNS bigint
  LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  days_ahead CONSTANT integer := 3;
  today date := (faultline.clock_now() AT TIME ZONE 'UTC')::date;
  partitioned record;
  created bigint := 0;
BEGIN
  IF faultline.partitions_missing(today, days_ahead) = 0 THEN
    RETURN 0;
  END IF;
  -- One maker at a time; does not keep readers and writers out.
  LOCK TABLE faultline.finished_jobs, faultline.ended_attempts IN SHARE UPDATE EXCLUSIVE MODE;
  FOR partitioned IN
    SELECT * FROM (VALUES ('finished_jobs', 'finished_at'), ('ended_attempts', 'ended_at'))
      AS v (parent, time_column)
  LOOP
    IF to_regclass(format('faultline.%I', partitioned.parent || '_default')) IS NULL THEN
      EXECUTE format('CREATE TABLE faultline.%I PARTITION OF faultline.%I DEFAULT',
                     partitioned.parent || '_default', partitioned.parent);
      EXECUTE format('CREATE INDEX ON faultline.%I (job_id) WITH (fillfactor = 100)', partitioned.parent || '_default');
      EXECUTE format('ALTER TABLE faultline.%I REPLICA IDENTITY FULL', partitioned.parent || '_default');
      created := created + 1;
    END IF;
    FOR ahead IN 0 .. days_ahead LOOP
      IF faultline.create_day_partition(partitioned.parent, partitioned.time_column, today + ahead) THEN
        created := created + 1;
      END IF;
    END LOOP;
  END LOOP;
  RETURN created;
END $$;
COMMENT ON FUNCTION faultline.create_partitions() IS
  'Internal: makes the default partitions and those of today and the next three days where they are missing; returns how many it made.';

-- The longest that any queue keeps finished jobs, dropped queues included: their history ages out
-- like that of others.
CREATE FUNCTION faultline.keep_finished_longest() RETURNS interval
  LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  SELECT coalesce(max(keep_finished), interval '7 days') FROM faultline.queues
$$;
COMMENT ON FUNCTION faultline.keep_finished_longest() IS 'Internal: the longest keep_finished of all queues.';

CREATE FUNCTION faultline.drop_old_partitions() RETURNS bigint
  LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  oldest_kept date := ((faultline.clock_now() - faultline.keep_finished_longest()) AT TIME ZONE 'UTC')::date;
  partition record;
  needed boolean;
  dropped bigint := 0;
BEGIN
  FOR partition IN
    SELECT p.relname AS parent, c.relname AS name
      FROM pg_inherits i
      JOIN pg_class c ON c.oid = i.inhrelid
      JOIN pg_class p ON p.oid = i.inhparent
     WHERE i.inhparent IN ('faultline.finished_jobs'::regclass, 'faultline.ended_attempts'::regclass)
       AND c.relname ~ '_[0-9]{8}$'
       AND to_date(right(c.relname, 8), 'YYYYMMDD') < oldest_kept
     ORDER BY c.relname
  LOOP
    -- Attempts of jobs that still live are history that a dead letter may need.
    needed := false;
    IF partition.parent = 'ended_attempts' THEN
      EXECUTE format('SELECT EXISTS (SELECT FROM faultline.%I a JOIN faultline.live_jobs j USING (job_id))',
                     partition.name) INTO needed;
    END IF;
    IF NOT needed AND NOT faultline.held_for_long(format('faultline.%I', partition.parent)::regclass) THEN
      EXECUTE format('DROP TABLE faultline.%I', partition.name);
      dropped := dropped + 1;
    END IF;
  END LOOP;
  RETURN dropped;
END $$;
COMMENT ON FUNCTION faultline.drop_old_partitions() IS
  'Internal: drops the day partitions that lie wholly before the longest retention; returns how many.';

-- All events of a job go together, so that what is left of the log has no gaps; the day more is that
-- of its finished row, which leaves with its partition.
CREATE FUNCTION faultline.delete_old_events(max_jobs integer) RETURNS bigint
  LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  oldest_kept timestamptz := faultline.clock_now() - faultline.keep_finished_longest() - interval '1 day';
  jobs bigint;
BEGIN
  WITH old AS MATERIALIZED (
    SELECT e.job_id FROM faultline.job_events e
     WHERE e.at < oldest_kept
       AND NOT EXISTS (SELECT FROM faultline.job_events l WHERE l.job_id = e.job_id AND l.event_id > e.event_id)
       AND NOT EXISTS (SELECT FROM faultline.live_jobs j WHERE j.job_id = e.job_id)
       AND NOT EXISTS (SELECT FROM faultline.failed_jobs f WHERE f.job_id = e.job_id)
     LIMIT max_jobs
  ), gone AS (
    DELETE FROM faultline.job_events e USING old WHERE e.job_id = old.job_id
  )
  SELECT count(*) INTO jobs FROM old;
  RETURN jobs;
END $$;
COMMENT ON FUNCTION faultline.delete_old_events(integer) IS
  'Internal: deletes the events of a bounded number of jobs that ended before the longest retention; returns of how many.';

-- Looks that are too dear for each round.
CREATE FUNCTION faultline.look_is_due(look text, every interval, now_at timestamptz) RETURNS boolean
  LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  SELECT NOT EXISTS (SELECT FROM faultline.duty_runs r
                      WHERE r.duty = look_is_due.look
                        AND r.last_run_at BETWEEN look_is_due.now_at - look_is_due.every AND look_is_due.now_at)
$$;
COMMENT ON FUNCTION faultline.look_is_due(text, interval, timestamptz) IS
  'Internal: whether a look of maintenance that is not done in each round is due again.';

CREATE FUNCTION faultline.record_look(look text, now_at timestamptz) RETURNS void
  LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
  INSERT INTO faultline.duty_runs VALUES (record_look.look, record_look.now_at)
    ON CONFLICT (duty) DO UPDATE SET last_run_at = excluded.last_run_at
$$;
COMMENT ON FUNCTION faultline.record_look(text, timestamptz) IS
  'Internal: notes that such a look found all there was.';

-- What dropping whole days cannot reach: queues that keep less than the longest, and the default
-- partitions.  Looking for it costs a scan, so it is done every ten minutes, and again in the next
-- round while there is more.
CREATE FUNCTION faultline.delete_old_finished(max_rows integer) RETURNS bigint
  LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  look_every CONSTANT interval := '10 minutes';
  now_at timestamptz := faultline.clock_now();
  keep_longest interval := faultline.keep_finished_longest();
  keep_shortest interval := (SELECT min(q.keep_finished) FROM faultline.queues q);
  deleted bigint;
  forgotten bigint;
BEGIN
  IF to_regclass('faultline.finished_jobs_default') IS NULL  -- no queue was ever created
     OR NOT faultline.look_is_due('delete_finished', look_every, now_at) THEN
    RETURN 0;
  END IF;
  WITH old AS (
    SELECT f.tableoid, f.ctid
      FROM faultline.queues q JOIN faultline.finished_jobs f USING (queue_id)
     WHERE f.finished_at < now_at - keep_shortest AND f.finished_at < now_at - q.keep_finished
       AND (q.keep_finished < keep_longest
            OR f.tableoid = 'faultline.finished_jobs_default'::regclass)
     LIMIT max_rows
  )
  DELETE FROM faultline.finished_jobs f USING old
   WHERE f.tableoid = old.tableoid AND f.ctid = old.ctid;
  GET DIAGNOSTICS deleted = ROW_COUNT;
  DELETE FROM faultline.ended_attempts_default a
   WHERE a.ctid = ANY (ARRAY(
     SELECT o.ctid FROM faultline.ended_attempts_default o
      WHERE o.ended_at < now_at - keep_longest
        AND NOT EXISTS (SELECT FROM faultline.live_jobs j WHERE j.job_id = o.job_id)
      LIMIT max_rows));
  DELETE FROM faultline.queues q WHERE q.dropped_at < now_at - keep_longest - interval '1 day';
  forgotten := faultline.delete_old_events(max_rows);
  IF greatest(deleted, forgotten) < max_rows THEN
    PERFORM faultline.record_look('delete_finished', now_at);
  END IF;
  RETURN deleted;
END $$;
COMMENT ON FUNCTION faultline.delete_old_finished(integer) IS
  'Internal: deletes a bounded number of finished jobs that their own queue no longer keeps, the events of jobs that ended long ago, and queues dropped long ago; returns how many jobs.';
