-- The ledger: effects applied at most once, and the accounts they move between.  docs/ledger.md
-- explains the model.

CREATE FUNCTION faultline.apply_ledger(
  job_id bigint, lease_token bigint, transaction_id text = NULL, debit text = NULL,
  credit text = NULL, amount bigint = NULL, asset text = NULL, metadata jsonb = NULL
) RETURNS TABLE (verdict text, entry_id bigint, applied_at timestamptz)
  LANGUAGE c VOLATILE ROWS 1 AS 'MODULE_PATHNAME', 'faultline_apply_ledger';
COMMENT ON FUNCTION faultline.apply_ledger(bigint, bigint, text, text, text, bigint, text, jsonb) IS
  'Writes the effect of a running job, once for ever: amount (1 to 2^62, in the smallest unit of the asset) from debit to credit. Null stands for what the job declared at enqueue. Returns applied, or exists when this transaction_id has its entry already, whoever asks and whatever became of the lease. transaction_id: up to 255 bytes; debit and credit: up to 255; asset: up to 64. metadata: kept with the transaction. Raises JQ001 when the lease is not in force, JQ002 for an unknown job, JQ007 when the id or the job has another effect, JQ012 when the job was claimed in this very transaction, JQ013 when the transaction has failed, JQ014 when a bound of an account would break, JQ015 for a closed account, 22003 when a balance would overflow, 22023 for an unknown asset or account: nothing is written then.';

CREATE FUNCTION faultline.apply_and_complete(
  job_id bigint, lease_token bigint, transaction_id text = NULL, debit text = NULL,
  credit text = NULL, amount bigint = NULL, asset text = NULL, metadata jsonb = NULL,
  result jsonb = NULL
) RETURNS TABLE (verdict text, entry_id bigint, applied_at timestamptz)
  LANGUAGE c VOLATILE ROWS 1 AS 'MODULE_PATHNAME', 'faultline_apply_and_complete';
COMMENT ON FUNCTION faultline.apply_and_complete(bigint, bigint, text, text, text, bigint, text, jsonb, jsonb) IS
  'As apply_ledger() and complete() in one call, so that no crash can come between effect and completion: the recommended way to end a job that moves something. result: as for complete(). When the effect exists already and the caller''s lease is in force, the job is completed, too.';

CREATE FUNCTION faultline.apply_and_complete_many(
  job_ids bigint[], lease_tokens bigint[], results jsonb[] = NULL
) RETURNS TABLE (job_id bigint, verdict text)
  LANGUAGE c VOLATILE ROWS 100 AS 'MODULE_PATHNAME', 'faultline_apply_and_complete_many';
COMMENT ON FUNCTION faultline.apply_and_complete_many(bigint[], bigint[], jsonb[]) IS
  'Ends many jobs, each with the effect it declared; a verdict for each in input order: applied, exists, succeeded (it declared nothing), already_succeeded; or the job is left as it is: insufficient_funds, account_closed, unknown_account, out_of_range (a balance would overflow), transaction_failed, stale_lease, unknown_job, same_transaction. Locks jobs, transactions and accounts in order, so that two calls cannot deadlock, and writes each account once: the way to end jobs that share a few busy accounts.';

CREATE FUNCTION faultline.transaction_status(transaction_id text)
  RETURNS TABLE (state text, entry_id bigint, job_id bigint, failure_reason text)
  LANGUAGE c VOLATILE ROWS 1 AS 'MODULE_PATHNAME', 'faultline_transaction_status';
COMMENT ON FUNCTION faultline.transaction_status(text) IS
  'What became of a ledger transaction: INIT, APPLIED, RECONCILED or FAILED, with its entry and job; no row when there is none. Waits for whoever writes it at this moment, so that it answers a commit in doubt. Raises 42501 unless the caller has any level on the job''s queue.';

CREATE FUNCTION faultline.reverse_transaction(transaction_id text, new_transaction_id text, reason text)
  RETURNS bigint
  LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'faultline_reverse_transaction';
COMMENT ON FUNCTION faultline.reverse_transaction(text, text, text) IS
  'Undoes an effect by another one in the opposite direction, and returns the id of its entry; again with the same arguments: the same entry. A transaction can be reversed once. new_transaction_id: up to 255 bytes; reason: up to 1024 bytes, kept as metadata. Raises 22023 when the transaction does not exist, JQ006 while it is INIT, JQ007 when it is reversed already or the new id is taken, JQ013 when it has failed, JQ014 and JQ015 as apply_ledger().';

CREATE FUNCTION faultline.create_asset(
  asset text, accounts_on_first_use boolean = true, description text = NULL
) RETURNS void
  LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'faultline_call_as_owner';
COMMENT ON FUNCTION faultline.create_asset(text, boolean, text) IS
  'Makes something known that entries can move, such as EUR (counted in cents) or points. asset: 1 to 64 bytes. accounts_on_first_use: an entry opens the accounts it names, without a maintained balance and without bounds; false: only open_account() does. Again with the same settings: does nothing; with others: 42710.';
CREATE FUNCTION faultline.create_asset_as_owner(
  asset text, accounts_on_first_use boolean, description text
) RETURNS void
  LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
  PERFORM faultline.check_name(create_asset_as_owner.asset, 'asset', 64);
  PERFORM faultline.check_setting(create_asset_as_owner.accounts_on_first_use IS NOT NULL,
                                  'accounts_on_first_use', NULL, 'true or false');
  INSERT INTO faultline.ledger_assets (asset, accounts_on_first_use, created_at, description)
  VALUES (create_asset_as_owner.asset, create_asset_as_owner.accounts_on_first_use,
          faultline.clock_now(), create_asset_as_owner.description)
  ON CONFLICT ON CONSTRAINT ledger_assets_pkey DO NOTHING;
  IF NOT FOUND AND NOT EXISTS (
       SELECT FROM faultline.ledger_assets a
        WHERE a.asset = create_asset_as_owner.asset
          AND a.accounts_on_first_use = create_asset_as_owner.accounts_on_first_use
          AND a.description IS NOT DISTINCT FROM create_asset_as_owner.description) THEN
    RAISE EXCEPTION 'asset "%" exists with other settings', create_asset_as_owner.asset
      USING ERRCODE = '42710', DETAIL = 'Its settings were fixed when it was created.',
            HINT = 'Use another name, or the same settings.';
  END IF;
END $$;
COMMENT ON FUNCTION faultline.create_asset_as_owner(text, boolean, text) IS
  'Internal: what create_asset() does once the caller was found to be an operator.';

CREATE FUNCTION faultline.check_name(given text, argument text, bytes_max integer) RETURNS void
  LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF given IS NULL OR octet_length(given) NOT BETWEEN 1 AND bytes_max THEN
    RAISE EXCEPTION '% %', argument, CASE WHEN given IS NULL THEN 'must not be null' ELSE 'has an invalid length' END
      USING ERRCODE = CASE WHEN given IS NULL THEN '22004' ELSE '22023' END,
            DETAIL = CASE WHEN given IS NULL THEN 'There is no default.'
                          ELSE format('%s has %s bytes.', argument, octet_length(given)) END,
            HINT = format('Use 1 to %s bytes.', bytes_max);
  END IF;
END $$;
COMMENT ON FUNCTION faultline.check_name(text, text, integer) IS
  'Internal: raises 22023 (22004 for null) unless a name has 1 to bytes_max bytes.';

CREATE FUNCTION faultline.require_asset(asset text) RETURNS void
  LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'faultline_require_asset';
COMMENT ON FUNCTION faultline.require_asset(text) IS 'Internal: raises 22023 unless the asset exists, 22004 for null.';

CREATE FUNCTION faultline.open_account(
  account text, asset text, min_balance bigint = NULL, max_balance bigint = NULL,
  maintain_balance boolean = true, description text = NULL
) RETURNS void
  LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'faultline_call_as_owner';
COMMENT ON FUNCTION faultline.open_account(text, text, bigint, bigint, boolean, text) IS
  'Opens an account for one asset. min_balance, max_balance: bounds that no entry may break, null for none. maintain_balance: its balance moves with each entry, which makes entries of the account wait for each other; false: the balance is summed up when asked for, entries do not wait, and there can be no bounds. Again with the same settings: does nothing; with others: 42710. Raises 22023 for an unknown asset, JQ015 for a closed account.';
CREATE FUNCTION faultline.open_account_as_owner(
  account text, asset text, min_balance bigint, max_balance bigint, maintain_balance boolean,
  description text
) RETURNS void
  LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
  existing faultline.ledger_accounts;
BEGIN
  PERFORM faultline.check_name(open_account_as_owner.account, 'account', 255);
  PERFORM faultline.require_asset(open_account_as_owner.asset);
  PERFORM faultline.check_setting(open_account_as_owner.maintain_balance IS NOT NULL,
                                  'maintain_balance', NULL, 'true or false');
  PERFORM faultline.check_account_bounds(open_account_as_owner.min_balance, open_account_as_owner.max_balance,
                                         open_account_as_owner.maintain_balance);
  INSERT INTO faultline.ledger_accounts
    (balance, version, min_balance, max_balance, opened_at, account, asset, description)
  VALUES (CASE WHEN open_account_as_owner.maintain_balance THEN 0 END, 0,
          open_account_as_owner.min_balance, open_account_as_owner.max_balance, faultline.clock_now(),
          open_account_as_owner.account, open_account_as_owner.asset, open_account_as_owner.description)
  ON CONFLICT ON CONSTRAINT ledger_accounts_pkey DO NOTHING;
  IF FOUND THEN
    RETURN;
  END IF;
  existing := faultline.require_open_account(open_account_as_owner.account, open_account_as_owner.asset);
  IF (existing.balance IS NOT NULL, existing.min_balance, existing.max_balance, existing.description)
     IS DISTINCT FROM (open_account_as_owner.maintain_balance, open_account_as_owner.min_balance,
                       open_account_as_owner.max_balance, open_account_as_owner.description) THEN
    RAISE EXCEPTION 'account "%" exists with other settings', open_account_as_owner.account
      USING ERRCODE = '42710',
            DETAIL = format('Balance maintained: %s, min_balance %s, max_balance %s.',
                            existing.balance IS NOT NULL, coalesce(existing.min_balance::text, 'none'),
                            coalesce(existing.max_balance::text, 'none')),
            HINT = 'SELECT faultline.alter_account(...) changes the bounds.';
  END IF;
END $$;
COMMENT ON FUNCTION faultline.open_account_as_owner(text, text, bigint, bigint, boolean, text) IS
  'Internal: what open_account() does once the caller was found to be an operator.';

CREATE FUNCTION faultline.check_account_bounds(min_balance bigint, max_balance bigint, maintained boolean)
  RETURNS void
  LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF min_balance > max_balance OR NOT maintained AND (min_balance IS NOT NULL OR max_balance IS NOT NULL) THEN
    RAISE EXCEPTION 'invalid bounds of an account'
      USING ERRCODE = '22023',
            DETAIL = CASE WHEN maintained THEN format('min_balance %s is above max_balance %s.', min_balance, max_balance)
                          ELSE 'A balance that is not maintained cannot be bounded.' END,
            HINT = 'Null stands for no bound.';
  END IF;
END $$;
COMMENT ON FUNCTION faultline.check_account_bounds(bigint, bigint, boolean) IS
  'Internal: raises 22023 unless an account may have these bounds.';

CREATE FUNCTION faultline.require_open_account(account text, asset text) RETURNS faultline.ledger_accounts
  LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  existing faultline.ledger_accounts;
BEGIN
  PERFORM faultline.check_name(require_open_account.account, 'account', 255);
  PERFORM faultline.require_asset(require_open_account.asset);
  SELECT a.* INTO existing FROM faultline.ledger_accounts a
   WHERE a.account = require_open_account.account AND a.asset = require_open_account.asset
     FOR NO KEY UPDATE;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'account "%" is not open for asset "%"', require_open_account.account, require_open_account.asset
      USING ERRCODE = '22023', DETAIL = 'There is no such account.',
            HINT = 'SELECT faultline.open_account(...) opens it.';
  ELSIF existing.closed_at IS NOT NULL THEN
    RAISE EXCEPTION 'account "%" is closed', require_open_account.account
      USING ERRCODE = 'JQ015', DETAIL = format('It was closed at %s.', existing.closed_at),
            HINT = 'Use another account; a closed one stays closed.';
  END IF;
  RETURN existing;
END $$;
COMMENT ON FUNCTION faultline.require_open_account(text, text) IS
  'Internal: locks the row of an open account and returns it. Raises 22023 when there is none, JQ015 when it is closed.';

CREATE FUNCTION faultline.alter_account(
  account text, asset text, min_balance bigint = NULL, max_balance bigint = NULL
) RETURNS void
  LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'faultline_call_as_owner';
COMMENT ON FUNCTION faultline.alter_account(text, text, bigint, bigint) IS
  'Sets both bounds of an account with a maintained balance; null for no bound. A balance that lies outside the new bounds may still move towards them. Raises 22023 for an unknown account or impossible bounds, JQ015 for a closed account.';
CREATE FUNCTION faultline.alter_account_as_owner(
  account text, asset text, min_balance bigint, max_balance bigint
) RETURNS void
  LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  existing faultline.ledger_accounts :=
    faultline.require_open_account(alter_account_as_owner.account, alter_account_as_owner.asset);
BEGIN
  PERFORM faultline.check_account_bounds(alter_account_as_owner.min_balance, alter_account_as_owner.max_balance,
                                         existing.balance IS NOT NULL);
  UPDATE faultline.ledger_accounts a
     SET min_balance = alter_account_as_owner.min_balance, max_balance = alter_account_as_owner.max_balance
   WHERE a.account = existing.account AND a.asset = existing.asset;
END $$;
COMMENT ON FUNCTION faultline.alter_account_as_owner(text, text, bigint, bigint) IS
  'Internal: what alter_account() does once the caller was found to be an operator.';

CREATE FUNCTION faultline.lock_account(account text, asset text) RETURNS void
  LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'faultline_lock_account';
COMMENT ON FUNCTION faultline.lock_account(text, text) IS
  'Internal: waits for transactions that have written entries of an account without a maintained balance, and keeps new ones out until this one ends.';

CREATE FUNCTION faultline.close_account(account text, asset text) RETURNS void
  LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'faultline_call_as_owner';
COMMENT ON FUNCTION faultline.close_account(text, text) IS
  'Closes an account for ever, whatever its balance: entries that name it raise JQ015 from then on. Closed already: does nothing. Waits for transactions that write an entry of it. Raises 22023 for an unknown account.';
CREATE FUNCTION faultline.close_account_as_owner(account text, asset text) RETURNS void
  LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM faultline.check_name(close_account_as_owner.account, 'account', 255);
  PERFORM faultline.require_asset(close_account_as_owner.asset);
  PERFORM faultline.lock_account(close_account_as_owner.account, close_account_as_owner.asset);
  UPDATE faultline.ledger_accounts a SET closed_at = coalesce(a.closed_at, faultline.clock_now())
   WHERE a.account = close_account_as_owner.account AND a.asset = close_account_as_owner.asset;
  IF NOT FOUND THEN
    PERFORM faultline.require_open_account(close_account_as_owner.account, close_account_as_owner.asset);
  END IF;
END $$;
COMMENT ON FUNCTION faultline.close_account_as_owner(text, text) IS
  'Internal: what close_account() does once the caller was found to be an operator.';

-- An operator, of whichever queue, may read balances: accounts belong to no queue.
CREATE FUNCTION faultline.sum_of_entries(account text, asset text, as_of timestamptz) RETURNS numeric
  LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  SELECT coalesce((SELECT sum(e.amount) FROM faultline.ledger_entries e
                    WHERE e.credit = sum_of_entries.account AND e.asset = sum_of_entries.asset
                      AND e.created_at <= sum_of_entries.as_of), 0)
       - coalesce((SELECT sum(e.amount) FROM faultline.ledger_entries e
                    WHERE e.debit = sum_of_entries.account AND e.asset = sum_of_entries.asset
                      AND e.created_at <= sum_of_entries.as_of), 0)
$$;
COMMENT ON FUNCTION faultline.sum_of_entries(text, text, timestamptz) IS
  'Internal: credits minus debits of an account up to a time.';

CREATE FUNCTION faultline.account_balance(account text, asset text, as_of timestamptz = NULL) RETURNS numeric
  LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  existing faultline.ledger_accounts;
BEGIN
  PERFORM faultline.check_name(account_balance.account, 'account', 255);
  PERFORM faultline.check_name(account_balance.asset, 'asset', 64);
  SELECT a.* INTO existing FROM faultline.ledger_accounts a
   WHERE a.account = account_balance.account AND a.asset = account_balance.asset;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'account "%" is not open for asset "%"', account_balance.account, account_balance.asset
      USING ERRCODE = '22023', DETAIL = 'There is no such account.',
            HINT = 'SELECT faultline.open_account(...) opens it, or its first entry.';
  END IF;
  IF as_of IS NULL AND existing.balance IS NOT NULL THEN
    RETURN existing.balance;
  END IF;
  RETURN faultline.sum_of_entries(account_balance.account, account_balance.asset,
                                  coalesce(account_balance.as_of, 'infinity'));
END $$;
COMMENT ON FUNCTION faultline.account_balance(text, text, timestamptz) IS
  'Credits minus debits of an account, in the smallest unit of the asset: now, or as of a time (entries up to and including it; final once the transactions that were open then have ended). Raises 22023 for an account that was never opened. Not maintained balances, and those of a time, are summed up from the entries.';
