-- Invariants of the ledger: entries, transactions, accounts.  Windows as in 75_invariants.sql.

CREATE FUNCTION faultline.invariants_of_entries(after_id bigint, up_to_id bigint, grace interval)
  RETURNS TABLE (invariant text, subject text, detail text)
  LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
  SET plan_cache_mode = force_custom_plan SET jit = off AS $$
BEGIN
  RETURN QUERY
  WITH e AS MATERIALIZED (
    SELECT n.* FROM faultline.ledger_entries n
     WHERE (after_id IS NULL OR n.entry_id > after_id) AND (up_to_id IS NULL OR n.entry_id <= up_to_id)
  ), of_transaction AS MATERIALIZED (
    SELECT e.entry_id, e.transaction_id, e.created_at, t.state, t.created_at AS declared_at,
           t.transaction_id IS NOT NULL AS declared,
           (e.job_id, e.debit, e.credit, e.amount, e.asset)
             IS NOT DISTINCT FROM (t.job_id, t.debit, t.credit, t.amount, t.asset) AS same_content
      FROM e LEFT JOIN faultline.ledger_transactions t ON t.transaction_id = e.transaction_id
  ), of_job AS MATERIALIZED (
    SELECT e.entry_id, e.job_id, e.attempt, e.created_at, j.state, j.attempt AS attempt_reached, j.enqueued_at
      FROM e JOIN faultline.job_rows j ON j.job_id = e.job_id
     WHERE e.job_id > 0
  )
  SELECT 'INV_001', o.job_id::text, format('%s ledger entries', count(*))
    FROM faultline.ledger_entries o
   WHERE o.job_id IN (SELECT e.job_id FROM e WHERE e.job_id > 0) AND o.job_id > 0
   GROUP BY o.job_id HAVING count(*) > 1
  UNION ALL
  SELECT 'INV_002', o.transaction_id, format('%s ledger entries', count(*))
    FROM faultline.ledger_entries o
   WHERE o.transaction_id IN (SELECT e.transaction_id FROM e)
   GROUP BY o.transaction_id HAVING count(*) > 1
  UNION ALL
  SELECT 'INV_004', t.transaction_id, format('state %s, but entry %s exists', t.state, t.entry_id)
    FROM of_transaction t WHERE t.state IN ('i', 'f')
  UNION ALL
  SELECT 'INV_005', t.transaction_id, format('entry %s without a transaction', t.entry_id)
    FROM of_transaction t WHERE NOT t.declared
  UNION ALL
  SELECT 'INV_006', t.transaction_id, format('entry %s says something else than its transaction', t.entry_id)
    FROM of_transaction t WHERE t.declared AND NOT t.same_content
  UNION ALL
  SELECT 'INV_008', j.job_id::text, format('state %s, but entry %s exists', j.state, j.entry_id)
    FROM of_job j WHERE j.state IN ('f', 'c')
  UNION ALL
  SELECT 'INV_011', j.job_id::text, format('entry %s was written by attempt %s, the job only reached %s',
                                           j.entry_id, j.attempt, j.attempt_reached)
    FROM of_job j WHERE j.attempt > j.attempt_reached
  UNION ALL
  SELECT 'INV_011', e.transaction_id, format('entry %s of %s was written by attempt %s', e.entry_id,
                                             CASE e.job_id WHEN 0 THEN 'a reversal' ELSE 'job ' || e.job_id END,
                                             e.attempt)
    FROM e WHERE e.attempt < 0 OR (e.job_id = 0) <> (e.attempt = 0)
  UNION ALL
  SELECT 'INV_021', j.job_id::text, format('entry %s is %s older than its job', j.entry_id, j.enqueued_at - j.created_at)
    FROM of_job j WHERE j.created_at < j.enqueued_at - grace
  UNION ALL
  SELECT 'INV_021', t.transaction_id, format('entry %s is %s older than its transaction', t.entry_id,
                                             t.declared_at - t.created_at)
    FROM of_transaction t WHERE t.created_at < t.declared_at - grace
  UNION ALL
  -- A job that has its entry ends as succeeded, so the attempt that wrote it ends in no other way.
  SELECT 'INV_023', e.job_id::text, format('entry %s was written by attempt %s, which ended without success',
                                           e.entry_id, e.attempt)
    FROM e JOIN faultline.ended_attempts a ON a.job_id = e.job_id AND a.attempt = e.attempt
   WHERE e.job_id > 0
  UNION ALL
  SELECT 'INV_029', j.job_id::text, format('it waits to run, but entry %s exists', j.entry_id)
    FROM of_job j WHERE j.state = 'q'
  UNION ALL
  SELECT 'INV_032', e.transaction_id, format('account "%s" of entry %s %s', leg.account, e.entry_id,
                                             CASE WHEN a.account IS NULL THEN 'does not exist'
                                                  ELSE 'was closed before' END)
    FROM e CROSS JOIN LATERAL (VALUES (e.debit), (e.credit)) AS leg (account)
    LEFT JOIN faultline.ledger_accounts a ON a.account = leg.account AND a.asset = e.asset
   WHERE a.account IS NULL OR a.closed_at < e.created_at - grace;
END $$;
COMMENT ON FUNCTION faultline.invariants_of_entries(bigint, bigint, interval) IS
  'Internal: violations that the ledger entries of a window of ids show, with their jobs, transactions and accounts.';

CREATE FUNCTION faultline.invariants_of_transactions(after_id text, up_to_id text, grace interval)
  RETURNS TABLE (invariant text, subject text, detail text)
  LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
  SET plan_cache_mode = force_custom_plan SET jit = off AS $$
DECLARE
  amount_max CONSTANT bigint := 4611686018427387904;
  overdue_at timestamptz := faultline.clock_now() - grace;
BEGIN
  RETURN QUERY
  WITH t AS MATERIALIZED (
    SELECT n.* FROM faultline.ledger_transactions n
     WHERE (after_id IS NULL OR n.transaction_id > after_id COLLATE "C")
       AND (up_to_id IS NULL OR n.transaction_id <= up_to_id COLLATE "C")
  ), of_job AS MATERIALIZED (
    SELECT t.transaction_id, t.job_id, t.state, t.generation, t.queue_id, t.updated_at,
           j.state AS job_state, j.generation AS job_generation, j.queue_id AS job_queue_id,
           j.declares_effect, j.ended_at
      FROM t LEFT JOIN faultline.job_rows j ON j.job_id = t.job_id
     WHERE t.job_id > 0
  )
  SELECT 'INV_003', t.transaction_id, format('state %s, but no entry exists', t.state)
    FROM t
   WHERE t.state IN ('a', 'r')
     AND NOT EXISTS (SELECT FROM faultline.ledger_entries e WHERE e.transaction_id = t.transaction_id)
  UNION ALL
  SELECT 'INV_027', t.transaction_id,
         CASE WHEN t.reverses IS NULL THEN 'it belongs to no job and reverses nothing'
              WHEN t.job_id <> 0 THEN 'a reversal that belongs to a job'
              WHEN o.transaction_id IS NULL THEN format('it reverses "%s", which does not exist', t.reverses)
              WHEN o.state NOT IN ('a', 'r') OR t.state NOT IN ('a', 'r') THEN
                format('state %s, reverses "%s" in state %s', t.state, t.reverses, o.state)
              ELSE format('it does not mirror "%s"', t.reverses) END
    FROM t LEFT JOIN faultline.ledger_transactions o ON o.transaction_id = t.reverses
   WHERE (t.job_id = 0) <> (t.reverses IS NOT NULL)
      OR (t.reverses IS NOT NULL
          AND (o.transaction_id IS NULL OR o.state NOT IN ('a', 'r') OR t.state NOT IN ('a', 'r')
               OR (t.debit, t.credit, t.amount, t.asset, t.queue_id)
                  <> (o.credit, o.debit, o.amount, o.asset, o.queue_id)))
  UNION ALL
  SELECT 'INV_028', o.transaction_id, format('state %s, but job %s declares no effect', o.state, o.job_id)
    FROM of_job o WHERE o.state IN ('i', 'f') AND NOT o.declares_effect
  UNION ALL
  SELECT 'INV_028', o.transaction_id, format('generation %s, job %s is at %s', o.generation, o.job_id, o.job_generation)
    FROM of_job o WHERE o.generation NOT BETWEEN 1 AND o.job_generation
  UNION ALL
  SELECT 'INV_028', o.transaction_id, format('job %s is of another queue', o.job_id)
    FROM of_job o WHERE o.queue_id <> o.job_queue_id
  UNION ALL
  SELECT 'INV_030', t.transaction_id, format('state %s %s a reason', t.state,
                                             CASE WHEN t.failure_reason IS NULL THEN 'without' ELSE 'with' END)
    FROM t WHERE (t.state = 'f') <> (t.failure_reason IS NOT NULL)
  UNION ALL
  SELECT 'INV_031', o.transaction_id, format('state f, but job %s is in state %s', o.job_id, o.job_state)
    FROM of_job o
   WHERE o.state = 'f' AND o.job_state IN ('q', 'r', 's') AND o.job_generation = o.generation
  UNION ALL
  SELECT 'INV_034', t.transaction_id, format('state %s, amount %s, asset "%s", from "%s" to "%s"', t.state,
                                             t.amount, t.asset, t.debit, t.credit)
    FROM t LEFT JOIN faultline.ledger_assets s ON s.asset = t.asset
   WHERE t.state NOT IN ('i', 'a', 'r', 'f') OR t.amount NOT BETWEEN 1 AND amount_max OR t.debit = t.credit
      OR s.asset IS NULL
  UNION ALL
  SELECT 'INV_102', o.transaction_id, format('INIT, but job %s %s', o.job_id,
           CASE WHEN o.job_state IS NULL THEN 'is gone'
                WHEN o.job_generation > o.generation THEN 'was redriven'
                ELSE 'has ended' END)
    FROM of_job o LEFT JOIN faultline.queues q ON q.queue_id = o.queue_id
   WHERE o.state = 'i'
     AND (o.job_state IS NULL OR o.ended_at IS NOT NULL OR o.job_generation > o.generation)
     AND greatest(o.updated_at, o.ended_at, q.dropped_at) < overdue_at
  UNION ALL
  SELECT 'INV_103', o.transaction_id, format('APPLIED, and job %s %s', o.job_id,
                                             CASE WHEN o.job_state IS NULL THEN 'is gone' ELSE 'succeeded' END)
    FROM of_job o
   WHERE o.state = 'a' AND coalesce(o.job_state, 's') = 's' AND greatest(o.updated_at, o.ended_at) < overdue_at
  UNION ALL
  SELECT 'INV_103', t.transaction_id, 'an APPLIED reversal'
    FROM t WHERE t.state = 'a' AND t.job_id = 0 AND t.updated_at < overdue_at;
END $$;
COMMENT ON FUNCTION faultline.invariants_of_transactions(text, text, interval) IS
  'Internal: violations that the ledger transactions of a window of ids show, with their jobs and what they reverse.';

-- An account with more than entries_max entries is left out.
CREATE FUNCTION faultline.invariants_of_accounts(
  after_account text, after_asset text, up_to_account text, up_to_asset text, entries_max bigint
) RETURNS TABLE (invariant text, subject text, detail text)
  LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
  SET plan_cache_mode = force_custom_plan SET jit = off AS $$
BEGIN
  RETURN QUERY
  SELECT 'INV_019', a.account || ' ' || a.asset,
         format('balance %s, version %s, but %s entries make %s', a.balance, a.version, entries.number, entries.sum)
    FROM faultline.ledger_accounts a
   CROSS JOIN LATERAL (
     SELECT count(*) AS number, coalesce(sum(leg.amount), 0) AS sum
       FROM (SELECT e.amount FROM faultline.ledger_entries e
              WHERE e.credit = a.account AND e.asset = a.asset
             UNION ALL
             SELECT - e.amount FROM faultline.ledger_entries e
              WHERE e.debit = a.account AND e.asset = a.asset) AS leg (amount)) AS entries
   WHERE (after_account IS NULL OR (a.account, a.asset) > (after_account COLLATE "C", after_asset COLLATE "C"))
     AND (up_to_account IS NULL OR (a.account, a.asset) <= (up_to_account COLLATE "C", up_to_asset COLLATE "C"))
     AND a.balance IS NOT NULL AND (entries_max IS NULL OR a.version <= entries_max)
     AND (a.balance, a.version) IS DISTINCT FROM (entries.sum, entries.number);
END $$;
COMMENT ON FUNCTION faultline.invariants_of_accounts(text, text, text, text, bigint) IS
  'Internal: violations that a window of accounts with a maintained balance shows, against all their entries.';

-- An entry whose account has no row would be missing here.
CREATE FUNCTION faultline.invariants_of_assets()
  RETURNS TABLE (invariant text, subject text, detail text)
  LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
  SET plan_cache_mode = force_custom_plan SET jit = off AS $$
BEGIN
  RETURN QUERY
  SELECT 'INV_019', a.asset, format('all balances together make %s', sum(coalesce(a.balance, leg.sum, 0)))
    FROM faultline.ledger_accounts a
    LEFT JOIN (SELECT p.account, p.asset, sum(p.amount) AS sum FROM faultline.postings p
                GROUP BY p.account, p.asset) AS leg ON leg.account = a.account AND leg.asset = a.asset
   GROUP BY a.asset HAVING sum(coalesce(a.balance, leg.sum, 0)) <> 0;
END $$;
COMMENT ON FUNCTION faultline.invariants_of_assets() IS
  'Internal: assets of which the balances of all accounts do not add up to 0.';
