-- Left out: the look at the effect. Whether it was applied is what the worker remembers.
CREATE OR REPLACE FUNCTION q.complete(job_id bigint, token uuid, worker text) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
  job q.jobs := q.held(job_id, token, worker);
BEGIN
  UPDATE q.jobs j SET state = 'succeeded', worker = NULL, token = NULL, lease_ends = NULL
   WHERE j.job_id = job.job_id;
  RETURN 'succeeded';
END $$;
