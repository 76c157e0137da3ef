-- The rolling audit: maintenance looks at a bounded window of rows in each round, with the same
-- queries as check_invariants(), and goes round all of them for ever.  What it finds is a finding.

CREATE TABLE faultline.audit_progress (
  rounds bigint NOT NULL DEFAULT 0,
  rows_checked bigint NOT NULL DEFAULT 0,
  rows_skipped bigint NOT NULL DEFAULT 0,
  violations bigint NOT NULL DEFAULT 0,
  last_run_at timestamptz,
  round_started_at timestamptz,
  part text COLLATE "C" PRIMARY KEY,
  position text[]
);
COMMENT ON TABLE faultline.audit_progress IS
  'How far the rolling audit has come with each kind of row: position is the key of the last row looked at, null at the start of a round. Not part of a dump.';
INSERT INTO faultline.audit_progress (part)
  VALUES ('jobs'), ('entries'), ('transactions'), ('keys'), ('accounts');

-- The end of the window of rows_max rows that begins behind "after", null when it reaches to the end,
-- and how many rows that are.  A job's attempts and events are not divided.
CREATE FUNCTION faultline.audit_window_of_jobs(
  after_id bigint, rows_max integer, OUT up_to text[], OUT checked bigint
) LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
  SET plan_cache_mode = force_custom_plan SET jit = off AS $$
DECLARE
  up_to_id bigint;
BEGIN
  SELECT min(nth.job_id) INTO up_to_id FROM (
    (SELECT t.job_id FROM faultline.live_jobs t WHERE t.job_id > after_id
      ORDER BY t.job_id OFFSET rows_max - 1 LIMIT 1)
    UNION ALL
    (SELECT t.job_id FROM faultline.finished_jobs t WHERE t.job_id > after_id
      ORDER BY t.job_id OFFSET rows_max - 1 LIMIT 1)
    UNION ALL
    (SELECT t.job_id FROM faultline.failed_jobs t WHERE t.job_id > after_id
      ORDER BY t.job_id OFFSET rows_max - 1 LIMIT 1)
    UNION ALL
    (SELECT t.job_id FROM faultline.ended_attempts t WHERE t.job_id > after_id
      ORDER BY t.job_id OFFSET rows_max - 1 LIMIT 1)
    UNION ALL
    (SELECT t.job_id FROM faultline.job_events t WHERE t.job_id > after_id
      ORDER BY t.job_id OFFSET rows_max - 1 LIMIT 1)) AS nth;
  IF up_to_id IS NOT NULL THEN
    up_to := ARRAY[up_to_id::text];
  END IF;
  SELECT count(*) INTO checked FROM faultline.job_rows j
   WHERE j.job_id > after_id AND (up_to_id IS NULL OR j.job_id <= up_to_id);
END $$;
COMMENT ON FUNCTION faultline.audit_window_of_jobs(bigint, integer) IS
  'Internal: where the window of jobs ends that begins behind after_id, null when it reaches to the end; and how many jobs it has.';

-- What accounts cost is their entries: so many in all, as their versions count them.
CREATE FUNCTION faultline.audit_window_of_accounts(
  after_account text, after_asset text, rows_max integer, entries_max bigint,
  OUT up_to text[], OUT checked bigint, OUT skipped bigint
) LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
  SET plan_cache_mode = force_custom_plan SET jit = off AS $$
DECLARE
  found_count bigint;
  window_count bigint;
BEGIN
  WITH n AS MATERIALIZED (
    SELECT c.account, c.asset, c.balance IS NOT NULL AS maintained, c.version FROM faultline.ledger_accounts c
     WHERE (c.account, c.asset) > (after_account COLLATE "C", after_asset COLLATE "C")
     ORDER BY c.account, c.asset LIMIT rows_max
  ), a AS (
    SELECT n.*, coalesce(sum(n.version) FILTER (WHERE n.version <= entries_max)
                           OVER (ORDER BY n.account, n.asset ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING),
                         0) AS entries_before
      FROM n
  ), w AS MATERIALIZED (
    SELECT a.* FROM a WHERE a.entries_before < entries_max
  )
  SELECT (SELECT ARRAY[l.account, l.asset] FROM w l ORDER BY l.account DESC, l.asset DESC LIMIT 1),
         count(*) FILTER (WHERE w.maintained AND w.version <= entries_max),
         count(*) FILTER (WHERE w.maintained AND w.version > entries_max),
         count(*), (SELECT count(*) FROM n)
    INTO up_to, checked, skipped, window_count, found_count FROM w;
  IF window_count = found_count AND found_count < rows_max THEN
    up_to := NULL;
  END IF;
END $$;
COMMENT ON FUNCTION faultline.audit_window_of_accounts(text, text, integer, bigint) IS
  'Internal: where the window of accounts ends that begins behind the given one, null when it reaches to the end; how many of it are compared with their entries, and how many are not because they have more than entries_max.';

CREATE FUNCTION faultline.audit_window(
  part text, after text[], rows_max integer, entries_max bigint,
  OUT up_to text[], OUT checked bigint, OUT skipped bigint
) LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
  SET plan_cache_mode = force_custom_plan SET jit = off AS $$
BEGIN
  skipped := 0;
  CASE part
  WHEN 'jobs' THEN
    SELECT w.up_to, w.checked INTO up_to, checked
      FROM faultline.audit_window_of_jobs(coalesce(after[1]::bigint, -9223372036854775808), rows_max) w;
    RETURN;
  WHEN 'accounts' THEN
    SELECT w.up_to, w.checked, w.skipped INTO up_to, checked, skipped
      FROM faultline.audit_window_of_accounts(coalesce(after[1], ''), coalesce(after[2], ''),
                                              rows_max, entries_max) w;
    RETURN;
  WHEN 'entries' THEN
    SELECT array_agg(w.entry_id::text ORDER BY w.entry_id DESC), count(*) INTO up_to, checked
      FROM (SELECT e.entry_id FROM faultline.ledger_entries e
             WHERE e.entry_id > coalesce(after[1]::bigint, -9223372036854775808)
             ORDER BY e.entry_id LIMIT rows_max) w;
    up_to := up_to[1:1];
  WHEN 'transactions' THEN
    SELECT ARRAY[max(w.transaction_id)], count(*) INTO up_to, checked
      FROM (SELECT t.transaction_id FROM faultline.ledger_transactions t
             WHERE t.transaction_id > coalesce(after[1], '') COLLATE "C"
             ORDER BY t.transaction_id LIMIT rows_max) w;
  WHEN 'keys' THEN
    SELECT ARRAY[max(w.queue_id)::text, max(w.key) FILTER (WHERE w.is_last)], count(*) INTO up_to, checked
      FROM (SELECT k.queue_id, k.key, lead(k.key) OVER (ORDER BY k.queue_id, k.key) IS NULL AS is_last
              FROM (SELECT i.queue_id, i.key FROM faultline.idempotency_keys i
                     WHERE (i.queue_id, i.key) > (coalesce(after[1]::integer, 0), coalesce(after[2], '') COLLATE "C")
                     ORDER BY i.queue_id, i.key LIMIT rows_max) k) w;
  END CASE;
  IF checked < rows_max THEN
    up_to := NULL;
  END IF;
END $$;
COMMENT ON FUNCTION faultline.audit_window(text, text[], integer, bigint) IS
  'Internal: where the next window of one part of the audit ends, null when it reaches to the end; how many rows it has, and how many it leaves out.';

CREATE FUNCTION faultline.audit_violations(
  part text, after text[], up_to text[], grace interval, entries_max bigint
) RETURNS TABLE (invariant text, subject text, detail text)
  LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  CASE part
  WHEN 'jobs' THEN
    RETURN QUERY SELECT * FROM faultline.invariants_of_live_jobs(after[1]::bigint, up_to[1]::bigint, grace);
    RETURN QUERY SELECT * FROM faultline.invariants_of_jobs(after[1]::bigint, up_to[1]::bigint);
    IF current_setting('faultline.trace_events')::boolean THEN
      RETURN QUERY SELECT * FROM faultline.invariants_of_events(after[1]::bigint, up_to[1]::bigint);
    END IF;
  WHEN 'entries' THEN
    RETURN QUERY SELECT * FROM faultline.invariants_of_entries(after[1]::bigint, up_to[1]::bigint, grace);
  WHEN 'transactions' THEN
    RETURN QUERY SELECT * FROM faultline.invariants_of_transactions(after[1], up_to[1], grace);
  WHEN 'keys' THEN
    RETURN QUERY SELECT * FROM faultline.invariants_of_keys(after[1]::integer, after[2], up_to[1]::integer, up_to[2]);
  WHEN 'accounts' THEN
    RETURN QUERY SELECT * FROM faultline.invariants_of_accounts(after[1], after[2], up_to[1], up_to[2], entries_max);
  END CASE;
END $$;
COMMENT ON FUNCTION faultline.audit_violations(text, text[], text[], interval, bigint) IS
  'Internal: violations within a window of one part of the audit.';

-- One window of each part.  A part that another session audits is left to it.
CREATE FUNCTION faultline.audit_windows(rows_max integer) RETURNS bigint
  LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  grace CONSTANT interval := '1 hour';
  entries_max CONSTANT bigint := 10000;
  findings_max CONSTANT integer := 100;  -- what repeats a hundredfold is one trouble
  now_at timestamptz := faultline.clock_now();
  progress faultline.audit_progress;
  next_window record;
  violation record;
  found_count bigint;
  found_total bigint := 0;
BEGIN
  FOR progress IN SELECT p.* FROM faultline.audit_progress p ORDER BY p.part FOR UPDATE SKIP LOCKED LOOP
    next_window := faultline.audit_window(progress.part, progress.position, rows_max, entries_max);
    found_count := 0;
    FOR violation IN
      SELECT * FROM faultline.audit_violations(progress.part, progress.position, next_window.up_to, grace,
                                               entries_max) LIMIT findings_max
    LOOP
      PERFORM faultline.record_finding(violation.invariant, violation.subject, violation.detail);
      found_count := found_count + 1;
    END LOOP;
    UPDATE faultline.audit_progress p
       SET position = next_window.up_to,
           rounds = p.rounds + (next_window.up_to IS NULL)::integer,
           rows_checked = p.rows_checked + next_window.checked,
           rows_skipped = next_window.skipped + CASE WHEN p.position IS NULL THEN 0 ELSE p.rows_skipped END,
           violations = p.violations + found_count,
           last_run_at = now_at,
           round_started_at = CASE WHEN p.position IS NULL THEN now_at ELSE p.round_started_at END
     WHERE p.part = progress.part;
    found_total := found_total + found_count;
  END LOOP;
  RETURN found_total;
END $$;
COMMENT ON FUNCTION faultline.audit_windows(integer) IS
  'Internal: looks at the next window of rows_max rows of each part, notes what it finds, and returns how many violations that were.';

CREATE FUNCTION faultline.audit_round() RETURNS bigint
  LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  rows_max CONSTANT integer := 1000;
  now_at timestamptz := faultline.clock_now();
  every interval := current_setting('faultline.audit_interval')::interval;
BEGIN
  IF every = interval '0' OR EXISTS (SELECT FROM faultline.audit_progress p
                                      WHERE p.last_run_at > now_at - every AND p.last_run_at <= now_at) THEN
    RETURN 0;
  END IF;
  RETURN faultline.audit_windows(rows_max);
END $$;
COMMENT ON FUNCTION faultline.audit_round() IS
  'Internal: the maintenance duty audit; does nothing when the last one is not faultline.audit_interval ago. Returns how many violations it found.';

CREATE VIEW faultline.stat_audit WITH (security_barrier) AS
  SELECT p.part, array_to_string(p.position, ' ') AS position, p.rounds, p.round_started_at, p.last_run_at,
         p.rows_checked, p.rows_skipped, p.violations,
         (SELECT count(*) FROM faultline.ledger_findings f WHERE f.resolved_at IS NULL) AS open_findings
    FROM faultline.audit_progress p;
COMMENT ON VIEW faultline.stat_audit IS 'The rolling audit of maintenance: one row per kind of rows, with how far it has come.';
COMMENT ON COLUMN faultline.stat_audit.part IS 'jobs (with attempts and events), entries, transactions, keys or accounts.';
COMMENT ON COLUMN faultline.stat_audit.position IS 'Key of the last row looked at in this round; null when a round is to begin.';
COMMENT ON COLUMN faultline.stat_audit.rounds IS 'How often it has looked at all rows.';
COMMENT ON COLUMN faultline.stat_audit.round_started_at IS 'When it began its current, or last, round.';
COMMENT ON COLUMN faultline.stat_audit.last_run_at IS 'When it looked at a window last.';
COMMENT ON COLUMN faultline.stat_audit.rows_checked IS 'Rows looked at in all rounds; of accounts, those whose balance was compared with their entries.';
COMMENT ON COLUMN faultline.stat_audit.rows_skipped IS 'Accounts of this round that have too many entries for the rolling audit; only check_invariants() compares their balance.';
COMMENT ON COLUMN faultline.stat_audit.violations IS 'Violations found in all rounds, those found again counted again.';
COMMENT ON COLUMN faultline.stat_audit.open_findings IS 'Findings of all parts, and of reconciliation, that nobody has resolved yet.';

CREATE VIEW faultline.findings WITH (security_barrier) AS
  SELECT f.finding_id, f.code, f.subject, f.evidence, f.found_at, f.last_seen_at, f.times_seen,
         f.resolved_at, f.resolution
    FROM faultline.ledger_findings f;
COMMENT ON VIEW faultline.findings IS
  'What reconciliation and the rolling audit found that does not agree and that they did not repair by guessing, open or resolved.';
COMMENT ON COLUMN faultline.findings.finding_id IS 'Key of the finding.';
COMMENT ON COLUMN faultline.findings.code IS 'R5 and reconcile_error: from reconciliation. any other: from the audit, the name of the invariant.';
COMMENT ON COLUMN faultline.findings.subject IS 'What it is about: the id of a job or transaction, an account.';
COMMENT ON COLUMN faultline.findings.evidence IS 'What did not agree when it was seen last.';
COMMENT ON COLUMN faultline.findings.found_at IS 'When it was seen first.';
COMMENT ON COLUMN faultline.findings.last_seen_at IS 'When it was seen last.';
COMMENT ON COLUMN faultline.findings.times_seen IS 'How often it was seen.';
COMMENT ON COLUMN faultline.findings.resolved_at IS 'When resolve_finding() was called; null while it is open.';
COMMENT ON COLUMN faultline.findings.resolution IS 'What the operator found out or did.';

CREATE FUNCTION faultline.resolve_finding(finding_id bigint, resolution text) RETURNS void
  LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'faultline_call_as_owner';
COMMENT ON FUNCTION faultline.resolve_finding(bigint, text) IS
  'Closes a finding with a note of what it was, 1 to 1024 bytes; when the same is seen again, it is a new finding. Again with the same note: does nothing; with another: 55000. Raises 22023 for an unknown finding.';
CREATE FUNCTION faultline.resolve_finding_as_owner(finding_id bigint, resolution text) RETURNS void
  LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  finding faultline.ledger_findings;
BEGIN
  PERFORM faultline.check_name(resolve_finding_as_owner.resolution, 'resolution', 1024);
  SELECT f.* INTO finding FROM faultline.ledger_findings f
   WHERE f.finding_id = resolve_finding_as_owner.finding_id FOR UPDATE;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'finding % does not exist', coalesce(resolve_finding_as_owner.finding_id::text, 'null')
      USING ERRCODE = CASE WHEN resolve_finding_as_owner.finding_id IS NULL THEN '22004' ELSE '22023' END,
            DETAIL = 'There is no finding with this id.', HINT = 'SELECT * FROM faultline.findings shows them all.';
  ELSIF finding.resolved_at IS NULL THEN
    UPDATE faultline.ledger_findings f
       SET resolved_at = faultline.clock_now(), resolution = resolve_finding_as_owner.resolution
     WHERE f.finding_id = finding.finding_id;
  ELSIF finding.resolution IS DISTINCT FROM resolve_finding_as_owner.resolution THEN
    RAISE EXCEPTION 'finding % is resolved already', finding.finding_id
      USING ERRCODE = '55000', DETAIL = format('It was resolved at %s with another note.', finding.resolved_at),
            HINT = 'What is resolved stays so; if it is seen again, it is a new finding.';
  END IF;
END $$;
COMMENT ON FUNCTION faultline.resolve_finding_as_owner(bigint, text) IS
  'Internal: what resolve_finding() does once the caller was found to be an operator.';

-- The guards that must fire for everybody.  Restoring data alone with --disable-triggers switches them
-- back to firing for ordinary sessions only.
CREATE FUNCTION faultline.weak_guards() RETURNS TABLE (guard text, cure text)
  LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY
  SELECT g.table_name || '.' || g.trigger_name || CASE WHEN t.oid IS NULL THEN ' is missing' ELSE '' END,
         CASE WHEN t.oid IS NOT NULL THEN
           format('ALTER TABLE faultline.%I ENABLE ALWAYS TRIGGER %I;', g.table_name, g.trigger_name) END
    FROM (VALUES ('ledger_accounts', 'append_only'), ('ledger_accounts', 'no_truncate'),
                 ('ledger_entries', 'append_only'), ('ledger_entries', 'entry_agrees'),
                 ('ledger_entries', 'no_truncate'), ('ledger_transactions', 'append_only'),
                 ('ledger_transactions', 'entry_agrees'), ('ledger_transactions', 'legal_step'),
                 ('ledger_transactions', 'no_truncate'), ('instance', 'policy_changed'),
                 ('queue_access', 'policy_changed'), ('queues', 'policy_changed')) AS g (table_name, trigger_name)
    LEFT JOIN pg_trigger t ON t.tgrelid = format('faultline.%I', g.table_name)::regclass
                          AND t.tgname = g.trigger_name AND NOT t.tgisinternal
   WHERE t.tgenabled IS DISTINCT FROM 'A'
   ORDER BY g.table_name, g.trigger_name;
END $$;
COMMENT ON FUNCTION faultline.weak_guards() IS
  'Internal: triggers of the extension that are missing or do not fire for everybody, each with the command that makes it do so.';
