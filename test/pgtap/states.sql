-- The state machine as people see it: each verb moves a job only along
--   queued -> running -> succeeded | failed | cancelled, queued -> cancelled,
--   running -> queued (retry, expiry, release), failed -> queued (redrive)
-- and anything else is refused and changes nothing.
\set ON_ERROR_STOP 1
BEGIN;
SELECT plan(33);
SET LOCAL faultline.allow_same_transaction = on;

SELECT faultline.set_clock('2031-05-01 12:00+00');
SELECT faultline.create_queue('q', max_attempts => 3, lease => '10 s', backoff_base => '1 s',
                              backoff_jitter => 0);

-- One job after the other; `held` is the lease last taken.
CREATE TEMP TABLE held (job_id bigint, lease_token bigint);
CREATE FUNCTION pg_temp.state_of(id bigint) RETURNS text LANGUAGE sql
  AS $$SELECT state FROM faultline.jobs WHERE job_id = id$$;
CREATE FUNCTION pg_temp.take() RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
  DELETE FROM held;
  INSERT INTO held SELECT c.job_id, c.lease_token FROM faultline.claim('q', 'w') c;
  RETURN (SELECT job_id FROM held);
END $$;
-- What a call under the lease `held` answers: its value, or the code it raises.
CREATE FUNCTION pg_temp.try(call text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  answer text;
  lease text := (SELECT job_id || ', ' || lease_token FROM held);
BEGIN
  EXECUTE replace(call, '$', lease) INTO answer;
  RETURN answer;
EXCEPTION WHEN OTHERS THEN
  RETURN SQLSTATE;
END $$;
CREATE FUNCTION pg_temp.verdict(call text, id bigint) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  answer text;
BEGIN
  EXECUTE format('SELECT verdict FROM faultline.%s(ARRAY[%s]::bigint[])', call, id) INTO answer;
  RETURN answer;
END $$;

-- queued -> running -> succeeded, which is final.
SELECT faultline.enqueue('q') AS job \gset
SELECT is(pg_temp.state_of(:job), 'queued', 'enqueue: queued');
SELECT is(pg_temp.verdict('redrive', :job), 'not_failed', 'a queued job is not redriven');
SELECT is(pg_temp.take(), :job::bigint, 'claim takes it');
SELECT is(pg_temp.state_of(:job), 'running', 'claim: running');
SELECT is(pg_temp.take(), NULL, 'a running job is not claimed again');
SELECT lease_token IS NOT NULL AS t FROM faultline.live_jobs WHERE job_id = :job;
INSERT INTO held SELECT job_id, lease_token FROM faultline.live_jobs;
SELECT is(pg_temp.verdict('redrive', :job), 'not_failed', 'a running job is not redriven');
SELECT is(pg_temp.try('SELECT faultline.complete($)'), 'succeeded', 'complete answers succeeded');
SELECT is(pg_temp.state_of(:job), 'succeeded', 'complete: succeeded');
SELECT is(pg_temp.try('SELECT faultline.complete($)'), 'already_succeeded',
  'complete again is a success');
SELECT results_eq(
  $$SELECT pg_temp.try(c) FROM unnest(ARRAY['SELECT faultline.fail($, ''late'')',
      'SELECT faultline.extend($)', 'SELECT faultline.release($)']) AS c$$,
  ARRAY['JQ001', 'JQ001', 'JQ001'], 'nothing else ends, extends or gives back what succeeded');
SELECT is(pg_temp.verdict('cancel', :job), 'already_finished', 'nor is it cancelled');
SELECT is(pg_temp.verdict('redrive', :job), 'not_failed', 'nor redriven');
SELECT is(pg_temp.take(), NULL, 'nor claimed');
SELECT is(pg_temp.state_of(:job), 'succeeded', 'it stays succeeded');

-- running -> queued by retry, by expiry, by release; running -> failed; failed -> queued.
SELECT faultline.enqueue('q') AS job \gset
SELECT pg_temp.take();
SELECT is(pg_temp.try('SELECT faultline.fail($, ''first'')') || ', ' || pg_temp.state_of(:job),
  'retrying, queued', 'fail with attempts left: queued');
SELECT is(pg_temp.take(), NULL, 'a job that waits for its retry is not claimed');
SELECT faultline.advance_clock('1 s');
SELECT is(pg_temp.take(), :job::bigint, 'after the back-off it is');
SELECT faultline.advance_clock('10 s');
SELECT is(faultline.expire_leases() || ', ' || pg_temp.state_of(:job), '1, queued',
  'expiry: queued');
SELECT is(pg_temp.try('SELECT faultline.complete($)'), 'JQ001',
  'the lease that expired completes nothing');
SELECT faultline.advance_clock('1 min');
SELECT pg_temp.take();
SELECT is(pg_temp.try('SELECT faultline.release($) IS NOT NULL') || ', ' || pg_temp.state_of(:job),
  'true, queued', 'release: queued');
SELECT pg_temp.take();
SELECT is(pg_temp.try('SELECT faultline.fail($, ''last'')') || ', ' || pg_temp.state_of(:job),
  'failed, failed', 'fail of the last attempt: failed');
SELECT is(pg_temp.take(), NULL, 'a failed job is not claimed');
SELECT is(pg_temp.verdict('cancel', :job), 'already_finished', 'nor cancelled');
SELECT is(pg_temp.verdict('redrive', :job) || ', ' || pg_temp.state_of(:job), 'queued, queued',
  'redrive: queued');
SELECT pg_temp.take();
SELECT is(pg_temp.try('SELECT faultline.fail($, ''never'', discard => true)') || ', '
          || pg_temp.state_of(:job), 'failed, failed', 'discard fails a job with attempts left');

-- queued -> cancelled, which is final; running -> cancelled by way of a request.
SELECT faultline.enqueue('q') AS job \gset
SELECT is(pg_temp.verdict('cancel', :job) || ', ' || pg_temp.state_of(:job), 'cancelled, cancelled',
  'cancel of a queued job: cancelled');
SELECT is(pg_temp.verdict('cancel', :job) || ', ' || pg_temp.verdict('redrive', :job),
  'already_finished, not_failed', 'which is final');
SELECT is(pg_temp.take(), NULL, 'a cancelled job is not claimed');

SELECT faultline.enqueue('q') AS job \gset
SELECT pg_temp.take();
SELECT is(pg_temp.verdict('cancel', :job) || ', ' || pg_temp.state_of(:job),
  'cancel_requested, running', 'cancel of a running job: still running');
SELECT is(pg_temp.try('SELECT faultline.extend($)'), 'JQ004', 'extend tells the worker to stop');
SELECT is(pg_temp.try('SELECT faultline.fail($, ''stopped'')') || ', ' || pg_temp.state_of(:job),
  'cancelled, cancelled', 'fail of a job asked to stop: cancelled, however many attempts it had');

SELECT set_eq('SELECT DISTINCT state FROM faultline.jobs',
  ARRAY['succeeded', 'failed', 'cancelled'], 'each job is in the state that its steps led to');
SELECT is_empty('SELECT * FROM faultline.check_invariants()', 'and no invariant is violated');

SELECT * FROM finish();
ROLLBACK;
