-- Grants for single queues: who works on one queue has no power over another, and sees nothing of
-- it.
\set ON_ERROR_STOP 1
BEGIN;
\ir lib/call_as.sql
SELECT plan(27);
-- Claims and completions share this test's transaction.
SET LOCAL faultline.allow_same_transaction = on;

CREATE ROLE worker_a;
CREATE ROLE worker_b;
CREATE ROLE producer_a;
CREATE ROLE operator_a;
CREATE ROLE monitor_a;
SELECT faultline.create_queue('a');
SELECT faultline.create_queue('b');
SELECT faultline.grant_access('worker_a', 'worker', '{a}');
SELECT faultline.grant_access('worker_b', 'worker', '{b}');
SELECT faultline.grant_access('producer_a', 'producer', '{a}');
SELECT faultline.grant_access('operator_a', 'operator', '{a}');
SELECT faultline.grant_access('monitor_a', 'monitor', '{a}');
SELECT faultline.grant_access('worker_a', 'worker', '{a}');  -- again: nothing changes

-- In queue b: one running job, one queued, one dead letter, one cancelled.
SELECT faultline.enqueue_many('b', '{1,2,3,4}');
CREATE TEMP TABLE held AS SELECT * FROM faultline.claim('b', 'w', 2);
SELECT min(job_id) AS running_b, max(job_id) AS dead_b FROM held \gset
SELECT lease_token AS token_b FROM held WHERE job_id = :running_b \gset
SELECT faultline.fail(job_id, lease_token, 'broken', discard => true) FROM held
 WHERE job_id = :dead_b;
SELECT min(job_id) AS queued_b, max(job_id) AS cancelled_b FROM faultline.jobs
 WHERE state = 'queued' \gset
SELECT * FROM faultline.cancel(ARRAY[:cancelled_b]::bigint[]);
SELECT faultline.enqueue('a') AS job_a \gset

-- What a role of queue a tries on queue b.
CREATE TEMP TABLE attempt (role_name name, statement text);
INSERT INTO attempt VALUES
  ('producer_a', $$SELECT faultline.enqueue('b')$$),
  ('producer_a', $$SELECT faultline.enqueue_many('b', '{1}')$$),
  ('worker_a', $$SELECT faultline.claim('b', 'w')$$),
  ('worker_a', $$SELECT faultline.claim_any('{b,a}', 'w')$$),
  ('worker_a', format('SELECT faultline.complete(%s, %s)', :running_b, :token_b)),
  ('worker_a', format('SELECT faultline.complete_many(''{%s}'', ''{%s}'')', :running_b, :token_b)),
  ('worker_a', $$SELECT faultline.turn('b', 'w', '{}', '{}')$$),
  ('worker_a', format('SELECT faultline.turn(''a'', ''w'', ''{%s}'', ''{%s}'')', :running_b, :token_b)),
  ('worker_a', format('SELECT faultline.fail(%s, %s, ''x'')', :running_b, :token_b)),
  ('worker_a', format('SELECT faultline.fail_many(''{%s}'', ''{%s}'', ''{x}'')',
    :running_b, :token_b)),
  ('worker_a', format('SELECT faultline.extend(%s, %s)', :running_b, :token_b)),
  ('worker_a', format('SELECT faultline.extend_many(''{%s}'', ''{%s}'')', :running_b, :token_b)),
  ('worker_a', format('SELECT faultline.release(%s, %s)', :running_b, :token_b)),
  ('operator_a', $$SELECT faultline.alter_queue('b', lease => '1 s')$$),
  ('operator_a', $$SELECT faultline.pause_queue('b')$$),
  ('operator_a', $$SELECT faultline.resume_queue('b')$$),
  ('operator_a', $$SELECT faultline.drop_queue('b', force => true)$$),
  ('operator_a', $$SELECT faultline.purge_dead_letters('b', '0')$$),
  ('operator_a', $$SELECT faultline.redrive(queue => 'b')$$),
  ('operator_a', format('SELECT faultline.redrive(''{%s}'')', :dead_b)),
  ('operator_a', format('SELECT faultline.cancel(''{%s}'')', :queued_b)),
  ('operator_a', format('SELECT faultline.cancel(''{%s}'')', :running_b)),
  -- These are about every queue.
  ('operator_a', $$SELECT faultline.create_queue('c')$$),
  ('operator_a', $$SELECT faultline.maintain()$$);
CREATE TEMP TABLE before AS SELECT * FROM faultline.jobs;

SELECT is_empty($$
  SELECT statement, pg_temp.call_as(role_name, statement) FROM attempt
   WHERE pg_temp.call_as(role_name, statement) <> '42501'$$,
  'a role of queue a is refused for each call on queue b');
SELECT set_eq('SELECT * FROM faultline.jobs', 'SELECT * FROM before',
  'and none of the refused calls changed anything');

-- The same calls by a role that has the queue show that they would have done something.
SELECT is(pg_temp.value_as('worker_b',
  format('SELECT faultline.extend(%s, %s) IS NOT NULL', :running_b, :token_b)), 'true',
  'the worker of queue b extends the lease of its job');
SELECT is(pg_temp.value_as('worker_b',
  'SELECT count(*) FROM faultline.claim(''b'', ''w'')'), '1', 'and claims another');
SELECT is(pg_temp.value_as('operator_a',
  format('SELECT verdict FROM faultline.cancel(''{%s}'')', :job_a)), 'cancelled',
  'the operator of queue a cancels a job of it');

-- Views show the queues one has any level on, and no others.
SELECT is(pg_temp.value_as(role_name,
  format('SELECT string_agg(DISTINCT queue, '','') FROM faultline.%I', v)),
          expected, format('%s sees of %s', role_name, v))
  FROM (VALUES ('worker_a', 'jobs', 'a'), ('worker_a', 'stat_queues', 'a'),
               ('worker_a', 'dead_letters', NULL), ('worker_a', 'attempts', NULL),
               ('worker_b', 'jobs', 'b'), ('worker_b', 'stat_queues', 'b'),
               ('worker_b', 'dead_letters', 'b'), ('worker_b', 'attempts', 'b'),
               ('producer_a', 'jobs', 'a'), ('operator_a', 'stat_queues', 'a'),
               ('monitor_a', 'jobs', 'a'), ('monitor_a', 'dead_letters', NULL))
    AS v (role_name, v, expected);

-- A lease that expires in queue b is not for the operator of queue a to settle.
SELECT faultline.set_clock(faultline.clock_now() + interval '1 hour');
SELECT is(pg_temp.value_as('operator_a', 'SELECT faultline.expire_leases()'), '0',
  'expire_leases() of an operator leaves other queues alone');
SELECT cmp_ok(faultline.expire_leases(), '>=', 1::bigint, 'there were leases to expire');

-- Levels add up, each for its own queues.
SELECT faultline.grant_access('worker_a', 'producer', '{b}');
SELECT is(pg_temp.call_as('worker_a', $$SELECT faultline.enqueue('b')$$), '00000',
  'a second level on another queue is granted');
SELECT is(pg_temp.call_as('worker_a', $$SELECT faultline.claim('b', 'w')$$), '42501',
  'and the first level does not reach there');
SELECT is(pg_temp.call_as('worker_a', $$SELECT faultline.enqueue('a')$$), '42501',
  'nor the second level to the first queue');
SELECT faultline.grant_access('worker_a', 'worker');
SELECT is(pg_temp.call_as('worker_a', $$SELECT faultline.claim('b', 'w')$$), '00000',
  'a grant for all queues adds the others');

-- Membership counts, as everywhere in PostgreSQL.
CREATE ROLE employee IN ROLE worker_b;
SELECT is(pg_temp.call_as('employee', $$SELECT faultline.claim('b', 'w')$$), '00000',
  'a member of a role has its access');
SELECT is(pg_temp.call_as('employee', $$SELECT faultline.claim('a', 'w')$$), '42501',
  'and no more');
REVOKE worker_b FROM employee;
SELECT is(pg_temp.call_as('employee', $$SELECT faultline.claim('b', 'w')$$), '42501',
  'and loses it with the membership');

-- What a monitor of one queue may not read stays hidden when it works on another.
SELECT faultline.grant_access('monitor_a', 'worker', '{b}');
SELECT faultline.enqueue('a', '{"secret": "of a"}');
SELECT is(pg_temp.value_as('monitor_a',
  $$SELECT count(*) FROM faultline.jobs WHERE payload::text LIKE '%of a%'$$), '0',
  'the payloads of a queue are hidden from its monitor, who works on another queue');

SELECT * FROM finish();
ROLLBACK;
