-- Left out: the look at the effect. What follows an attempt depends on the counter alone.
CREATE OR REPLACE FUNCTION q.settle(job q.jobs, error text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  outcome text := CASE WHEN job.attempt < job.max_attempts THEN 'queued' ELSE 'failed' END;
BEGIN
  UPDATE q.jobs j SET state = outcome, worker = NULL, token = NULL, lease_ends = NULL, last_error = error
   WHERE j.job_id = job.job_id;
  RETURN outcome;
END $$;
