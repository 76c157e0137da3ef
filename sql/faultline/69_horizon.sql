-- Who keeps the snapshot horizon back: as long as one of them does, vacuum removes no row that died
-- since, and every claim has to pass over the dead ones.

CREATE FUNCTION faultline.horizon_holders()
  RETURNS TABLE (holder text, transactions bigint, since timestamptz, cure text)
  LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY
  SELECT format('session %s%s (%s, %s)', a.pid, coalesce(' of ' || a.usename, ''),
                coalesce(nullif(a.application_name, ''), a.backend_type), coalesce(a.state, 'no state')),
         age(a.backend_xmin)::bigint, a.xact_start, format('SELECT pg_terminate_backend(%s);', a.pid)
    FROM pg_stat_activity a
   WHERE a.backend_xmin IS NOT NULL AND a.pid <> pg_backend_pid() AND a.backend_type NOT IN ('walsender', 'autovacuum worker')
     AND (a.datname = current_database() OR a.datname IS NULL)
  UNION ALL
  SELECT format('standby %s by hot_standby_feedback', coalesce(nullif(r.application_name, ''), r.pid::text)),
         age(r.backend_xmin)::bigint, NULL::timestamptz,
         'SELECT * FROM pg_stat_activity WHERE backend_xmin IS NOT NULL; -- on that standby'
    FROM pg_stat_replication r WHERE r.backend_xmin IS NOT NULL
  UNION ALL
  SELECT format('replication slot %s%s', s.slot_name, CASE WHEN s.active THEN '' ELSE ', which nobody uses' END),
         greatest(age(s.xmin), age(s.catalog_xmin))::bigint, NULL,
         format('SELECT pg_drop_replication_slot(%L); -- if it is not needed', s.slot_name)
    FROM pg_replication_slots s WHERE s.xmin IS NOT NULL OR s.catalog_xmin IS NOT NULL
  UNION ALL
  SELECT format('prepared transaction %s of %s', p.gid, p.owner), age(p.transaction)::bigint, p.prepared,
         format('ROLLBACK PREPARED %L; -- or COMMIT PREPARED, as its coordinator decided', p.gid)
    FROM pg_prepared_xacts p WHERE p.database = current_database()
  ORDER BY 2 DESC;
END $$;
COMMENT ON FUNCTION faultline.horizon_holders() IS
  'Internal: sessions, standbys, replication slots and prepared transactions that keep the snapshot horizon back, the oldest first; since when, if that is known, and the command that ends it.';
