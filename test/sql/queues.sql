-- Queues: creating, altering, pausing, resuming and dropping them, and what they may be called.
\set sqlstate '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'
\set SHOW_CONTEXT never
SET timezone = 'UTC';
SET datestyle = 'ISO';
SET intervalstyle = 'postgres';
SELECT faultline.set_clock('2026-01-01 00:00Z') \gset
ALTER SEQUENCE faultline.job_id_seq RESTART 1001;
CREATE TEMP VIEW settings AS
  SELECT name, max_attempts, lease, max_runtime, backoff_base, backoff_factor, backoff_max, backoff_jitter,
         keep_finished, keep_keys, description, max_backlog, retry_budget, expected_runtime
    FROM faultline.queues WHERE dropped_at IS NULL ORDER BY name;

--
-- Creating
--
-- Nothing is seeded.
SELECT count(*) FROM faultline.stat_queues;
SELECT faultline.create_queue('orders');
SELECT * FROM settings \gx
SELECT queue, queued, scheduled, running, dead_letters, oldest_ready_age, paused_at, exact FROM faultline.stat_queues;
SELECT faultline.create_queue('tuned', max_attempts => 3, lease => '5 min', backoff_base => '10 s',
  backoff_factor => 1.5, backoff_max => '1 day', backoff_jitter => 0, keep_finished => '30 days',
  keep_keys => '1 day', description => 'all set', max_runtime => '1 h',
  max_backlog => 1000, retry_budget => 0.1, expected_runtime => '2 min');
SELECT * FROM settings WHERE name = 'tuned' \gx

-- Again with the same settings, by default or spelled out: nothing happens.
SELECT faultline.create_queue('orders');
SELECT faultline.create_queue('orders', 20, '30000 ms', '1 s', 2, '60 min', 0.2, '168 h', '7 days', NULL, NULL, NULL, NULL, NULL);
SELECT faultline.create_queue('orders', max_runtime => '0', max_backlog => 0, retry_budget => 0, expected_runtime => '0');
SELECT count(*) FROM settings;

-- Again with other ones, whichever it is.
SELECT faultline.create_queue('orders', max_attempts => 21);
:sqlstate
SELECT faultline.create_queue('orders', lease => '31 s');
:sqlstate
SELECT faultline.create_queue('orders', backoff_base => '2 s');
:sqlstate
SELECT faultline.create_queue('orders', backoff_factor => 3);
:sqlstate
SELECT faultline.create_queue('orders', backoff_max => '2 h');
:sqlstate
SELECT faultline.create_queue('orders', backoff_jitter => 0);
:sqlstate
SELECT faultline.create_queue('orders', keep_finished => '8 days');
:sqlstate
SELECT faultline.create_queue('orders', keep_keys => '8 days');
:sqlstate
SELECT faultline.create_queue('orders', description => 'other');
:sqlstate
SELECT faultline.create_queue('orders', max_runtime => '1 h');
:sqlstate
SELECT faultline.create_queue('orders', max_backlog => 1);
:sqlstate
SELECT faultline.create_queue('orders', retry_budget => 1);
:sqlstate
SELECT faultline.create_queue('orders', expected_runtime => '1 s');
:sqlstate
SELECT faultline.create_queue('new', max_runtime => '999 ms');
:sqlstate

-- A queue whose creation rolled back does not exist, also in the session that created it.
BEGIN;
SELECT faultline.create_queue('undone') \gset
SELECT faultline.enqueue('undone') \gset
ROLLBACK;
SELECT faultline.enqueue('undone');
:sqlstate
BEGIN;
SAVEPOINT before;
SELECT faultline.create_queue('undone') \gset
ROLLBACK TO before;
SELECT faultline.enqueue('undone');
:sqlstate
ROLLBACK;

--
-- Altering
--
SELECT faultline.alter_queue('tuned');
SELECT * FROM settings WHERE name = 'tuned' \gx
SELECT faultline.alter_queue('tuned', max_attempts => 10000, lease => '24 h', backoff_base => '0',
  backoff_factor => 100, backoff_max => '3650 days', backoff_jitter => 1, keep_finished => '0',
  keep_keys => '3650 days', description => 'altered', max_runtime => '30 days',
  max_backlog => 1000000000, retry_budget => 1, expected_runtime => '24 h');
SELECT * FROM settings WHERE name = 'tuned' \gx
-- Nothing could be put off.
SELECT faultline.alter_queue('tuned', backoff_base => '1 s', backoff_max => '1 s');
:sqlstate
SELECT faultline.alter_queue('tuned', max_attempts => 1, lease => '100 ms', backoff_base => '0',
  backoff_factor => 1, backoff_max => '1 us', backoff_jitter => 0, keep_finished => '3650 days',
  keep_keys => '0', description => '', max_runtime => '1 s',
  max_backlog => 1, retry_budget => 0.01, expected_runtime => '1 ms');
SELECT * FROM settings WHERE name = 'tuned' \gx
-- Null leaves a limit as it is, 0 removes it.
SELECT faultline.alter_queue('tuned', max_runtime => NULL, max_backlog => NULL, retry_budget => NULL, expected_runtime => NULL) \gset
SELECT max_runtime, max_backlog, retry_budget, expected_runtime FROM settings WHERE name = 'tuned';
SELECT faultline.alter_queue('tuned', max_runtime => '0', max_backlog => 0, retry_budget => 0, expected_runtime => '0') \gset
SELECT num_nulls(max_runtime, max_backlog, retry_budget, expected_runtime) AS unlimited FROM settings WHERE name = 'tuned';
SELECT faultline.alter_queue('tuned', max_runtime => '30 days 1 us');
:sqlstate
-- Without a budget the ceiling may lie below the first delay.
SELECT faultline.alter_queue('tuned', backoff_base => '3650 days', backoff_max => '0') \gset
SELECT faultline.alter_queue('tuned', retry_budget => 0.5);
:sqlstate

-- A value out of bounds changes nothing, nor do the legal ones beside it.
SELECT faultline.alter_queue('tuned', max_attempts => 7, lease => '25 h');
:sqlstate
SELECT max_attempts, lease FROM settings WHERE name = 'tuned';

-- Jobs take max_attempts and leases from the queue as it is at the call.
SELECT faultline.alter_queue('orders', max_attempts => 4, lease => '1 min') \gset
SELECT faultline.enqueue('orders', '"before"') \gset
SELECT faultline.alter_queue('orders', max_attempts => 5, lease => '2 min') \gset
SELECT faultline.enqueue('orders', '"after"') \gset
SELECT payload, max_attempts, lease_expires_at FROM faultline.claim('orders', 'w', 2);

-- An alteration that rolled back is forgotten, also in the session that made it.
BEGIN;
SELECT faultline.alter_queue('orders', max_attempts => 9) \gset
SELECT faultline.enqueue('orders') AS job \gset
SELECT max_attempts FROM faultline.jobs WHERE job_id = :job;
ROLLBACK;
SELECT faultline.enqueue('orders') AS job \gset
SELECT max_attempts FROM faultline.jobs WHERE job_id = :job;

--
-- Pausing and resuming
--
SELECT faultline.pause_queue('orders');
SELECT faultline.advance_clock('1 min') \gset
-- Pausing again keeps the time of the first pause.
SELECT faultline.pause_queue('orders');
SELECT queue, queued, running, paused_at FROM faultline.stat_queues WHERE queue = 'orders';
-- Enqueue accepts, claims return nothing.
SELECT faultline.enqueue('orders', '"while paused"');
SELECT count(*) FROM faultline.claim('orders', 'w', 100);
SELECT count(*) FROM faultline.claim_any('{orders}', 'w', 100);
SELECT faultline.resume_queue('orders');
SELECT faultline.resume_queue('orders');
SELECT paused_at FROM faultline.stat_queues WHERE queue = 'orders';
-- Two jobs run already.
SELECT payload FROM faultline.claim('orders', 'w', 100);
-- A job that runs may end while its queue is paused, and a pause that rolled back is none.
SELECT faultline.enqueue('orders') \gset
SELECT job_id, lease_token FROM faultline.claim('orders', 'w') \gset
SELECT faultline.pause_queue('orders') \gset
SELECT faultline.complete(:job_id, :lease_token);
SELECT faultline.resume_queue('orders') \gset
SELECT faultline.enqueue('orders') \gset
BEGIN;
SELECT faultline.pause_queue('orders') \gset
SELECT count(*) FROM faultline.claim('orders', 'w');
ROLLBACK;
SELECT count(*) FROM faultline.claim('orders', 'w');

--
-- Dropping
--
-- 1001 and 1004 went with their transactions.
SELECT job_id, state FROM faultline.jobs WHERE job_id BETWEEN 1001 AND 1999 ORDER BY job_id;
SELECT faultline.drop_queue('orders');
:sqlstate
SELECT faultline.drop_queue('orders', force => false);
:sqlstate
SELECT faultline.drop_queue('orders', force => NULL);
:sqlstate
SELECT faultline.drop_queue('orders', force => true);
SELECT faultline.drop_queue('orders', force => true);
:sqlstate
-- Finished jobs stay readable.
SELECT job_id, queue, state FROM faultline.jobs WHERE job_id BETWEEN 1001 AND 1999 ORDER BY job_id;
SELECT count(*) FROM faultline.stat_queues WHERE queue = 'orders';

-- A dead letter alone keeps the queue, too.
SELECT faultline.create_queue('letters') \gset
SELECT faultline.enqueue('letters') \gset
SELECT job_id, lease_token FROM faultline.claim('letters', 'w') \gset
SELECT faultline.fail(:job_id, :lease_token, 'bad', discard => true);
SELECT faultline.drop_queue('letters');
:sqlstate
SELECT faultline.purge_dead_letters('letters', '0');
SELECT faultline.drop_queue('letters');

-- The name is free again, for other settings; keys and jobs of the old queue mean nothing to it.
SELECT faultline.create_queue('letters', max_attempts => 2, lease => '1 s') \gset
SELECT faultline.enqueue('letters', '1', idempotency_key => 'k') AS old_job \gset
SELECT faultline.drop_queue('letters', true);
SELECT faultline.create_queue('letters') \gset
SELECT faultline.enqueue('letters', '2', idempotency_key => 'k') AS new_job \gset
SELECT :new_job <> :old_job AS is_new;
SELECT payload, max_attempts, attempt FROM faultline.claim('letters', 'w', 10);

-- A drop that rolled back did nothing.
BEGIN;
SELECT faultline.drop_queue('letters', true);
SELECT faultline.enqueue('letters');
:sqlstate
ROLLBACK;
SELECT state, idempotency_key FROM faultline.jobs WHERE queue = 'letters' AND state = 'running';

--
-- Names
--
SELECT faultline.create_queue('ABCXYZ.abcxyz_0189:-');
SELECT faultline.create_queue(repeat('n', 128));
SELECT faultline.enqueue(repeat('n', 128)) > 0 AS enqueued;
SELECT faultline.drop_queue(repeat('n', 128), true);
-- Upper and lower case differ.
SELECT faultline.create_queue('Letters') \gset
SELECT queue, running FROM faultline.stat_queues WHERE lower(queue) = 'letters' ORDER BY queue;
SELECT faultline.drop_queue('Letters');
SELECT faultline.create_queue('');
:sqlstate
SELECT faultline.create_queue(repeat('n', 129));
:sqlstate
SELECT faultline.create_queue(repeat('n', 1000000));
:sqlstate
SELECT faultline.create_queue('two words');
:sqlstate
SELECT faultline.create_queue(E'line\n');
:sqlstate
SELECT faultline.create_queue('it''s');
:sqlstate
SELECT faultline.create_queue('"quoted"');
:sqlstate
SELECT faultline.create_queue('x''); DROP TABLE faultline.live_jobs; --');
:sqlstate
SELECT faultline.create_queue('größe');
:sqlstate
SELECT faultline.create_queue('%s%n{}');
:sqlstate
-- The others say the same, before they look for the queue.
SELECT faultline.alter_queue('x''; --');
:sqlstate
SELECT faultline.pause_queue('');
:sqlstate
SELECT faultline.resume_queue('two words');
:sqlstate
SELECT faultline.drop_queue(repeat('n', 129));
:sqlstate
SELECT faultline.enqueue('"letters"');
:sqlstate
SELECT faultline.enqueue_many('', '{1}');
:sqlstate
SELECT * FROM faultline.claim('letters; SELECT 1', 'w');
:sqlstate
SELECT * FROM faultline.claim_any('{"two words"}', 'w');
:sqlstate
SELECT * FROM faultline.redrive(queue => '');
:sqlstate
SELECT faultline.purge_dead_letters('''', '0');
:sqlstate

-- An unknown queue: the hint names the nearest, unless none is near.
SELECT faultline.create_queue('mail.send') \gset
SELECT faultline.create_queue('payments') \gset
SELECT faultline.enqueue('mail.sned');
:sqlstate
SELECT faultline.enqueue_many('Letters', '{1}');
:sqlstate
SELECT faultline.enqueue('no-such-queue-at-all');
:sqlstate
SELECT * FROM faultline.claim('payment', 'w');
:sqlstate
SELECT * FROM faultline.claim_any('{letters,paiments}', 'w', 1000);
:sqlstate
SELECT faultline.alter_queue('leters');
:sqlstate
SELECT faultline.pause_queue('mailsend');
:sqlstate
SELECT faultline.resume_queue('mail.send2');
:sqlstate
SELECT faultline.drop_queue('Payments');
:sqlstate
SELECT * FROM faultline.redrive(queue => 'paymentss');
:sqlstate
SELECT faultline.purge_dead_letters('xletters', '0');
:sqlstate
-- A mistyped name is an error also where the queues before it have jobs enough.
SELECT faultline.enqueue('payments') \gset
SELECT payload FROM faultline.claim_any('{payments,mail.sent}', 'w', 1);
:sqlstate
-- A dropped queue is never proposed.
SELECT faultline.create_queue('archive-of-orders') \gset
SELECT faultline.drop_queue('archive-of-orders');
SELECT faultline.enqueue('archive-of-order');
:sqlstate

--
-- What the hint says when access is missing can be run as it stands, whatever the role is called
--
CREATE FUNCTION pg_temp.hint_of(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  hint text;
BEGIN
  EXECUTE statement;
  RETURN 'no error';
EXCEPTION WHEN insufficient_privilege THEN
  GET STACKED DIAGNOSTICS hint = PG_EXCEPTION_HINT;
  RETURN hint;
END $$;
CREATE ROLE "regress o'Neill ""X""";
GRANT USAGE ON SCHEMA faultline TO "regress o'Neill ""X""";
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA faultline TO "regress o'Neill ""X""";
SET ROLE "regress o'Neill ""X""";
SELECT pg_temp.hint_of($$SELECT * FROM faultline.claim('payments', 'w')$$) AS of_a_queue,
       pg_temp.hint_of($$SELECT faultline.maintain()$$) AS of_all \gset
RESET ROLE;
SELECT :'of_a_queue' AS hint UNION ALL SELECT :'of_all';
SELECT substring(hint FROM 'SELECT .*') FROM unnest(ARRAY[:'of_a_queue', :'of_all']) AS hint \gexec
SELECT role_name, level FROM faultline.queue_access WHERE role_name ~ '^regress o' ORDER BY level;
SELECT faultline.revoke_access('"regress o''Neill ""X"""', level) FROM unnest('{worker,operator}'::text[]) AS level;
DROP OWNED BY "regress o'Neill ""X""";
DROP ROLE "regress o'Neill ""X""";

SELECT faultline.drop_queue(queue, force => true) FROM faultline.stat_queues ORDER BY queue;
SELECT * FROM faultline.check_invariants();
SELECT faultline.set_clock(NULL) > '2026-01-01' AS is_real_time;
