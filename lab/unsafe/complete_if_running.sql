-- Left out: the token. A worker may complete a job that is running, whoever runs it. Queues that
-- acknowledge by id and state have this shape.
CREATE OR REPLACE FUNCTION q.complete(job_id bigint, token uuid, worker text) RETURNS text
LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO q.believed SELECT 'complete', j.job_id, complete.worker, j.worker
    FROM q.jobs j WHERE j.job_id = complete.job_id AND state = 'running';
  UPDATE q.jobs j SET state = 'succeeded', worker = NULL, token = NULL, lease_ends = NULL
   WHERE j.job_id = complete.job_id AND state = 'running';
  RETURN CASE WHEN FOUND THEN 'succeeded' ELSE 'not running' END;
END $$;
