-- The server raises the error codes that core/sqlstate.hpp spells, each for the situation the
-- contract names.  Clients read the same file, so they and the server agree.
\set ON_ERROR_STOP 1
BEGIN;
\set header `cat "${FAULTLINE_ROOT:-.}/core/sqlstate.hpp"`
SELECT plan(14);

CREATE TEMP TABLE spelling AS
  SELECT m[1] AS name, m[2] AS code
    FROM regexp_matches(:'header', 'sqlstate_(\w+) = "(\w+)"', 'g') AS m;

-- Name and number as the contract pairs them.
SELECT set_eq('SELECT name, code FROM spelling', $$VALUES
  ('stale_lease', 'JQ001'), ('unknown_job', 'JQ002'), ('idempotency_conflict', 'JQ003'),
  ('cancel_requested', 'JQ004'), ('unknown_queue', 'JQ005'), ('illegal_transition', 'JQ006'),
  ('ledger_conflict', 'JQ007'), ('ledger_entry_missing', 'JQ008'), ('append_only', 'JQ009'),
  ('queue_full', 'JQ010'), ('not_adopted', 'JQ011'), ('same_transaction', 'JQ012'),
  ('transaction_failed', 'JQ013'), ('insufficient_funds', 'JQ014'), ('account_closed', 'JQ015')$$,
  'core/sqlstate.hpp has the codes of the contract');

-- What the server raises.  Each statement runs in a subtransaction of its own.
SELECT faultline.create_queue('mail', lease => '10 s');
SELECT faultline.enqueue_many('mail', '{1,2,3,4,5,6,7,8}');
CREATE TEMP TABLE held AS SELECT * FROM faultline.claim('mail', 'w', 8) ORDER BY job_id;
SET LOCAL faultline.allow_same_transaction = on;
CREATE FUNCTION pg_temp.job(nth integer) RETURNS text LANGUAGE sql
  AS $$SELECT job_id || ', ' || lease_token FROM held ORDER BY job_id OFFSET nth - 1 LIMIT 1$$;
CREATE FUNCTION pg_temp.job_id(nth integer) RETURNS bigint LANGUAGE sql
  AS $$SELECT job_id FROM held ORDER BY job_id OFFSET nth - 1 LIMIT 1$$;

SELECT format('SELECT faultline.complete(%s)', pg_temp.job(1)) AS complete_1,
       format('SELECT faultline.fail(%s, ''x'')', pg_temp.job(2)) AS fail_2,
       format('SELECT faultline.release(%s)', pg_temp.job(3)) AS release_3 \gset
:complete_1;
:fail_2;
:release_3;
SELECT faultline.enqueue('mail', '1', idempotency_key => 'k');
SELECT * FROM faultline.cancel(ARRAY[pg_temp.job_id(5)]);

CREATE TEMP TABLE situation (name text, what text, statement text);
INSERT INTO situation VALUES
  ('stale_lease', 'complete() after fail()',
   format('SELECT faultline.complete(%s)', pg_temp.job(2))),
  ('stale_lease', 'fail() after complete()',
   format('SELECT faultline.fail(%s, ''x'')', pg_temp.job(1))),
  ('stale_lease', 'extend() after release()',
   format('SELECT faultline.extend(%s)', pg_temp.job(3))),
  ('stale_lease', 'release() with a guessed token',
   format('SELECT faultline.release(%s, 42)', pg_temp.job_id(4))),
  ('unknown_job', 'complete() of a job that never was', 'SELECT faultline.complete(-7, 42)'),
  ('idempotency_conflict', 'a key with another payload',
   $$SELECT faultline.enqueue('mail', '2', idempotency_key => 'k')$$),
  ('cancel_requested', 'extend() of a job that was asked to stop',
   format('SELECT faultline.extend(%s)', pg_temp.job(5))),
  ('unknown_queue', 'enqueue() to a mistyped queue', $$SELECT faultline.enqueue('mial')$$),
  ('unknown_queue', 'claim() from one', $$SELECT faultline.claim('mial', 'w')$$),
  ('same_transaction', 'complete() of a job claimed in this transaction',
   $$SET LOCAL faultline.allow_same_transaction = off; $$
     || format('SELECT faultline.complete(%s)', pg_temp.job(6)));

SELECT throws_ok(statement, (SELECT code::char(5) FROM spelling s WHERE s.name = situation.name),
                 NULL, format('%s raises %s', what, name))
  FROM situation;

-- A job whose row somebody changed by hand to a state that no live job has.  A server with assertions
-- locks the row first (src/claim_row.cpp), which finds it impossible.
UPDATE faultline.live_jobs
   SET state = 's', lease_token = NULL, lease_expires_at = NULL, claimed_at = NULL,
     lease_owner = NULL
 WHERE job_id = pg_temp.job_id(7);
SELECT throws_ok($$SELECT faultline.claim('mail', 'w', 100)$$,
  CASE current_setting('debug_assertions') WHEN 'on' THEN 'XX001'
    ELSE (SELECT code::char(5) FROM spelling WHERE name = 'illegal_transition') END, NULL,
  'claim() of a row in the state succeeded raises illegal_transition');
DELETE FROM faultline.live_jobs WHERE job_id = pg_temp.job_id(7);

-- A database that was copied, or restored from a dump, brings the identity of the original.
UPDATE faultline.instance SET system_identifier = system_identifier - 1;
SELECT throws_ok($$SELECT faultline.claim('mail', 'w')$$,
  (SELECT code::char(5) FROM spelling WHERE name = 'not_adopted'), NULL,
  'claim() in a copied database raises not_adopted');
SELECT faultline.adopt();
SELECT lives_ok($$SELECT faultline.claim('mail', 'w')$$, 'after adopt() it claims');

SELECT * FROM finish();
ROLLBACK;
