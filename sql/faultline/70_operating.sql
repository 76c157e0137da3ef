-- Operating: cancel, redrive, purge, upkeep by hand, and what the system says of itself.

CREATE FUNCTION faultline.cancel(job_ids bigint[], reason text = NULL)
  RETURNS TABLE (job_id bigint, verdict text)
  LANGUAGE c VOLATILE ROWS 10 AS 'MODULE_PATHNAME', 'faultline_cancel';
COMMENT ON FUNCTION faultline.cancel(bigint[], text) IS
  'Cancels jobs: queued ones end at once (cancelled), running ones are asked to stop (cancel_requested; the worker hears it at its next extend, and the job never runs again). Other verdicts: already_finished, unknown_job, effect_applied (it is queued, but has its ledger entry; its next attempt ends it as succeeded). reason: up to 1024 bytes, shown as last_error. One row per different id, in ascending order.';

CREATE FUNCTION faultline.redrive(
  job_ids bigint[] = NULL, queue text = NULL, max_jobs integer = 1000, delay interval = NULL
) RETURNS TABLE (job_id bigint, verdict text)
  LANGUAGE c VOLATILE ROWS 10 AS 'MODULE_PATHNAME', 'faultline_redrive';
COMMENT ON FUNCTION faultline.redrive(bigint[], text, integer, interval) IS
  'Moves dead letters back to their queue, by id or the oldest of a queue, with a full budget of attempts and their history kept. Verdicts: queued; or the row stays and the verdict says why: not_failed (it is no dead letter), locked (another transaction holds it), unknown_job, effect_applied (it has its ledger entry), ledger_conflict (the transaction_id that it would get, with ~ and the generation behind it, is taken). max_jobs: how many of a queue at most, 1 to 100000.';

CREATE FUNCTION faultline.purge_dead_letters(queue text, older_than interval) RETURNS bigint
  LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'faultline_call_as_owner_of_queue';
COMMENT ON FUNCTION faultline.purge_dead_letters(text, interval) IS
  'Removes the dead letters of a queue that failed at least older_than ago, for good; returns how many. Their idempotency keys are remembered for keep_keys from now.';
CREATE FUNCTION faultline.purge_dead_letters_as_owner(queue text, older_than interval) RETURNS bigint
  LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  purged_id integer := faultline.require_queue_id(purge_dead_letters_as_owner.queue);
  now_at timestamptz := faultline.clock_now();
  purged bigint;
BEGIN
  PERFORM faultline.check_setting(older_than BETWEEN interval '0' AND interval '3650 days',
    'older_than', older_than::text, '0 to 3650 days');
  WITH gone AS (
    DELETE FROM faultline.failed_jobs f
     WHERE f.queue_id = purged_id AND f.failed_at <= now_at - older_than
    RETURNING f.idempotency_key
  ), keys AS (
    UPDATE faultline.idempotency_keys k SET expires_at = now_at + q.keep_keys
      FROM gone, faultline.queues q
     WHERE k.queue_id = purged_id AND k.key = gone.idempotency_key AND q.queue_id = purged_id
  )
  SELECT count(*) INTO purged FROM gone;
  PERFORM faultline.count_purged(purged_id, purged);
  RETURN purged;
END $$;
COMMENT ON FUNCTION faultline.purge_dead_letters_as_owner(text, interval) IS
  'Internal: what purge_dead_letters() does once the caller was found to be an operator.';

CREATE FUNCTION faultline.expire_leases(max_jobs integer = 1000) RETURNS bigint
  LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'faultline_expire_leases';
COMMENT ON FUNCTION faultline.expire_leases(integer) IS
  'Ends attempts whose lease has run out, or ends later than any lease can because the clock was set back: each counts, is recorded with the reason as its error (lease expired, max_runtime reached, lease ended: the clock was set back), and its job is queued again with back-off, or becomes a dead letter. Returns how many. Rows that another transaction holds are left alone; a row that raises is reported as a warning and stops none of the others. max_jobs: 1 to 100000.';

CREATE FUNCTION faultline.expire_round(max_jobs integer, everywhere boolean = NULL) RETURNS bigint
  LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'faultline_expire_round';
COMMENT ON FUNCTION faultline.expire_round(integer, boolean) IS
  'Internal: the maintenance duty expire_leases. everywhere: looks at all live jobs; false: only where claims have come by; null: only at the leases in memory while every running job is known there, else everywhere as long as that is cheap or was not done for long.';

CREATE FUNCTION faultline.expire_keys(max_keys integer = 10000) RETURNS bigint
  LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  now_at timestamptz := faultline.clock_now();
  expired bigint;
BEGIN
  WITH old AS MATERIALIZED (
    SELECT k.queue_id, k.key FROM faultline.idempotency_keys k
     WHERE k.expires_at <= now_at
     ORDER BY k.expires_at LIMIT max_keys FOR UPDATE SKIP LOCKED
  )
  DELETE FROM faultline.idempotency_keys k USING old
   WHERE k.queue_id = old.queue_id AND k.key = old.key;
  GET DIAGNOSTICS expired = ROW_COUNT;
  RETURN expired;
END $$;
COMMENT ON FUNCTION faultline.expire_keys(integer) IS 'Internal: forgets a bounded number of idempotency keys whose time has come; returns how many.';

CREATE FUNCTION faultline.reach_debug_point(name text) RETURNS void
  LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'faultline_reach_debug_point';
COMMENT ON FUNCTION faultline.reach_debug_point(text) IS
  'Internal: does what faultline.debug_points says for this point, for tests only; nothing else.';

CREATE FUNCTION faultline.run_duty(duty text, max_rows integer = NULL) RETURNS bigint
  LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  max_rows := coalesce(max_rows, current_setting('faultline.' || duty || '_rows', true)::integer);
  PERFORM faultline.reach_debug_point('duty_' || duty);
  RETURN CASE duty
    WHEN 'expire_leases' THEN faultline.expire_round(max_rows)
    WHEN 'reconcile' THEN faultline.reconcile_round(max_rows)
    WHEN 'expire_keys' THEN faultline.expire_keys(max_rows)
    WHEN 'create_partitions' THEN faultline.create_partitions()
    WHEN 'drop_partitions' THEN faultline.drop_old_partitions()
    WHEN 'delete_finished' THEN faultline.delete_old_finished(max_rows)
    WHEN 'sweep_windows' THEN faultline.sweep_windows()
    WHEN 'audit' THEN faultline.audit_round()
    WHEN 'count_jobs' THEN faultline.count_jobs()
  END;
END $$;
COMMENT ON FUNCTION faultline.run_duty(text, integer) IS
  'Internal: runs one round of one maintenance duty, bounded by max_rows (null: by its setting), and returns how much it did.';

CREATE FUNCTION faultline.maintain() RETURNS TABLE (duty text, done bigint, error text)
  LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'faultline_call_as_owner';
COMMENT ON FUNCTION faultline.maintain() IS
  'One bounded pass of upkeep: expires leases and idempotency keys, makes and drops partitions, deletes finished jobs that are no longer kept, checks some more of the invariants. A row per duty: how much it did, and the error if it failed; the others go on. Call it once a second or so while nothing else does.';
CREATE FUNCTION faultline.maintain_as_owner() RETURNS TABLE (duty text, done bigint, error text)
  LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  lock_timeout_before text := current_setting('lock_timeout');
  started_at timestamptz;
BEGIN
  PERFORM set_config('lock_timeout', current_setting('faultline.lock_timeout'), true);
  FOR duty IN SELECT d.duty FROM faultline.duties() d LOOP
    started_at := faultline.clock_now();
    -- One duty's failure never stops another.
    BEGIN
      error := NULL;
      done := faultline.run_duty(duty);
    EXCEPTION WHEN OTHERS THEN
      done := 0;
      error := SQLERRM;
    END;
    RETURN NEXT;
    -- Nor does a record of it that somebody else is writing.
    BEGIN
      PERFORM faultline.record_duty(duty, started_at,
                CASE WHEN error IS NULL THEN faultline.clock_now() END, 1, done,
                CASE WHEN error IS NULL THEN 0 ELSE 1 END, NULL, error, NULL);
    EXCEPTION WHEN lock_not_available OR serialization_failure OR deadlock_detected THEN
      NULL;
    END;
  END LOOP;
  PERFORM set_config('lock_timeout', lock_timeout_before, true);
END $$;
COMMENT ON FUNCTION faultline.maintain_as_owner() IS
  'Internal: what maintain() does once the caller was found to be an operator.';

CREATE FUNCTION faultline.adopt() RETURNS void
  LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'faultline_call_as_owner';
COMMENT ON FUNCTION faultline.adopt() IS
  'Says that the jobs of this database are to run here: after a dump was restored, a database copied or a server upgraded by pg_upgrade, claims raise JQ011 until it is called, so that a copy of production does not run production''s jobs a second time.';
CREATE FUNCTION faultline.adopt_as_owner() RETURNS void
  LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  DELETE FROM faultline.instance;
  INSERT INTO faultline.instance
    SELECT c.system_identifier, d.oid, faultline.clock_now()
      FROM pg_control_system() c, pg_database d WHERE d.datname = current_database();
END $$;
COMMENT ON FUNCTION faultline.adopt_as_owner() IS
  'Internal: what adopt() does once the caller was found to be an operator.';

CREATE FUNCTION faultline.status() RETURNS TABLE (item text, state text, detail text, hint text)
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  now_at timestamptz := faultline.clock_now();
  installed text;
  available text;
  preload text := current_setting('shared_preload_libraries');
  counted record;
  missing bigint;
BEGIN
  SELECT e.extversion, a.default_version INTO installed, available
    FROM pg_extension e LEFT JOIN pg_available_extensions a ON a.name = e.extname
   WHERE e.extname = 'faultline';
  item := 'version'; state := CASE WHEN installed = available THEN 'ok' ELSE 'warning' END;
  detail := format('extension %s, files %s', installed, available);
  hint := CASE WHEN installed <> available THEN 'ALTER EXTENSION faultline UPDATE;' END;
  RETURN NEXT;

  item := 'preload';
  IF faultline.library_is_preloaded() THEN
    state := 'ok'; detail := 'the library is preloaded'; hint := NULL;
  ELSE
    state := 'info';
    detail := 'the library is loaded by each session on its first call; everything works but the background worker';
    hint := format('ALTER SYSTEM SET shared_preload_libraries = %s; -- then restart the server',
                   CASE WHEN preload = '' THEN 'faultline' ELSE preload || ', faultline' END);
  END IF;
  RETURN NEXT;

  RETURN QUERY SELECT * FROM faultline.worker_status();

  item := 'instance';
  IF EXISTS (SELECT FROM faultline.instance i, pg_control_system() c, pg_database d
              WHERE d.datname = current_database()
                AND (i.system_identifier, i.database_id) <> (c.system_identifier, d.oid)) THEN
    state := 'warning';
    detail := 'these jobs come from another instance; claims are refused';
    hint := 'SELECT faultline.adopt(); -- if they are to run here';
  ELSE
    state := 'ok'; detail := 'jobs run in this database'; hint := NULL;
  END IF;
  RETURN NEXT;

  SELECT count(*) AS queues, count(q.paused_at) AS paused INTO counted
    FROM faultline.queues q WHERE q.dropped_at IS NULL;
  item := 'queues'; state := CASE WHEN counted.queues = 0 THEN 'info' ELSE 'ok' END;
  detail := format('%s queues, %s paused', counted.queues, counted.paused);
  hint := CASE WHEN counted.queues = 0 THEN 'SELECT faultline.create_queue(''name'');' END;
  RETURN NEXT;

  RETURN QUERY SELECT * FROM faultline.queue_status();
  RETURN QUERY SELECT * FROM faultline.lease_status();
  RETURN QUERY SELECT * FROM faultline.statistics_status();
  RETURN QUERY SELECT * FROM faultline.horizon_status();
  RETURN QUERY SELECT * FROM faultline.table_status();

  missing := faultline.partitions_missing((now_at AT TIME ZONE 'UTC')::date, 1);
  item := 'partitions';
  state := CASE WHEN missing > 0 THEN 'warning' ELSE 'ok' END;
  detail := format('%s of the default, today''s and tomorrow''s partitions are missing', missing);
  hint := CASE WHEN missing > 0 THEN 'SELECT * FROM faultline.maintain();' END;
  RETURN NEXT;

  item := 'clock';
  state := CASE WHEN EXISTS (SELECT FROM faultline.virtual_clock)
                 AND current_setting('faultline.allow_virtual_clock')::boolean
                THEN 'warning' ELSE 'ok' END;
  detail := CASE state WHEN 'ok' THEN 'real time' ELSE format('virtual time %s', now_at) END;
  hint := CASE state WHEN 'warning' THEN 'SELECT faultline.set_clock(NULL);' END;
  RETURN NEXT;

  SELECT count(*) AS open INTO counted FROM faultline.ledger_findings f WHERE f.resolved_at IS NULL;
  item := 'findings'; state := CASE WHEN counted.open > 0 THEN 'warning' ELSE 'ok' END;
  detail := format('%s findings are open', counted.open);
  hint := CASE WHEN counted.open > 0 THEN 'SELECT * FROM faultline.findings WHERE resolved_at IS NULL;' END;
  RETURN NEXT;

  SELECT count(*) AS weak, string_agg(g.guard, ', ') AS names, string_agg(g.cure, ' ') AS cures
    INTO counted FROM faultline.weak_guards() g;
  item := 'guards'; state := CASE WHEN counted.weak > 0 THEN 'warning' ELSE 'ok' END;
  detail := CASE WHEN counted.weak > 0 THEN 'not in force for everybody: ' || counted.names
                 ELSE 'in force for everybody' END;
  hint := counted.cures;
  RETURN NEXT;
END $$;
COMMENT ON FUNCTION faultline.status() IS
  'How the system is, item by item: state is ok, info or warning; detail says what is, hint gives the exact command where there is something to do.';

CREATE FUNCTION faultline.health() RETURNS TABLE (item text, state text, detail text, hint text)
  LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT s.item, s.state, s.detail, s.hint FROM faultline.status() s WHERE s.state = 'warning'
$$;
COMMENT ON FUNCTION faultline.health() IS
  'What is wrong: the rows of status() whose state is warning. No row: all is well.';
