-- Left out: a memory of its own. A finished job's row is deleted, and with it the key.
CREATE OR REPLACE FUNCTION q.complete(job_id bigint, token uuid, worker text) RETURNS text
LANGUAGE plpgsql AS $$
BEGIN
  PERFORM q.held(job_id, token, worker);
  DELETE FROM q.jobs j WHERE j.job_id = complete.job_id;
  RETURN 'succeeded';
END $$;
