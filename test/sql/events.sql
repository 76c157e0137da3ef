-- Event log: every change of a job's state, in its order, while faultline.trace_events is on.
\set sqlstate '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'
\set SHOW_CONTEXT never
SET timezone = 'UTC';
SET datestyle = 'ISO';
SET intervalstyle = 'postgres';
SELECT faultline.set_clock('2026-01-01 00:00Z') \gset
SELECT faultline.create_queue('traced', max_attempts => 2, lease => '10 s', backoff_jitter => 0) \gset
-- token: the letter of the attempt's token, in the order of its first event.
CREATE TEMP VIEW log AS
  SELECT e.job_id, to_char(e.at, 'HH24:MI:SS') AS at, e.from_state AS "from", e.to_state AS "to", e.attempt, e.generation,
         CASE WHEN e.lease_token IS NOT NULL
              THEN chr(64 + (dense_rank() OVER (PARTITION BY e.job_id ORDER BY t.first NULLS FIRST) - 1)::integer) END AS token
    FROM faultline.job_events e
    JOIN faultline.queues q ON q.queue_id = e.queue_id AND q.name = 'traced'
    LEFT JOIN (SELECT lease_token, min(event_id) AS first FROM faultline.job_events GROUP BY lease_token) t
           ON t.lease_token = e.lease_token
   ORDER BY e.job_id, e.event_id;

--
-- Off: nothing is written
--
SHOW faultline.trace_events;
ALTER SEQUENCE faultline.job_id_seq RESTART 19001;
SELECT faultline.enqueue('traced');
SELECT job_id, lease_token FROM faultline.claim('traced', 'w') \gset
SELECT faultline.complete(:job_id, :lease_token);
SELECT count(*) FROM faultline.job_events;

--
-- On: one row for each step
--
SET faultline.trace_events = on;
ALTER SEQUENCE faultline.job_id_seq RESTART 19101;
-- 19101: retry, expiry, dead letter, redrive, release, success.
SELECT faultline.enqueue('traced');
SELECT job_id, lease_token FROM faultline.claim('traced', 'w') \gset
SELECT faultline.advance_clock('1 s') \gset
SELECT faultline.extend(:job_id, :lease_token);
SELECT faultline.fail(:job_id, :lease_token, 'no', retry_in => '1 s');
SELECT faultline.advance_clock('1 s') \gset
SELECT count(*) FROM faultline.claim('traced', 'w');
SELECT faultline.advance_clock('10 s') \gset
SELECT faultline.expire_leases();
SELECT verdict FROM faultline.redrive('{19101}');
SELECT job_id, lease_token FROM faultline.claim('traced', 'w') \gset
SELECT faultline.release(:job_id, :lease_token) \gset
SELECT job_id, lease_token FROM faultline.claim('traced', 'w') \gset
SELECT count(*) FROM faultline.claim('traced', 'w');
SELECT faultline.advance_clock('10 s') \gset
-- Taken over by a claim.
SELECT count(*) FROM faultline.claim('traced', 'w');
SELECT faultline.advance_clock('1 s') \gset
SELECT job_id, lease_token FROM faultline.claim('traced', 'w') \gset
SELECT faultline.complete(:job_id, :lease_token);
-- Repeating a call that took effect is no step.
SELECT faultline.complete(:job_id, :lease_token);
SELECT * FROM log WHERE job_id = 19101;

-- 19102: cancelled in the queue.  19103: asked to stop, then failed.  19104: asked to stop, then
-- given back.  19105: discarded, and purged.
SELECT faultline.enqueue_many('traced', '{1,2,3,4}', idempotency_keys => '{a,b,c,d}');
-- A repeated request is no new job.
SELECT faultline.enqueue_many('traced', '{1}', idempotency_keys => '{a}');
SELECT verdict FROM faultline.cancel('{19102}');
SELECT job_id, lease_token INTO TEMP held FROM faultline.claim('traced', 'w', 3);
SELECT verdict FROM faultline.cancel('{19103,19104}');
SELECT faultline.fail(job_id, lease_token, 'stopped') FROM held WHERE job_id = 19103;
SELECT faultline.release(job_id, lease_token) FROM held WHERE job_id = 19104;
SELECT faultline.fail(job_id, lease_token, 'never', discard => true) FROM held WHERE job_id = 19105;
SELECT faultline.purge_dead_letters('traced', '0');
SELECT * FROM log WHERE job_id BETWEEN 19102 AND 19105;

-- Many at once; what rolls back leaves no trace.
ALTER SEQUENCE faultline.job_id_seq RESTART 19201;
SELECT count(*) FROM faultline.enqueue_many('traced', '{1,2,3,4}');
BEGIN;
SELECT faultline.enqueue('traced') > 0 AS enqueued;
SELECT count(*) FROM faultline.claim('traced', 'w', 10);
ROLLBACK;
SELECT array_agg(job_id) AS ids, array_agg(lease_token) AS tokens INTO TEMP batch FROM faultline.claim('traced', 'w', 4);
SELECT verdict FROM batch, faultline.complete_many(ids[1:2], tokens[1:2]);
SELECT verdict FROM batch, faultline.fail_many(ids[3:4], tokens[3:4], '{no,no}');
SELECT * FROM log WHERE job_id > 19200;

--
-- The log agrees with the jobs, and is a chain of legal steps
--
SELECT j.job_id FROM faultline.jobs j
 WHERE j.job_id > 19100 AND j.queue = 'traced'
   AND left(j.state, 1) IS DISTINCT FROM (SELECT e.to_state::text FROM faultline.job_events e
                                           WHERE e.job_id = j.job_id ORDER BY e.event_id DESC LIMIT 1);
SELECT * FROM (SELECT job_id, event_id, from_state, lag(to_state) OVER (PARTITION BY job_id ORDER BY event_id) AS before
                 FROM faultline.job_events) AS e
 WHERE from_state IS DISTINCT FROM before;

--
-- Retention: all events of a job or none; not while it is live or a dead letter
--
-- What other tests left behind would take part.
DELETE FROM faultline.queues WHERE dropped_at IS NOT NULL;
ALTER SEQUENCE faultline.job_id_seq RESTART 19301;
SELECT faultline.enqueue('traced', priority => -1);
SELECT faultline.enqueue_many('traced', '{1,2}', delay => '3650 days');
SELECT job_id, lease_token FROM faultline.claim('traced', 'w') \gset
SELECT faultline.fail(:job_id, :lease_token, 'no', discard => true);
-- 19301 is a dead letter, 19302 waits, 19303 ends later than it began; 19203 and 19204 wait for retries.
SELECT faultline.advance_clock('7 days') \gset
SELECT verdict FROM faultline.cancel('{19303}');
SELECT faultline.advance_clock('1 day') \gset
SELECT faultline.delete_old_finished(10000) >= 0 AS done;
SELECT job_id, count(*) FROM log GROUP BY job_id ORDER BY job_id;
SELECT faultline.advance_clock('10 min 1 s') \gset
SELECT faultline.delete_old_finished(10000) >= 0 AS done;
SELECT job_id, count(*) FROM log GROUP BY job_id ORDER BY job_id;
-- A bounded number of jobs at once, and then again in the next round.
SELECT faultline.drop_queue('traced', force => true);
SELECT faultline.advance_clock('8 days 1 s') \gset
SELECT faultline.delete_old_finished(3) >= 0 AS done;
SELECT count(DISTINCT job_id) FROM faultline.job_events;
SELECT faultline.delete_old_finished(3) >= 0 AS done;
SELECT count(*) FROM faultline.job_events;

SET faultline.trace_events = off;
-- Only a superuser switches it.
CREATE ROLE regress_faultline_events;
SET ROLE regress_faultline_events;
SET faultline.trace_events = on;
:sqlstate
RESET ROLE;
DROP ROLE regress_faultline_events;
SELECT faultline.set_clock(NULL) \gset
SELECT * FROM faultline.check_invariants();
