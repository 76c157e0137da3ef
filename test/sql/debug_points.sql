-- Debug points: how the setting is spelled, and that an error at any of them leaves nothing half done.
\set sqlstate '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'
\set SHOW_CONTEXT never
SET timezone = 'UTC';
SELECT faultline.set_clock('2026-01-01 00:00Z') \gset
ALTER SEQUENCE faultline.job_id_seq RESTART 2000001;
SELECT faultline.create_queue('points', max_attempts => 2, backoff_base => '0') \gset

--
-- The setting
--
-- The error of a statement, without the rest of the list of points.
CREATE FUNCTION pg_temp.refusal(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  detail text;
  hint text;
BEGIN
  EXECUTE statement;
  RETURN 'none';
EXCEPTION WHEN OTHERS THEN
  GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
  RETURN regexp_replace(concat_ws(' | ', SQLSTATE, SQLERRM, detail, hint),
                        '(Points: enqueue_after_insert), [a-z_, ]+', '\1, ..');
END $$;
SELECT pg_temp.refusal($$SET faultline.debug_points = 'complete_after=error'$$);
SET faultline.debug_points = 'complete_after_delete=linger';
SET faultline.debug_points = 'complete_after_delete';
SET faultline.debug_points = 'complete_after_delete=error,';
SET faultline.debug_points = 'complete_after_delete=error, complete_after_delete=wait';
SET faultline.debug_points = 'transaction_committed=error';
SET faultline.debug_points = 'transaction_committed=wait';
SET faultline.debug_points = 'transaction_committed=exit';
SHOW faultline.debug_points;
CREATE ROLE regress_faultline_points;
SET ROLE regress_faultline_points;
SET faultline.debug_points = 'complete_after_delete=error';
:sqlstate
RESET ROLE;
DROP ROLE regress_faultline_points;

-- A moment later all is as ever.
SET faultline.debug_points = 'complete_after_delete=sleep';
SELECT clock_timestamp() AS before \gset
SELECT faultline.reach_debug_point('complete_after_delete');
SELECT clock_timestamp() - :'before' >= interval '100 ms' AS slept;
RESET faultline.debug_points;

-- Nothing is armed: also a name that is not known does nothing.
SELECT faultline.reach_debug_point('complete_after_delete');
SELECT faultline.reach_debug_point('none');
SELECT faultline.reach_debug_point(NULL);
:sqlstate
SET faultline.debug_points = ' complete_after_delete = error , duty_expire_keys=error ';
SELECT faultline.reach_debug_point('complete_after_delete');
:sqlstate
SELECT faultline.reach_debug_point('complete_after_archive');
SELECT pg_temp.refusal($$SELECT faultline.reach_debug_point('none')$$);
RESET faultline.debug_points;

-- A parallel worker takes the setting over.
SET faultline.debug_points = 'duty_expire_keys=error';
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SET min_parallel_index_scan_size = 0;
SELECT count(*) > 0 AS counted FROM pg_class WHERE relname || '' <> '';
RESET parallel_setup_cost;
RESET parallel_tuple_cost;
RESET min_parallel_table_scan_size;
RESET min_parallel_index_scan_size;
RESET faultline.debug_points;

--
-- An error takes all of a call back
--
CREATE VIEW pg_temp.everything AS
  SELECT 'live' AS place, job_id, state::text, attempt, cancel_requested_at IS NOT NULL AS cancelled,
         extract(epoch FROM lease_expires_at - claimed_at)::integer AS lease_seconds
    FROM faultline.live_jobs WHERE job_id > 2000000
  UNION ALL SELECT 'finished', job_id, state::text, attempt, NULL, NULL
    FROM faultline.finished_jobs WHERE job_id > 2000000
  UNION ALL SELECT 'failed', job_id, NULL, attempt, NULL, NULL
    FROM faultline.failed_jobs WHERE job_id > 2000000
  UNION ALL SELECT 'attempt', job_id, outcome::text, attempt, NULL, NULL
    FROM faultline.ended_attempts WHERE job_id > 2000000
  UNION ALL SELECT 'key', job_id, NULL, NULL, NULL, NULL
    FROM faultline.idempotency_keys WHERE job_id > 2000000;

SET faultline.debug_points = 'enqueue_after_insert=error';
SELECT faultline.enqueue('points', idempotency_key => 'k');
:sqlstate
SELECT faultline.enqueue_many('points', '{1,2}');
SELECT * FROM everything;
RESET faultline.debug_points;
SELECT faultline.enqueue('points', idempotency_key => 'k');

SET faultline.debug_points = 'claim_after_update=error';
SELECT count(*) FROM faultline.claim('points', 'w');
SELECT * FROM everything ORDER BY 1, 2;
RESET faultline.debug_points;
SELECT job_id, lease_token FROM faultline.claim('points', 'w') \gset

SET faultline.debug_points = 'complete_after_delete=error';
SELECT faultline.complete(:job_id, :lease_token);
SELECT verdict FROM faultline.complete_many(ARRAY[:job_id], ARRAY[:lease_token]::bigint[]);
SET faultline.debug_points = 'complete_after_archive=error';
SELECT faultline.complete(:job_id, :lease_token);
SET faultline.debug_points = 'fail_before_settle=error';
SELECT faultline.fail(:job_id, :lease_token, 'broken');
SET faultline.debug_points = 'settle_before_update=error';
SELECT faultline.fail(:job_id, :lease_token, 'broken');
SET faultline.debug_points = 'extend_after_update=error';
SELECT faultline.extend(:job_id, :lease_token, '1 h');
SET faultline.debug_points = 'release_after_update=error';
SELECT faultline.release(:job_id, :lease_token);
SET faultline.debug_points = 'cancel_after_update=error';
SELECT * FROM faultline.cancel(ARRAY[:job_id]);
SET faultline.debug_points = 'transaction_pre_commit=error';
SELECT faultline.complete(:job_id, :lease_token);
:sqlstate
-- A transaction without a verb does not reach it.
CREATE TEMP TABLE reached (x integer);
SELECT * FROM everything ORDER BY 1, 2;
RESET faultline.debug_points;
-- The lease is as good as before.
SELECT faultline.complete(:job_id, :lease_token);
SELECT * FROM everything ORDER BY 1, 2;

-- A queued job that is cancelled, a dead letter that is redriven.
SELECT faultline.enqueue('points') AS queued \gset
SELECT faultline.enqueue('points', max_attempts => 1, priority => -1) AS dead \gset
SELECT lease_token FROM faultline.claim('points', 'w') \gset
SELECT faultline.fail(:dead, :lease_token, 'broken');
SET faultline.debug_points = 'cancel_after_update=error, redrive_after_insert=error';
SELECT * FROM faultline.cancel(ARRAY[:queued]);
SELECT * FROM faultline.redrive(ARRAY[:dead]);
SELECT * FROM everything WHERE job_id > :job_id ORDER BY 1, 2;
RESET faultline.debug_points;
SELECT * FROM faultline.cancel(ARRAY[:queued]);

--
-- Expiry: a row that raises stops none of the others, a batch that raises is done row by row
--
SELECT faultline.enqueue_many('points', '{1,2,3}') AS expiring;
SELECT count(*) FROM faultline.claim('points', 'w', 3);
SELECT faultline.advance_clock('1 h') \gset
SET faultline.debug_points = 'settle_before_update=error';
SELECT faultline.expire_leases();
SELECT * FROM everything WHERE job_id > :dead ORDER BY 1, 2;
SET faultline.debug_points = 'expire_between_rows=error';
SELECT faultline.expire_leases();
SELECT * FROM everything WHERE job_id > :dead ORDER BY 1, 2;

--
-- An error in one duty stops none of the others
--
SET faultline.debug_points = 'duty_expire_leases=error, duty_reconcile=error, duty_expire_keys=error, duty_create_partitions=error, duty_drop_partitions=error, duty_delete_finished=error';
SELECT * FROM faultline.maintain() WHERE duty <> 'count_jobs';
SET faultline.debug_points = 'duty_expire_keys=error';
SELECT duty, error FROM faultline.maintain();
RESET faultline.debug_points;
SELECT duty, error FROM faultline.maintain();

SELECT faultline.drop_queue('points', force => true) \gset
SELECT faultline.set_clock(NULL) \gset
SELECT * FROM faultline.check_invariants();
