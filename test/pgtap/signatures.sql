-- The SQL contract: every function with its parameters, defaults and result, and nothing else that
-- an application may call.  Parameter names are API.
\set ON_ERROR_STOP 1
BEGIN;
SELECT plan(14);

-- The functions of the contract, as the catalog spells them.
CREATE TEMP TABLE contract (name text PRIMARY KEY, arguments text, result text);
INSERT INTO contract VALUES
  ('create_queue', 'name text, max_attempts integer DEFAULT 20, '
    'lease interval DEFAULT ''00:00:30''::interval, '
    'backoff_base interval DEFAULT ''00:00:01''::interval, '
    'backoff_factor double precision DEFAULT 2, '
    'backoff_max interval DEFAULT ''01:00:00''::interval, '
    'backoff_jitter double precision DEFAULT 0.2, '
    'keep_finished interval DEFAULT ''7 days''::interval, '
    'keep_keys interval DEFAULT ''7 days''::interval, description text DEFAULT NULL::text, '
    'max_runtime interval DEFAULT NULL::interval, '
    'max_backlog integer DEFAULT NULL::integer, '
    'retry_budget double precision DEFAULT NULL::double precision, '
    'expected_runtime interval DEFAULT NULL::interval', 'void'),
  ('alter_queue', 'name text, max_attempts integer DEFAULT NULL::integer, '
    'lease interval DEFAULT NULL::interval, backoff_base interval DEFAULT NULL::interval, '
    'backoff_factor double precision DEFAULT NULL::double precision, '
    'backoff_max interval DEFAULT NULL::interval, '
    'backoff_jitter double precision DEFAULT NULL::double precision, '
    'keep_finished interval DEFAULT NULL::interval, keep_keys interval DEFAULT NULL::interval, '
    'description text DEFAULT NULL::text, max_runtime interval DEFAULT NULL::interval, '
    'max_backlog integer DEFAULT NULL::integer, '
    'retry_budget double precision DEFAULT NULL::double precision, '
    'expected_runtime interval DEFAULT NULL::interval', 'void'),
  ('pause_queue', 'name text', 'void'),
  ('resume_queue', 'name text', 'void'),
  ('drop_queue', 'name text, force boolean DEFAULT false', 'bigint'),
  ('enqueue', 'queue text, payload jsonb DEFAULT ''{}''::jsonb, kind text DEFAULT NULL::text, '
    'idempotency_key text DEFAULT NULL::text, '
    'run_at timestamp with time zone DEFAULT NULL::timestamp with time zone, '
    'delay interval DEFAULT NULL::interval, priority integer DEFAULT 0, '
    'max_attempts integer DEFAULT NULL::integer, headers jsonb DEFAULT NULL::jsonb, '
    'ledger jsonb DEFAULT NULL::jsonb', 'bigint'),
  ('enqueue_many', 'queue text, payloads jsonb[], kind text DEFAULT NULL::text, '
    'idempotency_keys text[] DEFAULT NULL::text[], '
    'run_at timestamp with time zone DEFAULT NULL::timestamp with time zone, '
    'delay interval DEFAULT NULL::interval, priority integer DEFAULT 0, '
    'max_attempts integer DEFAULT NULL::integer, '
    'headers jsonb DEFAULT NULL::jsonb, ledger jsonb[] DEFAULT NULL::jsonb[]', 'SETOF bigint'),
  ('enqueue_trigger', '', 'trigger'),
  ('claim', 'queue text, worker text, max_jobs integer DEFAULT 1, '
    'lease interval DEFAULT NULL::interval', 'SETOF faultline.claimed_job'),
  ('claim_any', 'queues text[], worker text, max_jobs integer DEFAULT 1, '
    'lease interval DEFAULT NULL::interval', 'SETOF faultline.claimed_job'),
  ('wait_for_jobs', 'IN queues text[], IN max_wait interval DEFAULT ''00:00:20''::interval', NULL),
  ('complete', 'job_id bigint, lease_token bigint, result jsonb DEFAULT NULL::jsonb', 'text'),
  ('fail', 'job_id bigint, lease_token bigint, error text, '
    'retry_in interval DEFAULT NULL::interval, discard boolean DEFAULT false', 'text'),
  ('extend', 'job_id bigint, lease_token bigint, lease interval DEFAULT NULL::interval, '
    'progress jsonb DEFAULT NULL::jsonb', 'timestamp with time zone'),
  ('release', 'job_id bigint, lease_token bigint, delay interval DEFAULT NULL::interval', 'void'),
  ('complete_many', 'job_ids bigint[], lease_tokens bigint[], '
    'results jsonb[] DEFAULT NULL::jsonb[]', 'TABLE(job_id bigint, verdict text)'),
  ('turn', 'queue text, worker text, job_ids bigint[], lease_tokens bigint[], '
    'results jsonb[] DEFAULT NULL::jsonb[], max_jobs integer DEFAULT 1, '
    'lease interval DEFAULT NULL::interval', 'SETOF faultline.turn_row'),
  ('fail_many', 'job_ids bigint[], lease_tokens bigint[], errors text[]', 'TABLE(job_id bigint, '
    'verdict text)'),
  ('extend_many', 'job_ids bigint[], lease_tokens bigint[], '
    'lease interval DEFAULT NULL::interval', 'TABLE(job_id bigint, verdict text)'),
  ('cancel', 'job_ids bigint[], reason text DEFAULT NULL::text', 'TABLE(job_id bigint, '
    'verdict text)'),
  ('redrive', 'job_ids bigint[] DEFAULT NULL::bigint[], queue text DEFAULT NULL::text, '
    'max_jobs integer DEFAULT 1000, '
    'delay interval DEFAULT NULL::interval', 'TABLE(job_id bigint, verdict text)'),
  ('purge_dead_letters', 'queue text, older_than interval', 'bigint'),
  ('expire_leases', 'max_jobs integer DEFAULT 1000', 'bigint'),
  ('maintain', '', 'TABLE(duty text, done bigint, error text)'),
  ('adopt', '', 'void'),
  ('resolve_finding', 'finding_id bigint, resolution text', 'void'),
  ('status', '', 'TABLE(item text, state text, detail text, hint text)'),
  ('check_invariants', 'grace interval DEFAULT ''01:00:00''::interval', 'TABLE(invariant text, subject text, detail text)'),
  ('health', '', 'TABLE(item text, state text, detail text, hint text)'),
  ('start_worker', '', 'text'),
  ('stat_reset', 'queue text DEFAULT NULL::text', 'timestamp with time zone'),
  ('metrics', '', 'text'),
  ('clock_now', '', 'timestamp with time zone'),
  ('set_clock', 'now_at timestamp with time zone', 'timestamp with time zone'),
  ('advance_clock', 'step interval', 'timestamp with time zone'),
  ('grant_access', 'role regrole, level text, queues text[] DEFAULT NULL::text[]', 'void'),
  ('revoke_access', 'role regrole, level text, queues text[] DEFAULT NULL::text[]', 'void'),
  ('apply_ledger', 'job_id bigint, lease_token bigint, transaction_id text DEFAULT NULL::text, '
    'debit text DEFAULT NULL::text, credit text DEFAULT NULL::text, '
    'amount bigint DEFAULT NULL::bigint, asset text DEFAULT NULL::text, '
    'metadata jsonb DEFAULT NULL::jsonb',
    'TABLE(verdict text, entry_id bigint, applied_at timestamp with time zone)'),
  ('apply_and_complete', 'job_id bigint, lease_token bigint, '
    'transaction_id text DEFAULT NULL::text, debit text DEFAULT NULL::text, '
    'credit text DEFAULT NULL::text, amount bigint DEFAULT NULL::bigint, '
    'asset text DEFAULT NULL::text, metadata jsonb DEFAULT NULL::jsonb, '
    'result jsonb DEFAULT NULL::jsonb',
    'TABLE(verdict text, entry_id bigint, applied_at timestamp with time zone)'),
  ('apply_and_complete_many', 'job_ids bigint[], lease_tokens bigint[], '
    'results jsonb[] DEFAULT NULL::jsonb[]', 'TABLE(job_id bigint, verdict text)'),
  ('transaction_status', 'transaction_id text',
    'TABLE(state text, entry_id bigint, job_id bigint, failure_reason text)'),
  ('reverse_transaction', 'transaction_id text, new_transaction_id text, reason text', 'bigint'),
  ('create_asset', 'asset text, accounts_on_first_use boolean DEFAULT true, '
    'description text DEFAULT NULL::text', 'void'),
  ('open_account', 'account text, asset text, min_balance bigint DEFAULT NULL::bigint, '
    'max_balance bigint DEFAULT NULL::bigint, maintain_balance boolean DEFAULT true, '
    'description text DEFAULT NULL::text', 'void'),
  ('alter_account', 'account text, asset text, min_balance bigint DEFAULT NULL::bigint, '
    'max_balance bigint DEFAULT NULL::bigint', 'void'),
  ('close_account', 'account text, asset text', 'void'),
  ('account_balance', 'account text, asset text, '
    'as_of timestamp with time zone DEFAULT NULL::timestamp with time zone', 'numeric'),
  ('reconcile', 'max_rows integer DEFAULT 1000', 'TABLE(rule text, rows bigint)');

CREATE TEMP VIEW own_function AS
  SELECT p.* FROM pg_proc p
    JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
    JOIN pg_extension e ON e.oid = d.refobjid AND e.extname = 'faultline';

SELECT is_empty($$SELECT name FROM contract EXCEPT SELECT proname FROM own_function$$,
  'every function of the contract is there');
SELECT is_empty($$
  SELECT name, pg_get_function_arguments(p.oid), arguments
    FROM contract JOIN own_function p ON p.proname = name
   WHERE pg_get_function_arguments(p.oid)
           NOT IN (arguments, arguments || ', OUT job_id bigint, OUT verdict text')$$,
  'parameters have the names, types and defaults of the contract');
SELECT is_empty($$
  SELECT name, pg_get_function_result(p.oid), result
    FROM contract JOIN own_function p ON p.proname = name
   WHERE pg_get_function_result(p.oid) <> result$$,
  'results have the types and columns of the contract');
SELECT is_empty($$SELECT proname FROM own_function GROUP BY proname HAVING count(*) > 1$$,
  'no function is overloaded');
SELECT is_empty($$
  SELECT p.proname FROM pg_proc p WHERE p.pronamespace = 'faultline'::regnamespace
  EXCEPT SELECT proname FROM own_function$$,
  'the schema holds no function that is not a member of the extension');
SELECT is_empty($$SELECT proname FROM own_function WHERE proisstrict$$,
  'no function is STRICT: null is a clear error, not a silent null');
SELECT is_empty($$
  SELECT proname, provolatile FROM own_function JOIN contract ON name = proname
   WHERE provolatile <> 'v' AND proname NOT IN ('check_invariants', 'account_balance')$$,
  'whatever writes, or reads a clock that moves, is volatile');
SELECT is((SELECT array_agg(provolatile::text) FROM own_function
            WHERE proname IN ('check_invariants', 'account_balance')), '{s,s}',
  'check_invariants() and account_balance() read one snapshot');
SELECT is_empty($$
  SELECT proname, proparallel FROM own_function WHERE proparallel <> 'u'$$,
  'nothing runs in parallel workers: they can take no transaction id');
SELECT is_empty($$
  SELECT proname, description FROM own_function
    LEFT JOIN pg_description ON objoid = own_function.oid AND classoid = 'pg_proc'::regclass
   WHERE proname NOT IN (SELECT name FROM contract) AND prorettype <> 'trigger'::regtype
     AND description NOT LIKE 'Internal: %'
     AND proname NOT IN ('queue_visible', 'payload_visible')$$,
  'every other function says that it is internal, but those that the views ask');

SELECT is((
  SELECT array_agg(attname || ' ' || format_type(atttypid, atttypmod) ORDER BY attnum)
    FROM pg_attribute WHERE attrelid = 'faultline.claimed_job'::regclass AND attnum > 0),
  ARRAY['job_id bigint', 'queue text', 'kind text', 'payload jsonb', 'headers jsonb',
        'attempt integer', 'max_attempts integer', 'lease_token bigint',
        'lease_expires_at timestamp with time zone', 'enqueued_at timestamp with time zone',
        'last_error text', 'progress jsonb', 'ledger jsonb'],
  'claimed_job has the columns of the contract, in their order');
SELECT results_eq($$
  SELECT attname::text, atttypid FROM pg_attribute
   WHERE attrelid = 'faultline.turn_row'::regclass AND attnum > 0 AND attname <> 'verdict'
   ORDER BY attnum$$, $$
  SELECT attname::text, atttypid FROM pg_attribute
   WHERE attrelid = 'faultline.claimed_job'::regclass AND attnum > 0 ORDER BY attnum$$,
  'turn_row is claimed_job with a verdict');
SELECT is((SELECT attnum || ' ' || format_type(atttypid, NULL) FROM pg_attribute
            WHERE attrelid = 'faultline.turn_row'::regclass AND attname = 'verdict'),
  '2 text', 'the verdict is the second column of turn_row');
SELECT set_eq($$
  SELECT attname || ' ' || format_type(atttypid, atttypmod)
    FROM pg_attribute WHERE attrelid = 'faultline.jobs'::regclass AND attnum > 0$$,
  ARRAY['job_id bigint', 'queue text', 'kind text', 'state text', 'priority integer',
        'payload jsonb', 'headers jsonb', 'attempt integer', 'max_attempts integer',
        'next_run_at timestamp with time zone', 'lease_owner text',
        'lease_expires_at timestamp with time zone', 'enqueued_at timestamp with time zone',
        'finished_at timestamp with time zone', 'last_error text', 'result jsonb', 'progress jsonb',
        'idempotency_key text'],
  'the view jobs has the columns of the contract');

SELECT * FROM finish();
ROLLBACK;
