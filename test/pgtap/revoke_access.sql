-- revoke_access() takes back what grant_access() gave, all of it and nothing else; names of roles
-- may need quoting.
\set ON_ERROR_STOP 1
BEGIN;
\ir lib/call_as.sql
SELECT plan(28);

SELECT faultline.create_queue('a');
SELECT faultline.create_queue('b');
CREATE ROLE fresh;
CREATE ROLE clerk;

-- What a role holds in the database: privileges and rows of access.
CREATE FUNCTION pg_temp.holdings(who name) RETURNS TABLE (what text) LANGUAGE sql AS $$
  SELECT 'schema ' || privilege_type FROM pg_namespace, aclexplode(nspacl)
   WHERE nspname = 'faultline' AND grantee = quote_ident(who)::regrole
  UNION ALL
  SELECT 'function ' || proname FROM pg_proc, aclexplode(proacl)
   WHERE pronamespace = 'faultline'::regnamespace AND grantee = quote_ident(who)::regrole
  UNION ALL
  SELECT 'relation ' || relname || ' ' || privilege_type FROM pg_class, aclexplode(relacl)
   WHERE relnamespace = 'faultline'::regnamespace AND grantee = quote_ident(who)::regrole
  UNION ALL
  SELECT 'column ' || relname || '.' || attname FROM pg_attribute, aclexplode(attacl), pg_class c
   WHERE c.oid = attrelid AND relnamespace = 'faultline'::regnamespace
     AND grantee = quote_ident(who)::regrole
  UNION ALL
  SELECT format('access %s %s', level, queue) FROM faultline.queue_access WHERE role_name = who
$$;

-- One level after the other, on all queues and on one.
CREATE FUNCTION pg_temp.grant_and_revoke(level text, queues text[]) RETURNS SETOF text
  LANGUAGE plpgsql AS $$
BEGIN
  PERFORM faultline.grant_access('clerk', level, queues);
  IF NOT EXISTS (SELECT FROM pg_temp.holdings('clerk')) THEN
    RETURN NEXT 'nothing was granted';
  END IF;
  PERFORM faultline.revoke_access('clerk', level, queues);
  RETURN QUERY SELECT * FROM pg_temp.holdings('clerk');
END $$;
SELECT is_empty(format('SELECT * FROM pg_temp.grant_and_revoke(%L, %L)', level, queues),
  format('revoking %s of %s leaves nothing', level, coalesce(queues::text, 'all queues')))
  FROM unnest(ARRAY['producer', 'worker', 'operator', 'monitor']) AS level,
       (VALUES (NULL::text[]), ('{a}')) AS v (queues);

-- Of two queues, one.
SELECT faultline.grant_access('clerk', 'worker', '{a,b}');
SELECT faultline.revoke_access('clerk', 'worker', '{a}');
SELECT is(pg_temp.call_as('clerk', $$SELECT faultline.claim('a', 'w')$$), '42501',
  'the queue that was revoked is closed, at once and in the same session');
SELECT is(pg_temp.call_as('clerk', $$SELECT faultline.claim('b', 'w')$$), '00000',
  'the other one is still open');
SELECT faultline.revoke_access('clerk', 'worker');
SELECT is_empty($$SELECT * FROM pg_temp.holdings('clerk')$$,
  'revoking a level everywhere includes what was granted by queue');
SELECT lives_ok($$SELECT faultline.revoke_access('clerk', 'worker')$$,
  'revoking what was not granted is no error');

-- A grant for all queues is not one for each: a single queue cannot be taken out of it.
SELECT faultline.grant_access('clerk', 'worker');
SELECT throws_ok($$SELECT faultline.revoke_access('clerk', 'worker', '{a}')$$, '55000', NULL,
  'one queue cannot be revoked from a grant for all of them');
SELECT faultline.revoke_access('clerk', 'worker');

-- Levels share functions and views; the other level keeps them.
CREATE TEMP TABLE pair AS
  SELECT kept, revoked FROM unnest(ARRAY['producer', 'worker', 'operator', 'monitor']) AS kept,
         unnest(ARRAY['producer', 'worker', 'operator', 'monitor']) AS revoked
   WHERE kept <> revoked;
CREATE FUNCTION pg_temp.holdings_differ(kept text, revoked text) RETURNS SETOF text
  LANGUAGE plpgsql AS $$
DECLARE
  alone text[];
  left_over text[];
BEGIN
  PERFORM faultline.grant_access('clerk', kept, '{a}');
  alone := ARRAY(SELECT h.what FROM pg_temp.holdings('clerk') h ORDER BY 1);
  PERFORM faultline.grant_access('clerk', revoked, '{b}');
  PERFORM faultline.revoke_access('clerk', revoked);
  left_over := ARRAY(SELECT h.what FROM pg_temp.holdings('clerk') h ORDER BY 1);
  PERFORM faultline.revoke_access('clerk', kept);
  RETURN QUERY SELECT 'lost ' || w FROM unnest(alone) w WHERE w <> ALL (left_over)
         UNION ALL SELECT 'left ' || w FROM unnest(left_over) w WHERE w <> ALL (alone);
END $$;
SELECT is_empty($$SELECT kept, revoked, d FROM pair, pg_temp.holdings_differ(kept, revoked) d$$,
  'after one of two levels is revoked a role holds what the other alone would have given');
SELECT is_empty($$SELECT * FROM pg_temp.holdings('clerk')$$, 'and then nothing');

SELECT lives_ok('DROP ROLE clerk', 'a role whose access was revoked can be dropped');
SELECT is_empty($$SELECT * FROM faultline.queue_access$$, 'no row of access is left');

-- Mistakes are named.
SELECT throws_ok($$SELECT faultline.grant_access('fresh', 'worker', '{nowhere}')$$, 'JQ005');
SELECT throws_ok($$SELECT faultline.grant_access('fresh', 'boss')$$, '22023');
SELECT throws_ok($$SELECT faultline.grant_access('fresh', NULL)$$, '22004');
SELECT throws_ok($$SELECT faultline.grant_access(NULL, 'worker')$$, '22004');
SELECT throws_ok($$SELECT faultline.revoke_access('fresh', 'boss')$$, '22023');
SELECT is_empty($$SELECT * FROM pg_temp.holdings('fresh')$$, 'a refused grant grants nothing');

-- Names that need quoting.
SELECT $q$Zoe's "big" Team; DROP$q$ AS odd \gset
CREATE ROLE :"odd";
SELECT faultline.grant_access(quote_ident(:'odd')::regrole, 'producer', '{a}');
SELECT is(pg_temp.call_as(:'odd', $$SELECT faultline.enqueue('a')$$), '00000',
  'a role with an odd name is granted access');
SELECT is(pg_temp.call_as(:'odd', $$SELECT faultline.enqueue('b')$$), '42501',
  'to its queue alone');

-- The HINT of the refusal is a statement that can be run as it is.
CREATE FUNCTION pg_temp.hint_as(role_name name, statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  hint text;
BEGIN
  EXECUTE format('SET LOCAL ROLE %I', role_name);
  EXECUTE statement;
  RETURN NULL;
EXCEPTION WHEN insufficient_privilege THEN
  GET STACKED DIAGNOSTICS hint = PG_EXCEPTION_HINT;
  RETURN hint;
END $$;
SELECT substring(pg_temp.hint_as(:'odd', $$SELECT faultline.enqueue('b')$$)
                 FROM '(SELECT .*;)$') AS hint \gset
SELECT lives_ok(:'hint', 'the hint of a refusal runs');
SELECT is(pg_temp.call_as(:'odd', $$SELECT faultline.enqueue('b')$$), '00000',
  'and grants what was missing');

SELECT faultline.revoke_access(quote_ident(:'odd')::regrole, 'producer');
SELECT is_empty(format('SELECT * FROM pg_temp.holdings(%L)', :'odd'),
  'access of a role with an odd name is revoked');

SELECT * FROM finish();
ROLLBACK;
