-- Objects that a hostile user plants must not change what the functions do, nor run with the
-- rights of their owner.
\set ON_ERROR_STOP 1
BEGIN;
\ir lib/call_as.sql
SELECT plan(22);

SELECT is_empty($$
  SELECT proname, proconfig FROM pg_proc
   WHERE pronamespace = 'faultline'::regnamespace AND prosecdef
     AND NOT coalesce('search_path=pg_catalog, pg_temp' = ANY (proconfig), false)$$,
  'every SECURITY DEFINER function has the search_path pg_catalog, pg_temp');
SELECT is_empty($$
  SELECT proname, proconfig FROM pg_proc JOIN pg_language l ON l.oid = prolang
   WHERE pronamespace = 'faultline'::regnamespace AND lanname <> 'c'
     AND NOT coalesce('search_path=pg_catalog, pg_temp' = ANY (proconfig), false)$$,
  'and so has every other function that is not C');
SELECT is_empty($$
  SELECT proname FROM pg_proc JOIN pg_language l ON l.oid = prolang
   WHERE pronamespace = 'faultline'::regnamespace AND lanname = 'c' AND prosecdef$$,
  'no C function is SECURITY DEFINER: they ask the caller''s access themselves');
SELECT cmp_ok((SELECT count(*) FROM pg_proc
                WHERE pronamespace = 'faultline'::regnamespace AND prosecdef), '>=', 4::bigint,
  'there are SECURITY DEFINER functions to check');
SELECT is_empty($$
  SELECT relname FROM pg_class
   WHERE relnamespace = 'faultline'::regnamespace AND relkind = 'v'
     AND relname NOT IN ('job_rows', 'ledger_situations')  -- granted to nobody, and joined by index
     AND NOT coalesce('security_barrier=true' = ANY (reloptions), false)$$,
  'every view is a security barrier');
SELECT is_empty($$SELECT relname, proname FROM pg_trigger t
    JOIN pg_class c ON c.oid = tgrelid JOIN pg_proc p ON p.oid = tgfoid
   WHERE relnamespace = 'faultline'::regnamespace AND NOT tgisinternal
     AND pronamespace <> 'faultline'::regnamespace$$,
  'no trigger on our tables is somebody else''s');

-- A role that has every level and may create what it likes in public.
CREATE ROLE mallory;
GRANT ALL ON SCHEMA public TO mallory;
GRANT TEMPORARY ON DATABASE pgtap TO mallory;
SELECT faultline.create_queue('mail');
SELECT faultline.grant_access('mallory', level)
  FROM unnest(ARRAY['producer', 'worker', 'operator', 'monitor']) AS level;
SET LOCAL faultline.allow_same_transaction = on;

-- Whatever of his runs writes here who it ran as.
CREATE TABLE public.ran (what text, ran_as name);
GRANT ALL ON public.ran TO PUBLIC;
SET LOCAL ROLE mallory;
SET LOCAL search_path = pg_temp, public, pg_catalog;
CREATE TEMP TABLE queues (LIKE pg_catalog.pg_class);
CREATE TEMP TABLE live_jobs (job_id bigint, payload jsonb);
CREATE TEMP TABLE queue_access (role_name name, level text, queue text);
CREATE TEMP TABLE pg_roles (rolname name, oid oid);
CREATE TEMP TABLE pg_extension (extname name, extversion text);
CREATE TEMP TABLE pg_database (oid oid, datname name);
CREATE FUNCTION public.note(what text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO public.ran VALUES (what, current_user);
  RETURN true;
END $$;
-- Functions and operators that bodies of ours call, under the same names.
CREATE FUNCTION public.current_setting(text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN PERFORM public.note('current_setting()'); RETURN 'off'; END $$;
CREATE FUNCTION public.set_config(text, text, boolean) RETURNS text LANGUAGE plpgsql AS $$
BEGIN PERFORM public.note('set_config()'); RETURN $2; END $$;
CREATE FUNCTION public.to_regclass(text) RETURNS regclass LANGUAGE plpgsql AS $$
BEGIN PERFORM public.note('to_regclass()'); RETURN NULL; END $$;
CREATE FUNCTION public.hostile_text(text, text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN RETURN public.note('an operator for text'); END $$;
CREATE FUNCTION public.hostile_integer(integer, integer) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN RETURN public.note('an operator for integer'); END $$;
CREATE FUNCTION public.hostile_interval(interval, interval) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN RETURN public.note('an operator for interval'); END $$;
CREATE FUNCTION public.hostile_time(timestamptz, timestamptz) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN RETURN public.note('an operator for timestamptz'); END $$;
CREATE OPERATOR public.= (FUNCTION = public.hostile_text, LEFTARG = text, RIGHTARG = text);
CREATE OPERATOR public.= (FUNCTION = public.hostile_integer, LEFTARG = integer, RIGHTARG = integer);
CREATE OPERATOR public.>= (FUNCTION = public.hostile_interval,
  LEFTARG = interval, RIGHTARG = interval);
CREATE OPERATOR public.<= (FUNCTION = public.hostile_interval,
  LEFTARG = interval, RIGHTARG = interval);
CREATE OPERATOR public.<= (FUNCTION = public.hostile_time,
  LEFTARG = timestamptz, RIGHTARG = timestamptz);
CREATE OPERATOR public.> (FUNCTION = public.hostile_time,
  LEFTARG = timestamptz, RIGHTARG = timestamptz);
RESET ROLE;
RESET search_path;

-- Runs a query as a role whose search path finds everything planted before the genuine.
CREATE FUNCTION pg_temp.trapped_as(role_name name, query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  answer text;
BEGIN
  EXECUTE format('SET LOCAL ROLE %I', role_name);
  EXECUTE 'SET LOCAL search_path = pg_temp, public, pg_catalog';
  EXECUTE query INTO answer;
  EXECUTE 'RESET search_path';
  EXECUTE 'RESET ROLE';
  RETURN answer;
END $$;

-- The traps work: without that the tests below would prove nothing.
SELECT is(pg_temp.trapped_as('mallory',
  $$SELECT current_setting('port') || (1 = 2) || ('a'::text = 'b'::text)$$), 'offtruetrue',
  'what was planted answers a careless query');
SELECT bag_eq('SELECT what FROM public.ran',
  ARRAY['current_setting()', 'an operator for integer', 'an operator for text'], 'and says so');
DELETE FROM public.ran;

-- Every verb, called by him with his search path.
CREATE FUNCTION pg_temp.round_trip() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  claimed faultline.claimed_job;
BEGIN
  PERFORM faultline.create_queue('trap', lease => '10 s');
  PERFORM faultline.alter_queue('trap', lease => '20 s');
  PERFORM faultline.pause_queue('trap');
  PERFORM faultline.resume_queue('trap');
  PERFORM faultline.enqueue_many('trap', '{1,2,3}', idempotency_keys => '{a,b,c}');
  claimed := faultline.claim('trap', 'w');
  PERFORM faultline.extend(claimed.job_id, claimed.lease_token);
  PERFORM faultline.complete(claimed.job_id, claimed.lease_token);
  claimed := faultline.claim('trap', 'w');
  PERFORM faultline.fail(claimed.job_id, claimed.lease_token, 'no', discard => true);
  PERFORM faultline.redrive(queue => 'trap');
  PERFORM faultline.purge_dead_letters('trap', '0');
  PERFORM faultline.expire_leases();
  PERFORM faultline.maintain();
  PERFORM faultline.status();
  PERFORM faultline.check_invariants();
  PERFORM faultline.cancel(ARRAY[claimed.job_id]);
  PERFORM queue FROM faultline.jobs;
  PERFORM queue FROM faultline.stat_queues;
  RETURN faultline.drop_queue('trap', force => true)::text;
END $$;
SELECT is(pg_temp.trapped_as('mallory', 'SELECT pg_temp.round_trip()'), '1',
  'every verb does its work: of three jobs one has succeeded, one was cancelled, one is dropped');
SELECT is_empty($$SELECT * FROM public.ran$$, 'and nothing that was planted ran');
SELECT is_empty($$SELECT 1 FROM pg_temp.queues UNION ALL SELECT 1 FROM pg_temp.live_jobs
  UNION ALL SELECT 1 FROM pg_temp.queue_access$$, 'nothing was written to tables of the same name');

-- A planted row of access in a temporary table opens nothing.
CREATE ROLE stranger;
GRANT USAGE ON SCHEMA faultline TO stranger;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA faultline TO stranger;
INSERT INTO pg_temp.queue_access VALUES ('stranger', 'operator', NULL),
  ('stranger', 'worker', NULL);
SELECT is(pg_temp.call_as('stranger', 'SELECT pg_temp.trapped_as(''stranger'', '
                                      || quote_literal(statement) || ')'), '42501',
  'EXECUTE without a row in queue_access opens no queue: ' || statement)
  FROM unnest(ARRAY[
    $$SELECT faultline.enqueue('mail')$$,
    $$SELECT faultline.claim('mail', 'w')$$,
    $$SELECT faultline.pause_queue('mail')$$,
    $$SELECT faultline.maintain()$$,
    $$SELECT faultline.grant_access('stranger', 'worker')$$
  ]) AS statement;

-- A condition that leaks what it sees runs after the views have hidden other queues' rows.
SELECT faultline.create_queue('open');
SELECT faultline.enqueue('mail', '{"secret": 1}');
CREATE ROLE peeper;
SELECT faultline.grant_access('peeper', 'worker', '{open}');
CREATE FUNCTION public.leak(payload jsonb) RETURNS boolean LANGUAGE plpgsql COST 0.0000001 AS $$
BEGIN INSERT INTO public.ran VALUES (payload::text, current_user); RETURN true; END $$;
DELETE FROM public.ran;
SELECT is(pg_temp.value_as('peeper',
  'SELECT count(*) FROM faultline.jobs WHERE public.leak(payload)'),
  '0', 'a cheap function in a condition sees no job of another queue');
SELECT is_empty($$SELECT * FROM public.ran$$, 'nothing leaked');

-- What a superuser's ANALYZE runs with the rights of a table's owner is asked about that owner.
CREATE ROLE operator_of_one;
SELECT faultline.create_queue('one');
SELECT faultline.create_queue('another');
SELECT faultline.grant_access('operator_of_one', 'operator', '{one}');
CREATE SCHEMA trap AUTHORIZATION operator_of_one;
SET ROLE operator_of_one;
CREATE TABLE trap.bait (n integer);
CREATE FUNCTION trap.spring(n integer) RETURNS integer LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
  PERFORM faultline.pause_queue('another');
  RETURN n;
EXCEPTION WHEN insufficient_privilege THEN
  RETURN -n;
END $$;
CREATE INDEX ON trap.bait (trap.spring(n));
INSERT INTO trap.bait SELECT generate_series(1, 10);
RESET ROLE;
ANALYZE trap.bait;
SELECT is((SELECT paused_at FROM faultline.queues WHERE name = 'another'), NULL,
  'an operator of one queue reaches no other through a superuser''s ANALYZE');
SELECT is(pg_temp.call_as('operator_of_one', $$SELECT faultline.pause_queue('one')$$), '00000',
  'his own queue he may change');

-- Names are data, never SQL.
SELECT throws_ok(format('SELECT faultline.create_queue(%L)', hostile), '22023', NULL,
  'refused as a queue name: ' || hostile)
  FROM unnest(ARRAY[$$x'; DROP TABLE faultline.queues; --$$, '"a"']) AS hostile;

SELECT * FROM finish();
ROLLBACK;
