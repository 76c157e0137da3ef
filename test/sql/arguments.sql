-- Arguments: null for every argument of every function, and numbers, intervals and texts out of bounds.
\set sqlstate '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'
\set SHOW_CONTEXT never
SET timezone = 'UTC';
SET datestyle = 'ISO';
SET intervalstyle = 'postgres';
SELECT faultline.set_clock('2026-01-01 00:00Z') \gset
ALTER SEQUENCE faultline.job_id_seq RESTART 1000001;
SELECT faultline.create_queue('args', max_attempts => 3) \gset
CREATE ROLE regress_faultline_args;
SELECT faultline.enqueue('args', priority => -5) \gset
SELECT job_id, lease_token FROM faultline.claim('args', 'w') \gset
SELECT faultline.create_asset('EUR'), faultline.open_account('shop', 'EUR') \gset
SELECT faultline.enqueue('args', priority => -6, ledger => '{"transaction_id": "done", "debit": "a", "credit": "b",
                         "amount": 1, "asset": "EUR"}') AS done \gset
SELECT job_id AS done, lease_token AS done_token FROM faultline.claim('args', 'w') \gset
SELECT verdict FROM faultline.apply_and_complete(:done, :done_token) \gset
\pset format unaligned
\pset footer off
\pset tuples_only on
-- What a call answers; whatever it did is taken back.
CREATE FUNCTION pg_temp.answer(call text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  message text;
  detail text;
  hint text;
  state text;
BEGIN
  EXECUTE 'SELECT count(*) FROM ' || call;
  RAISE EXCEPTION USING ERRCODE = 'U0000';
EXCEPTION
  WHEN SQLSTATE 'U0000' THEN
    RETURN 'ok';
  WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, state = RETURNED_SQLSTATE,
                            detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
    RETURN format(E'%s %s\n  DETAIL: %s\n  HINT: %s', state, message, detail, hint);
END $$;

-- A legal value of each argument of each function.
CREATE TEMP TABLE legal (function text, argument text, value text);
INSERT INTO legal SELECT function, argument, replace(replace(value, '$job', :'job_id'), '$token', :'lease_token')
  FROM (VALUES
  ('create_queue', 'name', '''new'''), ('alter_queue', 'name', '''args'''), ('pause_queue', 'name', '''args'''),
  ('resume_queue', 'name', '''args'''), ('drop_queue', 'name', '''args'''), ('drop_queue', 'force', 'true'),
  ('enqueue', 'queue', '''args'''), ('enqueue', 'payload', '''{}'''), ('enqueue', 'run_at', 'NULL'),
  ('enqueue_many', 'queue', '''args'''), ('enqueue_many', 'payloads', '''{1,2}'''),
  ('enqueue_many', 'idempotency_keys', '''{a,b}'''),
  ('claim', 'queue', '''args'''), ('claim', 'worker', '''w'''), ('claim', 'max_jobs', '1'),
  ('claim_any', 'queues', '''{args}'''), ('claim_any', 'worker', '''w'''), ('claim_any', 'max_jobs', '1'),
  ('complete_many', 'job_ids', '''{$job}'''), ('complete_many', 'lease_tokens', '''{$token}'''),
  ('complete_many', 'results', '''{1}'''), ('fail_many', 'job_ids', '''{$job}'''),
  ('fail_many', 'lease_tokens', '''{$token}'''), ('fail_many', 'errors', '''{e}'''),
  ('extend_many', 'job_ids', '''{$job}'''), ('extend_many', 'lease_tokens', '''{$token}'''),
  ('fail', 'error', '''e'''), ('cancel', 'job_ids', '''{$job}'''), ('redrive', 'job_ids', '''{$job}'''),
  ('purge_dead_letters', 'queue', '''args'''), ('purge_dead_letters', 'older_than', '''1 h'''),
  ('create_asset', 'asset', '''USD'''), ('transaction_status', 'transaction_id', '''done'''),
  ('reverse_transaction', 'transaction_id', '''done'''), ('reverse_transaction', 'new_transaction_id', '''undo'''),
  ('reverse_transaction', 'reason', '''wrong'''), ('open_account', 'account', '''new'''),
  ('set_clock', 'now_at', '''2026-01-01 00:00Z'''), ('advance_clock', 'step', '''1 s'''),
  ('grant_access', 'role', '''regress_faultline_args'''), ('grant_access', 'level', '''worker'''),
  ('grant_access', 'queues', '''{args}'''), ('revoke_access', 'role', '''regress_faultline_args'''),
  ('resolve_finding', 'finding_id', '-1'), ('resolve_finding', 'resolution', '''known'''),
  ('check_invariants', 'grace', '''1 h'''),
  ('revoke_access', 'level', '''worker'''), ('revoke_access', 'queues', '''{args}'''))
  AS v (function, argument, value);
INSERT INTO legal SELECT f, a, CASE a WHEN 'job_id' THEN :'job_id' ELSE :'lease_token' END
  FROM unnest('{complete,fail,extend,release,apply_ledger,apply_and_complete}'::text[]) AS f,
       unnest('{job_id,lease_token}'::text[]) AS a;
INSERT INTO legal SELECT f, argument, value FROM legal, unnest('{apply_and_complete_many,turn}'::text[]) AS f
 WHERE function = 'complete_many';
INSERT INTO legal SELECT 'turn', argument, value FROM legal WHERE function = 'claim';
INSERT INTO legal SELECT f, a, v FROM unnest('{apply_ledger,apply_and_complete}'::text[]) AS f,
  (VALUES ('transaction_id', '''t'''), ('debit', '''a'''), ('credit', '''b'''), ('amount', '1'), ('asset', '''EUR'''))
  AS v (a, v);
INSERT INTO legal SELECT f, a, v FROM unnest('{alter_account,close_account,account_balance}'::text[]) AS f,
  (VALUES ('account', '''shop'''), ('asset', '''EUR''')) AS v (a, v);
INSERT INTO legal VALUES ('open_account', 'asset', '''EUR''');
CREATE TEMP VIEW arguments AS
  SELECT p.proname AS function, a.name AS argument, a.position, format_type(a.type, NULL) AS type
    FROM pg_proc p JOIN pg_description d ON d.objoid = p.oid AND d.classoid = 'pg_proc'::regclass,
         unnest(p.proargnames, p.proargtypes::oid[]) WITH ORDINALITY AS a (name, type, position)
   WHERE p.pronamespace = 'faultline'::regnamespace AND p.prokind = 'f' AND a.type IS NOT NULL
     AND d.description !~ '^(Internal|Trigger):' AND p.proname !~ '_visible$';
-- A call with one argument given, the others legal or left to their defaults.
CREATE FUNCTION pg_temp.call(called text, given text, value text) RETURNS text LANGUAGE sql AS $$
  SELECT format('faultline.%s(%s)', called, string_agg(a, ', '))
    FROM (SELECT format('%s => %s', l.argument, l.value) AS a FROM legal l
           WHERE l.function = called AND l.argument <> given AND l.value <> 'NULL'
          UNION ALL SELECT format('%s => %s', given, value)) AS s
$$;

--
-- The legal values are legal
--
SELECT format('%s: %s', function, pg_temp.answer(format('faultline.%s(%s)', function,
         string_agg(format('%s => %s', argument, value), ', ') FILTER (WHERE value <> 'NULL'))))
  FROM legal GROUP BY function ORDER BY function;

--
-- Null for every argument of every function
--
SELECT format('%s(%s => NULL): %s', function, argument, pg_temp.answer(pg_temp.call(function, argument, 'NULL')))
  FROM arguments ORDER BY function, position;

--
-- Integers: the bounds, and one beyond them
--
SELECT format('%s(%s => %s): %s', function, argument, value, pg_temp.answer(pg_temp.call(function, argument, value)))
  FROM arguments JOIN (VALUES
    ('priority', '-2147483648'), ('priority', '-32769'), ('priority', '-32768'), ('priority', '32767'),
    ('priority', '32768'), ('priority', '2147483647'),
    ('max_attempts', '-2147483648'), ('max_attempts', '0'), ('max_attempts', '1'), ('max_attempts', '10000'),
    ('max_attempts', '10001'), ('max_attempts', '2147483647'),
    ('max_backlog', '-1'), ('max_backlog', '0'), ('max_backlog', '1'), ('max_backlog', '1000000000'),
    ('max_backlog', '1000000001'),
    ('max_jobs', '-2147483648'), ('max_jobs', '0'), ('max_jobs', '1'), ('max_jobs', '10000'),
    ('max_jobs', '10001'), ('max_jobs', '100000'), ('max_jobs', '100001'),
    ('max_rows', '-2147483648'), ('max_rows', '0'), ('max_rows', '1'), ('max_rows', '100000'), ('max_rows', '100001'),
    ('amount', '-9223372036854775808'), ('amount', '-1'), ('amount', '0'), ('amount', '1'),
    ('amount', '4611686018427387904'), ('amount', '4611686018427387905'), ('amount', '9223372036854775807'),
    ('min_balance', '-9223372036854775808'), ('min_balance', '9223372036854775807'),
    ('max_balance', '-9223372036854775808'), ('max_balance', '9223372036854775807')) AS v (name, value) ON argument = name
 ORDER BY argument, function, value::bigint;

--
-- Intervals: negative, zero, the bounds and one beyond them, and what fits no 64 bits
--
SELECT format('%s(%s => %s): %s', function, argument, value, pg_temp.answer(pg_temp.call(function, argument, value)))
  FROM arguments, (VALUES (1, '''-178000000 years'''), (2, '''-1 us'''), (3, '''0'''), (4, '''99 ms'''),
                   (5, '''100 ms'''), (6, '''1 day'''), (7, '''1 day 1 us'''), (8, '''3650 days'''),
                   (9, '''3650 days 1 us'''), (10, '''178000000 years'''),
                   (11, '''2147483647 months 2147483647 days'''), (12, '''999999 us'''),
                   (13, '''1 s'''), (14, '''30 days'''), (15, '''30 days 1 us''')) AS v (nr, value)
 WHERE type = 'interval' AND function <> 'advance_clock'
   AND (argument IN ('max_runtime', 'expected_runtime') OR nr < 12)
   AND (argument <> 'lease' OR nr NOT IN (8, 9)) AND (argument IN ('lease', 'expected_runtime') OR nr NOT IN (4, 5, 6, 7))
 ORDER BY argument, function, nr;

--
-- Floating point: the bounds, one beyond them, and what is no number
--
SELECT format('%s(%s => %s): %s', function, argument, value, pg_temp.answer(pg_temp.call(function, argument, value)))
  FROM arguments JOIN (VALUES
    ('backoff_factor', '0.9999'), ('backoff_factor', '1'), ('backoff_factor', '100'), ('backoff_factor', '100.0001'),
    ('backoff_factor', '''NaN'''), ('backoff_factor', '''Infinity'''), ('backoff_factor', '''-Infinity'''),
    ('retry_budget', '-0.1'), ('retry_budget', '0'), ('retry_budget', '0.0099'), ('retry_budget', '0.01'),
    ('retry_budget', '1'), ('retry_budget', '1.0001'), ('retry_budget', '''NaN'''), ('retry_budget', '''Infinity'''),
    ('backoff_jitter', '-1e-300'), ('backoff_jitter', '0'), ('backoff_jitter', '1'), ('backoff_jitter', '1.0001'),
    ('backoff_jitter', '''NaN'''), ('backoff_jitter', '''Infinity'''), ('backoff_jitter', '''-0''')) AS v (name, value)
       ON argument = name
 ORDER BY argument, function, value;

--
-- Texts: empty, the longest, one byte longer
--
SELECT format('%s(%s => %s): %s', function, argument, what,
              pg_temp.answer(pg_temp.call(function, argument, quote_literal(value))))
  FROM arguments JOIN (VALUES
    ('kind', 1, 'empty', ''), ('kind', 2, '128 bytes', repeat('k', 128)), ('kind', 3, '130 bytes', repeat('é', 65)),
    ('worker', 1, 'empty', ''), ('worker', 2, '256 bytes', repeat('w', 256)), ('worker', 3, '257 bytes', repeat('w', 257)),
    ('idempotency_key', 1, 'empty', ''), ('idempotency_key', 2, '512 bytes', repeat('i', 512)),
    ('idempotency_key', 3, '513 bytes', repeat('i', 513)),
    ('reason', 1, 'empty', ''), ('reason', 2, '1024 bytes', repeat('r', 1024)), ('reason', 3, '1025 bytes', repeat('r', 1025)),
    ('transaction_id', 1, 'empty', ''), ('transaction_id', 2, '255 bytes', repeat('t', 255)),
    ('transaction_id', 3, '267 bytes', repeat('t', 267)), ('transaction_id', 4, '268 bytes', repeat('é', 134)),
    ('new_transaction_id', 1, 'empty', ''), ('new_transaction_id', 2, '255 bytes', repeat('t', 255)),
    ('new_transaction_id', 3, '256 bytes', repeat('t', 256)),
    ('debit', 1, 'empty', ''), ('debit', 2, '255 bytes', repeat('d', 255)), ('debit', 3, '256 bytes', repeat('d', 256)),
    ('debit', 4, 'the credit', 'b'),
    ('credit', 1, 'empty', ''), ('credit', 2, '255 bytes', repeat('c', 255)), ('credit', 3, '256 bytes', repeat('c', 256)),
    ('account', 1, 'empty', ''), ('account', 2, '255 bytes', repeat('a', 255)), ('account', 3, '256 bytes', repeat('a', 256)),
    ('asset', 1, 'empty', ''), ('asset', 2, '64 bytes', repeat('A', 64)), ('asset', 3, '65 bytes', repeat('A', 65)),
    ('level', 1, 'empty', ''), ('level', 2, 'unknown', 'admin'), ('level', 3, 'SQL', 'worker''; --'))
    AS v (name, nr, what, value) ON argument = name
 ORDER BY argument, function, nr;

-- Nothing of all this was kept.
SELECT job_id, state, attempt FROM faultline.jobs WHERE queue = 'args';
SELECT count(*) FROM faultline.stat_queues;
SELECT faultline.clock_now();
SELECT count(*) FROM faultline.queue_access;
DROP ROLE regress_faultline_args;

SELECT faultline.drop_queue(queue, force => true) FROM faultline.stat_queues ORDER BY queue;
SELECT faultline.set_clock(NULL) \gset
SELECT sum(rows) >= 0 AS reconciled FROM faultline.reconcile();
SELECT * FROM faultline.check_invariants();
