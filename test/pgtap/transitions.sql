-- The state machine as a matrix: every verb called on a job in every situation answers as
-- docs/state_machine.md says and leaves the job in the state it says, and of the 25 pairs of states
-- the event log then shows exactly those that core/job_state.hpp allows.
\set ON_ERROR_STOP 1
BEGIN;
SELECT plan(182);
SET LOCAL faultline.allow_same_transaction = on;
SET LOCAL faultline.trace_events = on;
SELECT faultline.set_clock('2031-05-01 12:00+00');

-- The job at hand, with the last lease token it had; 1 if it had none.
CREATE TEMP TABLE subject (job_id bigint, lease_token bigint);
CREATE FUNCTION pg_temp.take() RETURNS void LANGUAGE sql AS $$
  UPDATE subject s SET lease_token = c.lease_token
    FROM faultline.claim('case', 'w') c WHERE c.job_id = s.job_id
$$;
CREATE FUNCTION pg_temp.arrange(situation text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  PERFORM faultline.create_queue('case', max_attempts => 2, lease => '10 s', backoff_base => '1 s',
                                 backoff_jitter => 0);
  DELETE FROM subject;
  INSERT INTO subject VALUES (faultline.enqueue('case'), 1);
  IF situation NOT IN ('queued', 'cancelled') THEN
    PERFORM pg_temp.take();
  END IF;
  IF situation LIKE '%last attempt%' THEN
    PERFORM faultline.fail(job_id, lease_token, 'first', retry_in => '0') FROM subject;
    PERFORM pg_temp.take();
  END IF;
  IF situation LIKE '%asked to stop%' OR situation IN ('cancelled', 'stopped') THEN
    PERFORM faultline.cancel(ARRAY[job_id]) FROM subject;
  END IF;
  IF situation LIKE '%lease over%' THEN
    PERFORM faultline.advance_clock('10 s');
  END IF;
  CASE situation
    WHEN 'succeeded' THEN PERFORM faultline.complete(job_id, lease_token) FROM subject;
    WHEN 'failed' THEN
      PERFORM faultline.fail(job_id, lease_token, 'bad', discard => true) FROM subject;
    WHEN 'stopped' THEN PERFORM faultline.fail(job_id, lease_token, 'stop') FROM subject;
    ELSE NULL;
  END CASE;
END $$;

-- What a call answers, or the code it raises.
CREATE TEMP TABLE calls (verb text, call text);
INSERT INTO calls VALUES
  ('claim', $$SELECT CASE count(*) WHEN 0 THEN 'nothing' ELSE 'claimed' END
                FROM faultline.claim('case', 'w', 10)$$),
  ('complete', $$SELECT faultline.complete(job_id, lease_token) FROM subject$$),
  ('complete_many', $$SELECT verdict FROM subject s,
                      faultline.complete_many(ARRAY[s.job_id], ARRAY[lease_token])$$),
  ('turn', $$SELECT verdict FROM subject s,
             faultline.turn('case', 'w', ARRAY[s.job_id], ARRAY[lease_token])$$),
  ('fail', $$SELECT faultline.fail(job_id, lease_token, 'no') FROM subject$$),
  ('fail_many', $$SELECT verdict FROM subject s,
                  faultline.fail_many(ARRAY[s.job_id], ARRAY[lease_token], '{no}')$$),
  ('discard', $$SELECT faultline.fail(job_id, lease_token, 'no', discard => true) FROM subject$$),
  ('extend', $$SELECT CASE WHEN faultline.extend(job_id, lease_token) IS NOT NULL
                           THEN 'extended' END FROM subject$$),
  ('extend_many', $$SELECT verdict FROM subject s,
                    faultline.extend_many(ARRAY[s.job_id], ARRAY[lease_token])$$),
  ('release', $$SELECT 'released' || faultline.release(job_id, lease_token)::text FROM subject$$),
  ('expire_leases', $$SELECT faultline.expire_leases()$$),
  ('cancel', $$SELECT verdict FROM subject s, faultline.cancel(ARRAY[s.job_id])$$),
  ('redrive', $$SELECT verdict FROM subject s, faultline.redrive(ARRAY[s.job_id])$$),
  ('purge', $$SELECT faultline.purge_dead_letters('case', '0')$$);
CREATE FUNCTION pg_temp.answer(call text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  answer text;
BEGIN
  EXECUTE call INTO answer;
  RETURN answer;
EXCEPTION WHEN OTHERS THEN
  RETURN SQLSTATE;
END $$;
-- The answer and the state that follows.
CREATE FUNCTION pg_temp.outcome(situation text, call text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  outcome text;
BEGIN
  PERFORM pg_temp.arrange(situation);
  outcome := pg_temp.answer(call);
  outcome := outcome || ' ' || coalesce((SELECT left(j.state, 1) FROM faultline.jobs j
                                           JOIN subject USING (job_id)), '-');
  PERFORM faultline.drop_queue('case', force => true);
  RETURN outcome;
END $$;

CREATE TEMP TABLE situations (nr integer, situation text);
INSERT INTO situations SELECT nr, situation FROM unnest(ARRAY[
  'queued', 'running', 'running, last attempt', 'running, asked to stop',
  'running, lease over', 'running, last attempt, lease over', 'running, asked to stop, lease over',
  'succeeded', 'failed', 'cancelled', 'stopped']) WITH ORDINALITY AS s (situation, nr);
-- For each verb and situation, in the order of the situations: the answer and the state after it,
-- queued, running, succeeded, failed, cancelled, or - for none.
CREATE TEMP TABLE matrix (verb text, outcomes text[]);
INSERT INTO matrix VALUES
  ('claim', ARRAY['claimed r', 'nothing r', 'nothing r', 'nothing r',
                  'nothing q', 'nothing f', 'nothing c',
                  'nothing s', 'nothing f', 'nothing c', 'nothing c']),
  ('complete', ARRAY['JQ001 q', 'succeeded s', 'succeeded s', 'succeeded s',
                     'succeeded s', 'succeeded s', 'succeeded s',
                     'already_succeeded s', 'JQ001 f', 'JQ001 c', 'JQ001 c']),
  ('complete_many', ARRAY['stale_lease q', 'succeeded s', 'succeeded s', 'succeeded s',
                          'succeeded s', 'succeeded s', 'succeeded s',
                          'already_succeeded s', 'stale_lease f', 'stale_lease c',
                          'stale_lease c']),
  -- A queued job is claimed in the same call.
  ('turn', ARRAY['stale_lease r', 'succeeded s', 'succeeded s', 'succeeded s',
                 'succeeded s', 'succeeded s', 'succeeded s',
                 'already_succeeded s', 'stale_lease f', 'stale_lease c', 'stale_lease c']),
  ('fail', ARRAY['JQ001 q', 'retrying q', 'failed f', 'cancelled c',
                 'retrying q', 'failed f', 'cancelled c',
                 'JQ001 s', 'failed f', 'JQ001 c', 'cancelled c']),
  ('fail_many', ARRAY['stale_lease q', 'retrying q', 'failed f', 'cancelled c',
                      'retrying q', 'failed f', 'cancelled c',
                      'stale_lease s', 'failed f', 'stale_lease c', 'cancelled c']),
  ('discard', ARRAY['JQ001 q', 'failed f', 'failed f', 'cancelled c',
                    'failed f', 'failed f', 'cancelled c',
                    'JQ001 s', 'failed f', 'JQ001 c', 'cancelled c']),
  ('extend', ARRAY['JQ001 q', 'extended r', 'extended r', 'JQ004 r',
                   'extended r', 'extended r', 'JQ004 r',
                   'JQ001 s', 'JQ001 f', 'JQ001 c', 'JQ001 c']),
  ('extend_many', ARRAY['stale_lease q', 'extended r', 'extended r', 'cancel_requested r',
                        'extended r', 'extended r', 'cancel_requested r',
                        'stale_lease s', 'stale_lease f', 'stale_lease c', 'stale_lease c']),
  ('release', ARRAY['JQ001 q', 'released q', 'released q', 'released c',
                    'released q', 'released q', 'released c',
                    'JQ001 s', 'JQ001 f', 'JQ001 c', 'released c']),
  ('expire_leases', ARRAY['0 q', '0 r', '0 r', '0 r', '1 q', '1 f', '1 c',
                          '0 s', '0 f', '0 c', '0 c']),
  ('cancel', ARRAY['cancelled c', 'cancel_requested r', 'cancel_requested r', 'cancel_requested r',
                   'cancel_requested r', 'cancel_requested r', 'cancel_requested r',
                   'already_finished s', 'already_finished f', 'already_finished c',
                   'already_finished c']),
  ('redrive', ARRAY['not_failed q', 'not_failed r', 'not_failed r', 'not_failed r',
                    'not_failed r', 'not_failed r', 'not_failed r',
                    'not_failed s', 'queued q', 'not_failed c', 'not_failed c']),
  ('purge', ARRAY['0 q', '0 r', '0 r', '0 r', '0 r', '0 r', '0 r', '0 s', '1 -', '0 c', '0 c']);

SELECT is(pg_temp.outcome(situation, call), outcomes[nr], format('%s of a job: %s', verb, situation))
  FROM matrix JOIN calls USING (verb), situations ORDER BY verb, nr;

-- All pairs of states.
CREATE TEMP TABLE allowed (pair text);
INSERT INTO allowed VALUES ('qr'), ('qc'), ('rq'), ('rs'), ('rf'), ('rc'), ('fq');
SELECT is(EXISTS (SELECT FROM faultline.job_events WHERE from_state = f AND to_state = t),
          f::text || t::text IN (SELECT pair FROM allowed),
          format('%s -> %s is made by %s call', f, t,
                 CASE WHEN f::text || t::text IN (SELECT pair FROM allowed) THEN 'a' ELSE 'no' END))
  FROM unnest('{q,r,s,f,c}'::"char"[]) AS f, unnest('{q,r,s,f,c}'::"char"[]) AS t;
SELECT is_empty($$
  SELECT * FROM (SELECT e.*, lag(to_state) OVER (PARTITION BY job_id ORDER BY event_id) AS before
                   FROM faultline.job_events e) AS e
   WHERE from_state IS DISTINCT FROM before OR (from_state IS NULL) <> (to_state = 'q' AND attempt = 0)$$,
  'each step begins where the one before ended, and the first makes a queued job');
SELECT is_empty($$
  SELECT j.job_id, j.state FROM faultline.jobs j
   WHERE left(j.state, 1)::"char" IS DISTINCT FROM (
     SELECT to_state FROM faultline.job_events e WHERE e.job_id = j.job_id
      ORDER BY event_id DESC LIMIT 1)$$,
  'the last step of each job led to the state it is in');
SELECT is_empty('SELECT * FROM faultline.check_invariants()', 'and no invariant is violated');

SELECT * FROM finish();
ROLLBACK;
