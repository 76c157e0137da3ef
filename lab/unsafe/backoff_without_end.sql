-- Left out: the bound of the delay. It doubles with each attempt, without end.
CREATE OR REPLACE FUNCTION q.settle(job q.jobs, error text) RETURNS text LANGUAGE sql AS $$
  UPDATE q.jobs j SET state = 'queued', worker = NULL, token = NULL, lease_ends = NULL,
         run_at = q.now() + interval '1 s' * 2.0 ^ job.attempt
   WHERE j.job_id = job.job_id RETURNING state
$$;
