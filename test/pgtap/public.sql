-- PUBLIC, and so a role that was granted nothing, can do nothing with the extension.
\set ON_ERROR_STOP 1
BEGIN;
\ir lib/call_as.sql
SELECT plan(15);

SELECT faultline.create_queue('mail');
SELECT faultline.enqueue('mail', '{"secret": true}');
CREATE ROLE stranger;

CREATE TEMP VIEW own_relation AS
  SELECT oid, relname, relkind, relacl FROM pg_class
   WHERE relnamespace = 'faultline'::regnamespace;
CREATE TEMP VIEW own_function AS
  SELECT oid, proname, proacl FROM pg_proc WHERE pronamespace = 'faultline'::regnamespace;
-- The privilege that reading or writing an object of this kind takes.
CREATE FUNCTION pg_temp.reachable(role_name text) RETURNS TABLE (what text)
  LANGUAGE sql AS $$
  SELECT 'function ' || proname FROM own_function
   WHERE has_function_privilege(role_name, oid, 'EXECUTE')
  UNION ALL
  SELECT 'relation ' || relname FROM own_relation
   WHERE relkind IN ('r', 'p', 'v')
     AND (has_table_privilege(role_name, oid,
            'SELECT, INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER')
          OR has_any_column_privilege(role_name, oid, 'SELECT, INSERT, UPDATE, REFERENCES'))
  UNION ALL
  SELECT 'sequence ' || relname FROM own_relation
   -- The order of conditions is the planner's, and of a table this one is an error.
   WHERE CASE WHEN relkind = 'S' THEN has_sequence_privilege(role_name, oid, 'USAGE, SELECT, UPDATE') END
$$;

-- The tests below would pass on an empty schema.
SELECT cmp_ok((SELECT count(*) FROM own_function), '>=', 29::bigint,
  'there are functions to guard');
SELECT cmp_ok((SELECT count(*) FROM own_relation WHERE relkind IN ('r', 'p', 'v', 'S')), '>=',
  17::bigint, 'there are tables, partitions, views and sequences to guard');
SELECT cmp_ok((SELECT count(*) FROM pg_temp.reachable('postgres')), '>=', 46::bigint,
  'the owner reaches all of it');

SELECT is_empty($$SELECT * FROM pg_temp.reachable('stranger')$$,
  'a role without a grant reaches no function, table, view or sequence');
SELECT is_empty($$SELECT proname FROM own_function
  WHERE proacl IS NULL OR EXISTS (SELECT FROM aclexplode(proacl) WHERE grantee = 0)$$,
  'no function is granted to PUBLIC');
SELECT is_empty($$SELECT relname FROM own_relation
  WHERE EXISTS (SELECT FROM aclexplode(relacl) WHERE grantee = 0)$$,
  'no relation is granted to PUBLIC');
SELECT ok(NOT has_schema_privilege('stranger', 'faultline', 'USAGE'), 'the schema is not usable');
SELECT ok(NOT has_schema_privilege('stranger', 'faultline', 'CREATE'),
  'nothing can be created in the schema');

SELECT is(pg_temp.call_as('stranger', statement), '42501', statement)
  FROM unnest(ARRAY[
    $$SELECT faultline.enqueue('mail')$$,
    $$SELECT * FROM faultline.claim('mail', 'w')$$,
    $$SELECT * FROM faultline.jobs$$,
    $$SELECT * FROM faultline.live_jobs$$,
    $$SELECT nextval('faultline.job_id_seq')$$,
    $$CREATE FUNCTION faultline.planted() RETURNS int LANGUAGE sql AS 'SELECT 1'$$
  ]) AS statement;

-- USAGE on the schema alone, which a database's owner may well grant, opens nothing.
GRANT USAGE ON SCHEMA faultline TO PUBLIC;
SELECT is_empty($$
  SELECT statement, pg_temp.call_as('stranger', statement) FROM unnest(ARRAY[
    $q$SELECT faultline.enqueue('mail')$q$,
    $q$SELECT faultline.drop_queue_as_owner('mail', true)$q$,
    $q$SELECT * FROM faultline.maintain_as_owner()$q$,
    $q$SELECT faultline.expire_leases()$q$,
    $q$SELECT faultline.clock_now()$q$,
    $q$SELECT * FROM faultline.status()$q$,
    $q$SELECT * FROM faultline.check_invariants()$q$,
    $q$SELECT faultline.grant_access('stranger', 'worker')$q$,
    $q$SELECT faultline.revoke_access('stranger', 'worker')$q$,
    $q$SELECT faultline.set_clock(NULL)$q$,
    $q$SELECT * FROM faultline.stat_queues$q$,
    $q$SELECT * FROM faultline.queue_access$q$,
    $q$INSERT INTO faultline.queue_access VALUES ('stranger', 'worker', NULL)$q$
  ]) AS statement
  WHERE pg_temp.call_as('stranger', statement) <> '42501'$$,
  'with USAGE on the schema every call is still refused');

SELECT * FROM finish();
ROLLBACK;
