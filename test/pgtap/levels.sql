-- Each level may do exactly its verbs: as the catalog tells it, and as calls of each role show.
\set ON_ERROR_STOP 1
BEGIN;
\ir lib/call_as.sql
SELECT plan(18);

CREATE ROLE a_producer;
CREATE ROLE a_worker;
CREATE ROLE an_operator;
CREATE ROLE a_monitor;
CREATE TEMP TABLE level_role (level text, role_name name);
INSERT INTO level_role VALUES ('producer', 'a_producer'), ('worker', 'a_worker'),
  ('operator', 'an_operator'), ('monitor', 'a_monitor');
SELECT faultline.create_queue('mail');
SELECT faultline.create_asset('EUR');
SELECT faultline.open_account('till', 'EUR');
SELECT faultline.grant_access(role_name::text::regrole, level) FROM level_role;

-- One call of each verb, who may make it, and what it then answers: 00000, or the error that
-- shows that the call went in.  A level not named gets 42501.
CREATE TEMP TABLE verb (name text, levels text[], statement text, answer text);
INSERT INTO verb VALUES
  ('enqueue', '{producer}', $$SELECT faultline.enqueue('mail')$$, '00000'),
  ('enqueue_many', '{producer}', $$SELECT faultline.enqueue_many('mail', '{1,2}')$$, '00000'),
  ('claim', '{worker}', $$SELECT faultline.claim('mail', 'w')$$, '00000'),
  ('claim_any', '{worker}', $$SELECT faultline.claim_any('{mail}', 'w')$$, '00000'),
  ('wait_for_jobs', '{worker}', $$CALL faultline.wait_for_jobs('{mail}')$$, '2D000'),
  ('complete', '{worker}', $$SELECT faultline.complete(-1, 1)$$, 'JQ002'),
  ('complete_many', '{worker}', $$SELECT faultline.complete_many('{-1}', '{1}')$$, '00000'),
  ('turn', '{worker}', $$SELECT faultline.turn('mail', 'w', '{-1}', '{1}')$$, '00000'),
  ('fail', '{worker}', $$SELECT faultline.fail(-1, 1, 'no')$$, 'JQ002'),
  ('fail_many', '{worker}', $$SELECT faultline.fail_many('{-1}', '{1}', '{no}')$$, '00000'),
  ('extend', '{worker}', $$SELECT faultline.extend(-1, 1)$$, 'JQ002'),
  ('extend_many', '{worker}', $$SELECT faultline.extend_many('{-1}', '{1}')$$, '00000'),
  ('release', '{worker}', $$SELECT faultline.release(-1, 1)$$, 'JQ002'),
  ('create_queue', '{operator}', $$SELECT faultline.create_queue('made')$$, '00000'),
  ('alter_queue', '{operator}', $$SELECT faultline.alter_queue('mail', lease => '9 s')$$, '00000'),
  ('pause_queue', '{operator}', $$SELECT faultline.pause_queue('mail')$$, '00000'),
  ('resume_queue', '{operator}', $$SELECT faultline.resume_queue('mail')$$, '00000'),
  ('drop_queue', '{operator}', $$SELECT faultline.drop_queue('made')$$, '00000'),
  ('cancel', '{operator}', $$SELECT faultline.cancel('{-1}')$$, '00000'),
  ('redrive', '{operator}', $$SELECT faultline.redrive(queue => 'mail')$$, '00000'),
  ('purge_dead_letters', '{operator}',
    $$SELECT faultline.purge_dead_letters('mail', '0')$$, '00000'),
  ('expire_leases', '{operator}', $$SELECT faultline.expire_leases()$$, '00000'),
  ('apply_ledger', '{worker}', $$SELECT faultline.apply_ledger(-1, 1)$$, 'JQ002'),
  ('apply_and_complete', '{worker}', $$SELECT faultline.apply_and_complete(-1, 1)$$, 'JQ002'),
  ('apply_and_complete_many', '{worker}',
    $$SELECT faultline.apply_and_complete_many('{-1}', '{1}')$$, '00000'),
  ('transaction_status', '{producer,worker,operator}',
    $$SELECT faultline.transaction_status('none')$$, '00000'),
  ('reverse_transaction', '{operator}',
    $$SELECT faultline.reverse_transaction('none', 'new', 'why')$$, '22023'),
  ('create_asset', '{operator}', $$SELECT faultline.create_asset('points')$$, '00000'),
  ('open_account', '{operator}', $$SELECT faultline.open_account('purse', 'EUR')$$, '00000'),
  ('alter_account', '{operator}', $$SELECT faultline.alter_account('till', 'EUR')$$, '00000'),
  ('account_balance', '{operator}', $$SELECT faultline.account_balance('till', 'EUR')$$, '00000'),
  ('close_account', '{operator}', $$SELECT faultline.close_account('purse', 'EUR')$$, '22023'),
  ('reconcile', '{operator}', $$SELECT * FROM faultline.reconcile()$$, '00000'),
  ('maintain', '{operator}', $$SELECT * FROM faultline.maintain()$$, '00000'),
  ('adopt', '{operator}', $$SELECT faultline.adopt()$$, '00000'),
  ('resolve_finding', '{operator}', $$SELECT faultline.resolve_finding(-1, 'no')$$, '22023'),
  ('status', '{operator,monitor}', $$SELECT * FROM faultline.status()$$, '00000'),
  ('health', '{operator,monitor}', $$SELECT * FROM faultline.health()$$, '00000'),
  ('start_worker', '{operator}', NULL, NULL),
  ('stat_reset', '{operator}', $$SELECT faultline.stat_reset('mail')$$, '00000'),
  ('metrics', '{operator,monitor}', $$SELECT faultline.metrics()$$, '00000'),
  ('duties', '{producer,worker,operator,monitor}', $$SELECT * FROM faultline.duties()$$, '00000'),
  ('check_invariants', '{operator,monitor}',
    $$SELECT * FROM faultline.check_invariants()$$, '00000'),
  ('lease_end', '{producer,worker,operator,monitor}',
    $$SELECT faultline.lease_end(1, 1, now(), now(), 1, 1)$$, '00000'),
  ('clock_now', '{producer,worker,operator,monitor}', $$SELECT faultline.clock_now()$$, '00000'),
  -- For the owners of the extension alone.
  ('grant_access', '{}', $$SELECT faultline.grant_access('a_worker', 'operator')$$, NULL),
  ('revoke_access', '{}', $$SELECT faultline.revoke_access('a_worker', 'worker')$$, NULL),
  ('set_clock', '{}', $$SELECT faultline.set_clock('2030-01-01')$$, NULL),
  ('advance_clock', '{}', $$SELECT faultline.advance_clock('1 day')$$, NULL);

-- A trigger function is not called; creating a trigger takes EXECUTE.
INSERT INTO verb VALUES ('enqueue_trigger', '{producer}', NULL, NULL);
-- What the views ask, as the user who reads them.
INSERT INTO verb VALUES ('queue_visible', '{producer,worker,operator,monitor}', NULL, NULL),
  ('payload_visible', '{producer,worker,operator,monitor}', NULL, NULL);
INSERT INTO verb VALUES ('memory_slots', '{operator,monitor}', 'SELECT * FROM faultline.stat_memory', '00000'),
  ('memory_segments', '{operator,monitor}', 'SELECT * FROM faultline.stat_memory', '00000'),
  ('open_transactions', '{operator,monitor}', 'SELECT * FROM faultline.stat_ledger', '00000');
INSERT INTO verb SELECT name, '{producer,worker,operator,monitor}', 'SELECT * FROM faultline.' || view, '00000'
  FROM (VALUES ('queue_figures', 'stat_queues'), ('event_totals', 'stat_events'), ('latency_totals', 'stat_latency'),
               ('latency_quantile', 'stat_latency'), ('latency_bounds', 'stat_latency'),
               ('running_jobs', 'stat_activity'), ('worker_totals', 'stat_workers'), ('waiting_now', 'stat_workers')) AS v (name, view);

SELECT is_empty(format($$
  SELECT p.proname, has_function_privilege(%2$L, p.oid, 'EXECUTE') AS may
    FROM pg_proc p LEFT JOIN verb v ON v.name = p.proname
   WHERE p.pronamespace = 'faultline'::regnamespace
     AND has_function_privilege(%2$L, p.oid, 'EXECUTE')
         IS DISTINCT FROM coalesce(%1$L = ANY (v.levels), false)$$, level, role_name),
  format('level %s may execute exactly its functions', level))
  FROM level_role ORDER BY level;

CREATE TEMP TABLE called AS
  SELECT r.level, v.name, pg_temp.call_as(r.role_name, v.statement) AS answer
    FROM level_role r CROSS JOIN verb v WHERE v.statement IS NOT NULL
   ORDER BY r.level, v.name;  -- create_queue comes before drop_queue
SELECT is_empty(format($$
  SELECT name, c.answer FROM called c JOIN verb v USING (name)
   WHERE c.level = %1$L AND c.answer IS DISTINCT FROM
         CASE WHEN c.level = ANY (v.levels) THEN v.answer ELSE '42501' END$$, level),
  format('calls of level %s succeed for its verbs and are refused for the others', level))
  FROM level_role ORDER BY level;

-- Reading.  Payloads and what else the application wrote are hidden from monitors.
CREATE TEMP TABLE hidden AS
  SELECT * FROM (VALUES ('jobs', '{payload,headers,result,progress,idempotency_key}'::name[]),
                        ('dead_letters', '{payload,headers,progress,idempotency_key,history}'))
    AS v (view_name, columns);
SELECT is_empty($$
  SELECT r.level, h.view_name, a.attname
    FROM level_role r CROSS JOIN hidden h
    JOIN pg_attribute a ON a.attrelid = ('faultline.' || h.view_name)::regclass AND a.attnum > 0
   WHERE has_column_privilege(r.role_name, a.attrelid, a.attnum, 'SELECT')
         <> (r.level <> 'monitor' OR a.attname <> ALL (h.columns))$$,
  'a monitor reads every column but the hidden ones, the others read all');
SELECT is_empty($$
  SELECT view_name, c FROM hidden, unnest(columns) AS c
   WHERE pg_temp.call_as('a_monitor', format('SELECT %I FROM faultline.%I', c, view_name))
     <> '42501'
      OR pg_temp.call_as('a_monitor', format('SELECT * FROM faultline.%I', view_name)) <> '42501'$$,
  'a monitor that selects a hidden column is refused');
SELECT is(pg_temp.call_as('a_monitor',
  'SELECT job_id, queue, kind, state, priority, attempt, max_attempts, next_run_at, lease_owner,
          lease_expires_at, enqueued_at, finished_at, last_error FROM faultline.jobs'), '00000',
  'a monitor selects the other columns');
SELECT is(pg_temp.call_as('a_monitor',
  'SELECT job_id FROM faultline.jobs WHERE payload @> ''{}'''), '42501',
  'a monitor cannot guess payloads by a condition on them');
SELECT is_empty($$
  SELECT role_name, v, pg_temp.call_as(role_name, 'SELECT count(*) FROM faultline.' || v)
    FROM level_role, unnest(ARRAY['jobs', 'dead_letters', 'attempts', 'stat_queues']) AS v
   WHERE pg_temp.call_as(role_name, 'SELECT count(*) FROM faultline.' || v) <> '00000'$$,
  'every level counts rows of every public view');
SELECT is_empty($$
  SELECT level, v FROM level_role, unnest(ARRAY['stat_audit', 'findings']) AS v
   WHERE pg_temp.call_as(role_name, 'SELECT * FROM faultline.' || v)
         <> CASE WHEN level IN ('operator', 'monitor') THEN '00000' ELSE '42501' END$$,
  'operators and monitors see the audit and its findings, nobody else');
-- The till is maintained, the other account is summed up, which takes a look at all entries.
SELECT faultline.open_account('sales', 'EUR', maintain_balance => false);
SELECT is_empty($$
  SELECT level, v, pg_temp.call_as(role_name, 'SELECT * FROM faultline.' || v)
    FROM level_role, unnest(ARRAY['transactions', 'accounts', 'postings']) AS v
   WHERE pg_temp.call_as(role_name, 'SELECT * FROM faultline.' || v) <>
         CASE WHEN level = 'operator' OR (v = 'transactions' AND level <> 'monitor')
              THEN '00000' ELSE '42501' END$$,
  'all but monitors read the ledger''s transactions, operators accounts and postings, too');

-- Rows are for functions alone.
SELECT is_empty($$
  SELECT role_name, relname, privilege FROM level_role, pg_class,
         unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER'])
           AS privilege
   WHERE relnamespace = 'faultline'::regnamespace
     AND (relkind IN ('r', 'p') OR relname = 'visible_queues')
     AND has_table_privilege(role_name, pg_class.oid, privilege)$$,
  'no level reads or writes a table');
SELECT is_empty($$
  SELECT role_name, v, privilege FROM level_role,
         unnest(ARRAY['jobs', 'dead_letters', 'attempts', 'stat_queues', 'transactions',
                      'accounts', 'postings']) AS v,
         unnest(ARRAY['INSERT', 'UPDATE', 'DELETE', 'TRUNCATE',
           'REFERENCES', 'TRIGGER']) AS privilege
   WHERE has_table_privilege(role_name, 'faultline.' || v, privilege)$$,
  'no level writes through a view');
SELECT is_empty($$
  SELECT role_name, relname FROM level_role, pg_class
   WHERE relnamespace = 'faultline'::regnamespace AND relkind = 'S'
     AND has_sequence_privilege(role_name, pg_class.oid, 'USAGE, SELECT, UPDATE')$$,
  'no level touches a sequence');

SELECT * FROM finish();
ROLLBACK;
