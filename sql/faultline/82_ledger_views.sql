-- Reading the ledger.  Transactions show to those who work with their queue; accounts and postings,
-- which belong to no queue, to operators.

CREATE VIEW faultline.transactions WITH (security_barrier) AS
  SELECT t.transaction_id, q.name AS queue, nullif(t.job_id, 0) AS job_id, t.generation,
         CASE t.state WHEN 'i' THEN 'INIT' WHEN 'a' THEN 'APPLIED' WHEN 'r' THEN 'RECONCILED' ELSE 'FAILED' END AS state,
         t.debit, t.credit, t.amount, t.asset, t.reverses, t.failure_reason, t.metadata,
         e.entry_id, e.attempt, e.created_at AS applied_at, t.created_at, t.updated_at
    FROM faultline.ledger_transactions t
    JOIN faultline.visible_queues q ON q.queue_id = t.queue_id AND q.payload_visible
    LEFT JOIN faultline.ledger_entries e ON e.transaction_id = t.transaction_id;
COMMENT ON VIEW faultline.transactions IS 'One row per ledger transaction: the intent and, once applied, its entry. Hidden from monitors.';
COMMENT ON COLUMN faultline.transactions.transaction_id IS 'Key: names one effect for ever, the same over all attempts of its job.';
COMMENT ON COLUMN faultline.transactions.queue IS 'Queue of the job.';
COMMENT ON COLUMN faultline.transactions.job_id IS 'The job whose effect it is; null for a reversal.';
COMMENT ON COLUMN faultline.transactions.generation IS 'Generation of the job: 1, and one more for each redrive. 0 for a reversal.';
COMMENT ON COLUMN faultline.transactions.state IS 'INIT (declared), APPLIED (its entry exists), RECONCILED (compared with its job and entry, final) or FAILED (will never have one, final).';
COMMENT ON COLUMN faultline.transactions.debit IS 'Account that the amount leaves.';
COMMENT ON COLUMN faultline.transactions.credit IS 'Account that the amount goes to.';
COMMENT ON COLUMN faultline.transactions.amount IS 'Whole number of the smallest unit of the asset.';
COMMENT ON COLUMN faultline.transactions.asset IS 'What is moved.';
COMMENT ON COLUMN faultline.transactions.reverses IS 'The transaction that this one undoes.';
COMMENT ON COLUMN faultline.transactions.failure_reason IS 'Why it is FAILED.';
COMMENT ON COLUMN faultline.transactions.metadata IS 'Given when it was declared or applied.';
COMMENT ON COLUMN faultline.transactions.entry_id IS 'Its entry; null before.';
COMMENT ON COLUMN faultline.transactions.attempt IS 'The claim of the job that wrote the entry; 0 for a reversal.';
COMMENT ON COLUMN faultline.transactions.applied_at IS 'When the entry was written.';
COMMENT ON COLUMN faultline.transactions.created_at IS 'When it was declared or, undeclared, applied.';
COMMENT ON COLUMN faultline.transactions.updated_at IS 'When its state changed last.';

CREATE VIEW faultline.postings WITH (security_barrier) AS
  SELECT e.entry_id, e.transaction_id, leg.account, e.asset, leg.amount, e.created_at
    FROM faultline.ledger_entries e
   CROSS JOIN LATERAL (VALUES (e.debit, - e.amount), (e.credit, e.amount)) AS leg (account, amount);
COMMENT ON VIEW faultline.postings IS 'Two rows per entry, one for each account it moves; they add up to 0.';
COMMENT ON COLUMN faultline.postings.entry_id IS 'The entry.';
COMMENT ON COLUMN faultline.postings.transaction_id IS 'Its transaction.';
COMMENT ON COLUMN faultline.postings.account IS 'Account that this leg changes.';
COMMENT ON COLUMN faultline.postings.asset IS 'What is moved.';
COMMENT ON COLUMN faultline.postings.amount IS 'Change of the balance: negative for the debit, positive for the credit.';
COMMENT ON COLUMN faultline.postings.created_at IS 'When the entry was written.';

CREATE VIEW faultline.accounts WITH (security_barrier) AS
  SELECT a.account, a.asset,
         coalesce(a.balance::numeric, faultline.account_balance(a.account, a.asset)) AS balance,
         a.balance IS NOT NULL AS maintained, a.version, a.min_balance, a.max_balance,
         a.opened_at, a.closed_at, a.description
    FROM faultline.ledger_accounts a;
COMMENT ON VIEW faultline.accounts IS 'One row per account and asset with its balance; one that is not maintained is summed up at each look.';
COMMENT ON COLUMN faultline.accounts.account IS 'Name of the account.';
COMMENT ON COLUMN faultline.accounts.asset IS 'What it holds.';
COMMENT ON COLUMN faultline.accounts.balance IS 'Credits minus debits, in the smallest unit of the asset.';
COMMENT ON COLUMN faultline.accounts.maintained IS 'Whether the balance moves with each entry, or is summed up when asked for.';
COMMENT ON COLUMN faultline.accounts.version IS 'Number of entries of a maintained account.';
COMMENT ON COLUMN faultline.accounts.min_balance IS 'No entry may take the balance below; null for no bound.';
COMMENT ON COLUMN faultline.accounts.max_balance IS 'No entry may take the balance above; null for no bound.';
COMMENT ON COLUMN faultline.accounts.opened_at IS 'When it was opened.';
COMMENT ON COLUMN faultline.accounts.closed_at IS 'When it was closed; null while it is open.';
COMMENT ON COLUMN faultline.accounts.description IS 'Given when it was opened.';
