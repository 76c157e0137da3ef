-- Left out: a token for each claim. The holder is known by the name of the worker, which survives a
-- restart of its program.
CREATE OR REPLACE FUNCTION q.held(job_id bigint, token uuid, worker text) RETURNS q.jobs
LANGUAGE plpgsql AS $$
DECLARE
  job q.jobs;
BEGIN
  SELECT * INTO job FROM q.jobs j WHERE j.job_id = held.job_id FOR NO KEY UPDATE;
  IF job.state <> 'running' OR job.worker <> held.worker THEN
    RAISE EXCEPTION 'the lease is lost' USING ERRCODE = 'QU001';
  END IF;
  RETURN job;
END $$;
