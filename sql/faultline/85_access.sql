-- Access: levels granted to the application's own roles.  EXECUTE on functions gates the level,
-- queue_access the queues; the C++ verbs check both.

CREATE FUNCTION faultline.level_functions(level text) RETURNS SETOF regprocedure
  LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  SELECT p.oid::regprocedure
    FROM pg_proc p
   WHERE p.pronamespace = 'faultline'::regnamespace
     AND p.proname = ANY (ARRAY['clock_now', 'waiting_now', 'duties', 'lease_end', 'queue_visible', 'payload_visible', 'queue_figures',
                             'event_totals', 'running_jobs', 'worker_totals', 'latency_totals', 'latency_bounds', 'latency_quantile'] || CASE level
       WHEN 'producer' THEN ARRAY['enqueue', 'enqueue_many', 'enqueue_trigger', 'transaction_status']
       WHEN 'worker' THEN ARRAY['claim', 'claim_any', 'wait_for_jobs', 'complete', 'complete_many', 'turn', 'fail',
                                'fail_many', 'extend', 'extend_many', 'release', 'apply_ledger',
                                'apply_and_complete', 'apply_and_complete_many', 'transaction_status']
       WHEN 'operator' THEN ARRAY['create_queue', 'alter_queue', 'pause_queue', 'resume_queue',
                                  'drop_queue', 'cancel', 'redrive', 'purge_dead_letters',
                                  'expire_leases', 'maintain', 'adopt', 'status', 'health', 'check_invariants',
                                  'start_worker', 'stat_reset', 'metrics', 'memory_slots', 'memory_segments', 'open_transactions',
                                  'reconcile', 'reverse_transaction', 'transaction_status', 'create_asset',
                                  'open_account', 'alter_account', 'close_account', 'account_balance',
                                  'resolve_finding']
       WHEN 'monitor' THEN ARRAY['status', 'health', 'check_invariants', 'metrics', 'memory_slots', 'memory_segments', 'open_transactions']
     END)
$$;
COMMENT ON FUNCTION faultline.level_functions(text) IS 'Internal: the functions that a level may execute.';

CREATE FUNCTION faultline.check_level(level text) RETURNS void
  LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF level IS NULL OR level NOT IN ('producer', 'worker', 'operator', 'monitor') THEN
    RAISE EXCEPTION 'unknown access level'
      USING ERRCODE = CASE WHEN level IS NULL THEN '22004' ELSE '22023' END,
            DETAIL = format('The level is %s.', coalesce(level, 'null')),
            HINT = 'Use producer, worker, operator or monitor.';
  END IF;
END $$;
COMMENT ON FUNCTION faultline.check_level(text) IS 'Internal: raises 22023 for an unknown access level, 22004 for null.';

CREATE FUNCTION faultline.check_role(role_name name) RETURNS void
  LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF role_name IS NULL THEN
    RAISE EXCEPTION 'role must be an existing role'
      USING ERRCODE = '22004', DETAIL = 'It is null, or the role was dropped.', HINT = 'Pass the name of a role.';
  END IF;
END $$;
COMMENT ON FUNCTION faultline.check_role(name) IS 'Internal: raises 22004 unless the role was found.';

CREATE FUNCTION faultline.grant_access(role regrole, level text, queues text[] = NULL) RETURNS void
  LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  granted regprocedure;
  granted_queue text;
  granted_role name := (SELECT r.rolname FROM pg_roles r WHERE r.oid = role);
  monitor_columns CONSTANT text := 'job_id, queue, kind, state, priority, attempt, max_attempts, next_run_at, lease_owner, lease_expires_at, enqueued_at, finished_at, last_error';
  monitor_dead_columns CONSTANT text := 'job_id, queue, kind, failed_at, reason, last_error, attempt, max_attempts, priority, generation, enqueued_at';
BEGIN
  PERFORM faultline.check_level(level);
  PERFORM faultline.check_role(granted_role);
  FOREACH granted_queue IN ARRAY coalesce(queues, '{}') LOOP
    PERFORM faultline.require_queue_id(granted_queue);
  END LOOP;
  IF queues IS NULL THEN
    queues := ARRAY[NULL::text];
  END IF;
  LOCK TABLE faultline.queue_access IN SHARE ROW EXCLUSIVE MODE;  -- one change of grants at a time
  INSERT INTO faultline.queue_access
    SELECT granted_role, grant_access.level, q FROM unnest(queues) AS q
    ON CONFLICT DO NOTHING;
  EXECUTE format('GRANT USAGE ON SCHEMA faultline TO %s', role);
  FOR granted IN SELECT faultline.level_functions(level) LOOP
    EXECUTE format('GRANT EXECUTE ON ROUTINE %s TO %s', granted, role);
  END LOOP;
  EXECUTE format('GRANT SELECT ON faultline.stat_queues, faultline.stat_events, faultline.stat_latency, faultline.stat_activity, faultline.stat_workers, faultline.attempts, faultline.stat_maintenance TO %s', role);
  IF level = 'monitor' THEN
    EXECUTE format('GRANT SELECT (%s) ON faultline.jobs TO %s', monitor_columns, role);
    EXECUTE format('GRANT SELECT (%s) ON faultline.dead_letters TO %s', monitor_dead_columns, role);
  ELSE
    EXECUTE format('GRANT SELECT ON faultline.jobs, faultline.dead_letters, faultline.transactions TO %s', role);
  END IF;
  IF level = 'operator' THEN
    EXECUTE format('GRANT SELECT ON faultline.accounts, faultline.postings TO %s', role);
  END IF;
  IF level IN ('operator', 'monitor') THEN
    EXECUTE format('GRANT SELECT ON faultline.stat_audit, faultline.stat_ledger, faultline.stat_memory, faultline.findings TO %s', role);
  END IF;
END $$;
COMMENT ON FUNCTION faultline.grant_access(regrole, text, text[]) IS
  'Grants a role a level (producer, worker, operator or monitor) on the named queues, or on all queues for null. Only owners of the extension may call it; call it again after an upgrade that brings new functions.';

CREATE FUNCTION faultline.revoke_access(role regrole, level text, queues text[] = NULL) RETURNS void
  LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  revoked regprocedure;
  remaining text;
  granted_role name := (SELECT r.rolname FROM pg_roles r WHERE r.oid = role);
  remaining_levels text[];
BEGIN
  PERFORM faultline.check_level(level);
  PERFORM faultline.check_role(granted_role);
  LOCK TABLE faultline.queue_access IN SHARE ROW EXCLUSIVE MODE;  -- one change of grants at a time
  IF queues IS NOT NULL AND EXISTS (SELECT FROM faultline.queue_access a
       WHERE a.role_name = granted_role AND a.level = revoke_access.level AND a.queue IS NULL) THEN
    RAISE EXCEPTION 'role % is % of all queues', role, level
      USING ERRCODE = '55000', DETAIL = 'The level cannot be taken from it for single queues.',
            HINT = 'Revoke the level altogether, then grant it on the queues that remain.';
  END IF;
  DELETE FROM faultline.queue_access a
   WHERE a.role_name = granted_role AND a.level = revoke_access.level
     AND (queues IS NULL OR a.queue = ANY (queues));
  IF EXISTS (SELECT FROM faultline.queue_access a
              WHERE a.role_name = granted_role AND a.level = revoke_access.level) THEN
    RETURN;
  END IF;
  -- The last grant of the level is gone: take its rights, then give the other levels theirs again.
  remaining_levels := ARRAY(SELECT DISTINCT a.level FROM faultline.queue_access a
                             WHERE a.role_name = granted_role);
  FOR revoked IN SELECT faultline.level_functions(revoke_access.level) LOOP
    EXECUTE format('REVOKE EXECUTE ON ROUTINE %s FROM %s', revoked, role);
  END LOOP;
  EXECUTE format('REVOKE ALL ON faultline.jobs, faultline.dead_letters, faultline.stat_queues, faultline.stat_events, faultline.stat_latency, faultline.stat_activity, faultline.stat_workers, faultline.stat_ledger, faultline.stat_memory, faultline.attempts, faultline.stat_maintenance, faultline.transactions, faultline.accounts, faultline.postings, faultline.stat_audit, faultline.findings FROM %s', role);
  IF remaining_levels = '{}' THEN
    EXECUTE format('REVOKE USAGE ON SCHEMA faultline FROM %s', role);
  END IF;
  FOREACH remaining IN ARRAY remaining_levels LOOP
    PERFORM faultline.grant_access(role, remaining, NULL::text[])
       FROM faultline.queue_access a
      WHERE a.role_name = granted_role AND a.level = remaining AND a.queue IS NULL
      LIMIT 1;
    PERFORM faultline.grant_access(role, remaining, array_agg(a.queue))
       FROM faultline.queue_access a
       JOIN faultline.queues q ON q.name = a.queue AND q.dropped_at IS NULL
      WHERE a.role_name = granted_role AND a.level = remaining
     HAVING count(*) > 0;
  END LOOP;
END $$;
COMMENT ON FUNCTION faultline.revoke_access(regrole, text, text[]) IS
  'Takes back what grant_access() granted: the level on the named queues, or everywhere for null. Only owners of the extension may call it.';
