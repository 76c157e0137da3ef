-- Reconciliation: brings every open transaction to its end.  The rules are core/ledger.hpp; here are
-- their rows.

CREATE FUNCTION faultline.reconcile_rule(job_situation text, entry_situation text, state "char") RETURNS text
  LANGUAGE c IMMUTABLE AS 'MODULE_PATHNAME', 'faultline_reconcile_rule';
COMMENT ON FUNCTION faultline.reconcile_rule(text, text, "char") IS
  'Internal: the one rule (R0 to R5) that applies to a transaction in this state; null when there is nothing to do.';

-- Of each transaction: where its job is, whether its entry says the same, and the rule that follows.
CREATE VIEW faultline.ledger_situations AS
  SELECT s.*, faultline.reconcile_rule(s.job_situation, s.entry_situation, s.state) AS rule
    FROM (
      SELECT t.transaction_id, t.job_id, t.state,
             CASE WHEN t.job_id = 0 THEN 'gone'
                  WHEN coalesce(j.generation, f.generation, d.generation) > t.generation THEN 'replaced'
                  WHEN j.state = 'r' AND j.lease_expires_at <= faultline.clock_now()
                       AND faultline.lease_end(j.job_id, j.lease_token, j.claimed_at, j.lease_expires_at, j.queue_id,
                                               j.lease_milliseconds) <= faultline.clock_now() THEN 'lease_ended'
                  WHEN j.state = 'r' THEN 'running'
                  WHEN j.state IS NOT NULL THEN 'queued'
                  WHEN f.job_id IS NOT NULL THEN 'failed'
                  WHEN d.state = 's' THEN 'succeeded'
                  WHEN d.state IS NOT NULL THEN 'cancelled'
                  ELSE 'gone' END AS job_situation,
             CASE WHEN e.entry_id IS NULL THEN 'none'
                  WHEN (e.job_id, e.debit, e.credit, e.amount, e.asset)
                       = (t.job_id, t.debit, t.credit, t.amount, t.asset) THEN 'equal'
                  ELSE 'different' END AS entry_situation
        FROM faultline.ledger_transactions t
        LEFT JOIN faultline.ledger_entries e ON e.transaction_id = t.transaction_id
        LEFT JOIN faultline.live_jobs j ON j.job_id = t.job_id
        LEFT JOIN faultline.failed_jobs f ON f.job_id = t.job_id
        LEFT JOIN LATERAL (SELECT c.state, c.generation FROM faultline.finished_jobs c
                            WHERE c.job_id = t.job_id LIMIT 1) d ON true
    ) s;
COMMENT ON VIEW faultline.ledger_situations IS 'Internal: what reconciliation sees of each transaction, and the rule that applies.';
COMMENT ON COLUMN faultline.ledger_situations.transaction_id IS 'The transaction.';
COMMENT ON COLUMN faultline.ledger_situations.job_id IS 'Its job; 0 for a reversal.';
COMMENT ON COLUMN faultline.ledger_situations.state IS 'Its state by letter.';
COMMENT ON COLUMN faultline.ledger_situations.job_situation IS 'queued, running, lease_ended, succeeded, failed, cancelled, replaced (redriven since) or gone.';
COMMENT ON COLUMN faultline.ledger_situations.entry_situation IS 'none, equal or different.';
COMMENT ON COLUMN faultline.ledger_situations.rule IS 'What reconciliation does with it, R0 to R5; null for nothing.';

CREATE FUNCTION faultline.record_finding(code text, subject text, evidence text) RETURNS void
  LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
  INSERT INTO faultline.ledger_findings (found_at, last_seen_at, times_seen, code, subject, evidence)
  VALUES (faultline.clock_now(), faultline.clock_now(), 1, record_finding.code, record_finding.subject,
          record_finding.evidence)
  ON CONFLICT (code, subject) WHERE resolved_at IS NULL
  DO UPDATE SET last_seen_at = excluded.last_seen_at, times_seen = ledger_findings.times_seen + 1,
                evidence = excluded.evidence
$$;
COMMENT ON FUNCTION faultline.record_finding(text, text, text) IS
  'Internal: notes something that does not agree and that nobody repairs by guessing.';

-- Moves transactions by one rule.  Each is locked, unless somebody else has it, and judged again
-- under its lock; what has become true of an ended job and of an entry stays true.
CREATE FUNCTION faultline.reconcile_by_rule(wanted_rule text, transaction_ids text[]) RETURNS bigint
  LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  locked_ids text[];
  moved bigint;
BEGIN
  locked_ids := ARRAY(SELECT t.transaction_id FROM faultline.ledger_transactions t
                       WHERE t.transaction_id = ANY (reconcile_by_rule.transaction_ids)
                       ORDER BY t.transaction_id FOR NO KEY UPDATE SKIP LOCKED);
  UPDATE faultline.ledger_transactions t
     SET state = CASE reconcile_by_rule.wanted_rule WHEN 'R0' THEN 'a' WHEN 'R3' THEN 'f' ELSE 'r' END,
         failure_reason = CASE reconcile_by_rule.wanted_rule WHEN 'R3' THEN 'its job ended without applying it' END,
         updated_at = faultline.clock_now()
    FROM faultline.ledger_situations s
   WHERE t.transaction_id = ANY (locked_ids) AND s.transaction_id = t.transaction_id
     AND s.rule = reconcile_by_rule.wanted_rule;
  GET DIAGNOSTICS moved = ROW_COUNT;
  RETURN moved;
END $$;
COMMENT ON FUNCTION faultline.reconcile_by_rule(text, text[]) IS
  'Internal: applies R0, R3 or R4 to those of the transactions to which it still applies; returns how many.';

-- The whole batch in one subtransaction; when that fails each transaction gets its own, so that one
-- bad row stops nobody.
CREATE FUNCTION faultline.reconcile_batch(wanted_rule text, transaction_ids text[]) RETURNS bigint
  LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  one_id text;
  moved bigint := 0;
BEGIN
  BEGIN
    RETURN faultline.reconcile_by_rule(wanted_rule, transaction_ids);
  EXCEPTION
    -- Serialization failures, locks and resources that could not be had say nothing of the row.
    WHEN transaction_rollback OR lock_not_available OR insufficient_resources THEN RAISE;
    WHEN OTHERS THEN NULL;
  END;
  FOREACH one_id IN ARRAY transaction_ids LOOP
    BEGIN
      moved := moved + faultline.reconcile_by_rule(wanted_rule, ARRAY[one_id]);
    EXCEPTION
      WHEN transaction_rollback OR lock_not_available OR insufficient_resources THEN RAISE;
      WHEN OTHERS THEN
        PERFORM faultline.record_finding('reconcile_error', one_id, wanted_rule || ': ' || SQLERRM);
    END;
  END LOOP;
  RETURN moved;
END $$;
COMMENT ON FUNCTION faultline.reconcile_batch(text, text[]) IS
  'Internal: reconcile_by_rule() for many; a row that raises becomes a finding.';

-- Rows that R5 reports stay, so each rule has a batch of its own.  In the order of ids, so that two
-- who record the same findings cannot deadlock.
CREATE FUNCTION faultline.reconcile_transactions(max_rows integer, states "char"[])
  RETURNS TABLE (rule text, rows bigint)
  LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  ids text[];
  looked_at record;
BEGIN
  FOR looked_at IN
    SELECT * FROM (VALUES ('R0', ARRAY['i'::"char"]), ('R3', ARRAY['i'::"char"]),
                          ('R4', ARRAY['a'::"char"]), ('R5', ARRAY['i'::"char", 'a'])) AS r (rule, states)
  LOOP
    ids := ARRAY(SELECT found.transaction_id
                   FROM (SELECT s.transaction_id FROM faultline.ledger_situations s
                          WHERE s.state IN ('i', 'a') AND s.state = ANY (looked_at.states)
                            AND s.state = ANY (reconcile_transactions.states) AND s.rule = looked_at.rule
                          LIMIT max_rows) found
                  ORDER BY found.transaction_id);
    rule := looked_at.rule;
    rows := cardinality(ids);
    IF rule = 'R5' THEN
      PERFORM faultline.record_finding('R5', s.transaction_id,
                format('state %s, job %s, entry %s', s.state, s.job_situation, s.entry_situation))
         FROM (SELECT f.* FROM faultline.ledger_situations f
                WHERE f.transaction_id = ANY (ids) AND f.rule = 'R5' ORDER BY f.transaction_id) s;
    ELSIF rows > 0 THEN
      rows := faultline.reconcile_batch(rule, ids);
    END IF;
    RETURN NEXT;
  END LOOP;
END $$;
COMMENT ON FUNCTION faultline.reconcile_transactions(integer, "char"[]) IS
  'Internal: one bounded batch of each rule for open transactions in the states given by letter (i, a).';

CREATE FUNCTION faultline.settle_expired(max_jobs integer) RETURNS TABLE (rule text, rows bigint)
  LANGUAGE c VOLATILE ROWS 2 AS 'MODULE_PATHNAME', 'faultline_settle_expired';
COMMENT ON FUNCTION faultline.settle_expired(integer) IS
  'Internal: expire_leases(), told apart into R1 (jobs that have their entry: succeeded) and R2 (all others).';

CREATE FUNCTION faultline.reconcile(max_rows integer = 1000) RETURNS TABLE (rule text, rows bigint)
  LANGUAGE c VOLATILE ROWS 6 AS 'MODULE_PATHNAME', 'faultline_call_as_owner';
COMMENT ON FUNCTION faultline.reconcile(integer) IS
  'Brings jobs and ledger transactions to their end, at most max_rows (1 to 100000) by each rule, and returns how many each moved. R0: INIT with an equal entry becomes APPLIED. R1: a job whose lease has ended and that has its entry succeeded. R2: one without is retried, cancelled or failed for good. R3: INIT of a job that has ended becomes FAILED. R4: APPLIED of a job that succeeded becomes RECONCILED. R5: anything else that does not agree is written to the findings. Again: changes nothing.';
CREATE FUNCTION faultline.reconcile_as_owner(max_rows integer) RETURNS TABLE (rule text, rows bigint)
  LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM faultline.check_setting(max_rows BETWEEN 1 AND 100000, 'max_rows', max_rows::text, '1 to 100000');
  -- Jobs first: a job's state decides its transaction, so one pass is enough after a crash.
  RETURN QUERY SELECT * FROM faultline.settle_expired(max_rows);
  RETURN QUERY SELECT * FROM faultline.reconcile_transactions(max_rows, '{i,a}');
END $$;
COMMENT ON FUNCTION faultline.reconcile_as_owner(integer) IS
  'Internal: what reconcile() does once the caller was found to be an operator.';

-- What maintenance does: APPLIED in every round.  INIT is decided by whoever ends its job; looking
-- for one that was not costs a look at every waiting job that declared something, so seldom.
CREATE FUNCTION faultline.reconcile_round(max_rows integer) RETURNS bigint
  LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  look_every CONSTANT interval := '1 minute';
  now_at timestamptz := faultline.clock_now();
  states "char"[] := '{a}';
  moved bigint;
  declared bigint;
BEGIN
  IF faultline.look_is_due('reconcile_declared', look_every, now_at) THEN
    states := '{i,a}';
  END IF;
  SELECT sum(r.rows) FILTER (WHERE r.rule <> 'R5'), sum(r.rows) FILTER (WHERE r.rule IN ('R0', 'R3'))
    INTO moved, declared
    FROM faultline.reconcile_transactions(max_rows, states) r;
  IF 'i' = ANY (states) AND declared < max_rows THEN
    PERFORM faultline.record_look('reconcile_declared', now_at);
  END IF;
  RETURN moved;
END $$;
COMMENT ON FUNCTION faultline.reconcile_round(integer) IS
  'Internal: the maintenance duty reconcile; returns how many transactions it moved.';
