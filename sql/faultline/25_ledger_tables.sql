-- The ledger's rows.  Content, state and the tie between entry and intent are declared here, as
-- constraints and guards that hold for everybody who writes: the functions of this extension, a
-- restore, a superuser by hand.  INSERT is judged by CHECK and foreign key alone, so that a dump
-- loads in any way pg_dump writes it; triggers judge updates.  src/storage/columns.hpp names the
-- same columns by number.

CREATE TABLE faultline.ledger_assets (
  asset text COLLATE "C" NOT NULL,
  accounts_on_first_use boolean NOT NULL,
  created_at timestamptz NOT NULL,
  description text,
  CONSTRAINT ledger_assets_pkey PRIMARY KEY (asset),
  CONSTRAINT ledger_assets_name CHECK (octet_length(asset) BETWEEN 1 AND 64)
);
COMMENT ON TABLE faultline.ledger_assets IS
  'What can be moved, each in whole numbers of its smallest unit. accounts_on_first_use: an account that an entry names is opened by it.';

CREATE TABLE faultline.ledger_accounts (
  balance bigint,
  version bigint NOT NULL,
  min_balance bigint,
  max_balance bigint,
  opened_at timestamptz NOT NULL,
  closed_at timestamptz,
  account text COLLATE "C" NOT NULL,
  asset text COLLATE "C" NOT NULL,
  description text,
  CONSTRAINT ledger_accounts_pkey PRIMARY KEY (account, asset),
  CONSTRAINT ledger_accounts_asset FOREIGN KEY (asset) REFERENCES faultline.ledger_assets (asset),
  CONSTRAINT ledger_accounts_name CHECK (octet_length(account) BETWEEN 1 AND 255),
  CONSTRAINT ledger_accounts_bounds CHECK (min_balance <= max_balance),
  CONSTRAINT ledger_accounts_bounded CHECK (balance IS NOT NULL
                                            OR (min_balance IS NULL AND max_balance IS NULL)),
  CONSTRAINT ledger_accounts_version CHECK (version >= 0)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000);
COMMENT ON TABLE faultline.ledger_accounts IS
  'Accounts, one row per account and asset. balance: credits minus debits, maintained with each entry, and version counts those; null: not maintained, so that entries of a busy account do not wait for each other, and its balance is summed up when asked for.';

CREATE TABLE faultline.ledger_transactions (
  job_id bigint NOT NULL,
  amount bigint NOT NULL,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  generation integer NOT NULL,
  queue_id integer NOT NULL,
  state "char" NOT NULL,
  transaction_id text COLLATE "C" NOT NULL,
  debit text COLLATE "C" NOT NULL,
  credit text COLLATE "C" NOT NULL,
  asset text COLLATE "C" NOT NULL,
  reverses text COLLATE "C",
  failure_reason text,
  metadata jsonb,
  CONSTRAINT ledger_transactions_pkey PRIMARY KEY (transaction_id),
  -- What an entry repeats of its intent.
  CONSTRAINT ledger_transactions_content UNIQUE (transaction_id, job_id, debit, credit, amount, asset),
  CONSTRAINT ledger_transactions_amount CHECK (amount BETWEEN 1 AND 4611686018427387904),
  CONSTRAINT ledger_transactions_accounts CHECK (debit <> credit),
  CONSTRAINT ledger_transactions_state CHECK (state IN ('i', 'a', 'r', 'f')),
  CONSTRAINT ledger_transactions_failure CHECK ((state = 'f') = (failure_reason IS NOT NULL)),
  CONSTRAINT ledger_transactions_job CHECK (job_id >= 0 AND (job_id = 0) = (reverses IS NOT NULL)),
  CONSTRAINT ledger_transactions_names CHECK (octet_length(transaction_id) BETWEEN 1 AND 300
                                              AND octet_length(debit) BETWEEN 1 AND 255
                                              AND octet_length(credit) BETWEEN 1 AND 255
                                              AND octet_length(asset) BETWEEN 1 AND 64)
);
CREATE UNIQUE INDEX ledger_transactions_generation
  ON faultline.ledger_transactions (job_id, generation) WHERE job_id > 0;
CREATE UNIQUE INDEX ledger_transactions_reverses
  ON faultline.ledger_transactions (reverses) WHERE reverses IS NOT NULL;
-- What reconciliation has still to look at.
CREATE INDEX ledger_transactions_open
  ON faultline.ledger_transactions (state, job_id) WHERE state IN ('i', 'a');
COMMENT ON TABLE faultline.ledger_transactions IS
  'Intents: one per job and generation, kept for ever. INIT (i): declared, no entry yet; APPLIED (a): its entry exists; RECONCILED (r): job, intent and entry were compared and agree; FAILED (f): it will never have one. job_id 0: a reversal, of the transaction named in reverses.';

CREATE SEQUENCE faultline.ledger_entry_id_seq AS bigint;
CREATE TABLE faultline.ledger_entries (
  entry_id bigint NOT NULL,
  job_id bigint NOT NULL,
  amount bigint NOT NULL,
  created_at timestamptz NOT NULL,
  attempt integer NOT NULL,
  transaction_id text COLLATE "C" NOT NULL,
  debit text COLLATE "C" NOT NULL,
  credit text COLLATE "C" NOT NULL,
  asset text COLLATE "C" NOT NULL,
  CONSTRAINT ledger_entries_pkey PRIMARY KEY (entry_id),
  CONSTRAINT ledger_entries_transaction UNIQUE (transaction_id),
  CONSTRAINT ledger_entries_intent
    FOREIGN KEY (transaction_id, job_id, debit, credit, amount, asset)
    REFERENCES faultline.ledger_transactions (transaction_id, job_id, debit, credit, amount, asset),
  CONSTRAINT ledger_entries_attempt CHECK (attempt >= 0 AND (job_id = 0) = (attempt = 0))
);
-- At most one entry per job, for ever.
CREATE UNIQUE INDEX ledger_entries_job ON faultline.ledger_entries (job_id) WHERE job_id > 0;
CREATE INDEX ledger_entries_debit ON faultline.ledger_entries (debit, asset, created_at) INCLUDE (amount);
CREATE INDEX ledger_entries_credit ON faultline.ledger_entries (credit, asset, created_at) INCLUDE (amount);
COMMENT ON TABLE faultline.ledger_entries IS
  'Effects, append-only and kept for ever: amount moved from debit to credit, in one row that is balanced by construction. attempt: the claim of the job that wrote it, 0 for a reversal.';

CREATE SEQUENCE faultline.finding_id_seq AS bigint;
CREATE TABLE faultline.ledger_findings (
  finding_id bigint NOT NULL DEFAULT nextval('faultline.finding_id_seq'),
  found_at timestamptz NOT NULL,
  last_seen_at timestamptz NOT NULL,
  times_seen bigint NOT NULL,
  resolved_at timestamptz,
  code text COLLATE "C" NOT NULL,
  subject text COLLATE "C" NOT NULL,
  evidence text NOT NULL,
  resolution text,
  CONSTRAINT ledger_findings_pkey PRIMARY KEY (finding_id)
);
CREATE UNIQUE INDEX ledger_findings_open
  ON faultline.ledger_findings (code, subject) WHERE resolved_at IS NULL;
COMMENT ON TABLE faultline.ledger_findings IS
  'What reconciliation and the rolling audit found that does not agree, and did not repair by guessing. One open row per code and subject.';

SELECT pg_catalog.pg_extension_config_dump('faultline.ledger_assets', '');
SELECT pg_catalog.pg_extension_config_dump('faultline.ledger_accounts', '');
SELECT pg_catalog.pg_extension_config_dump('faultline.ledger_transactions', '');
SELECT pg_catalog.pg_extension_config_dump('faultline.ledger_entry_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('faultline.ledger_entries', '');
SELECT pg_catalog.pg_extension_config_dump('faultline.finding_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('faultline.ledger_findings', '');

-- Guards.  ALWAYS: also under session_replication_role = replica.
CREATE FUNCTION faultline.ledger_append_only() RETURNS trigger
  LANGUAGE c AS 'MODULE_PATHNAME', 'faultline_ledger_append_only';
COMMENT ON FUNCTION faultline.ledger_append_only() IS
  'Trigger: refuses changes and removals of ledger rows (JQ009).';
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON faultline.ledger_entries
  FOR EACH ROW EXECUTE FUNCTION faultline.ledger_append_only();
ALTER TABLE faultline.ledger_entries ENABLE ALWAYS TRIGGER append_only;
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON faultline.ledger_entries
  FOR EACH STATEMENT EXECUTE FUNCTION faultline.ledger_append_only();
ALTER TABLE faultline.ledger_entries ENABLE ALWAYS TRIGGER no_truncate;
CREATE TRIGGER append_only BEFORE DELETE ON faultline.ledger_transactions
  FOR EACH ROW EXECUTE FUNCTION faultline.ledger_append_only();
ALTER TABLE faultline.ledger_transactions ENABLE ALWAYS TRIGGER append_only;
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON faultline.ledger_transactions
  FOR EACH STATEMENT EXECUTE FUNCTION faultline.ledger_append_only();
ALTER TABLE faultline.ledger_transactions ENABLE ALWAYS TRIGGER no_truncate;
CREATE TRIGGER append_only BEFORE DELETE ON faultline.ledger_accounts
  FOR EACH ROW EXECUTE FUNCTION faultline.ledger_append_only();
ALTER TABLE faultline.ledger_accounts ENABLE ALWAYS TRIGGER append_only;
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON faultline.ledger_accounts
  FOR EACH STATEMENT EXECUTE FUNCTION faultline.ledger_append_only();
ALTER TABLE faultline.ledger_accounts ENABLE ALWAYS TRIGGER no_truncate;

CREATE FUNCTION faultline.ledger_transaction_step() RETURNS trigger
  LANGUAGE c AS 'MODULE_PATHNAME', 'faultline_ledger_transaction_step';
COMMENT ON FUNCTION faultline.ledger_transaction_step() IS
  'Trigger: an intent never changes its content (JQ009), and its state only along INIT > APPLIED > RECONCILED or INIT > FAILED (JQ006).';
CREATE TRIGGER legal_step BEFORE UPDATE ON faultline.ledger_transactions
  FOR EACH ROW EXECUTE FUNCTION faultline.ledger_transaction_step();
ALTER TABLE faultline.ledger_transactions ENABLE ALWAYS TRIGGER legal_step;

-- Deferred: state and entry are written one after the other and must agree when the transaction
-- commits.  An intent's own INSERT is not judged, because a restore loads all intents before any entry.
CREATE FUNCTION faultline.ledger_entry_agrees() RETURNS trigger
  LANGUAGE c AS 'MODULE_PATHNAME', 'faultline_ledger_entry_agrees';
COMMENT ON FUNCTION faultline.ledger_entry_agrees() IS
  'Deferred trigger: an entry exists exactly when its transaction is APPLIED or RECONCILED, with the same content (JQ007, JQ008).';
CREATE CONSTRAINT TRIGGER entry_agrees AFTER INSERT ON faultline.ledger_entries
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION faultline.ledger_entry_agrees();
ALTER TABLE faultline.ledger_entries ENABLE ALWAYS TRIGGER entry_agrees;
CREATE CONSTRAINT TRIGGER entry_agrees AFTER UPDATE ON faultline.ledger_transactions
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION faultline.ledger_entry_agrees();
ALTER TABLE faultline.ledger_transactions ENABLE ALWAYS TRIGGER entry_agrees;
