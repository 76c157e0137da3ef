-- Left out: the token. A worker may fail a job that is running, whoever runs it.
CREATE OR REPLACE FUNCTION q.fail(job_id bigint, token uuid, worker text, error text) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
  job q.jobs;
BEGIN
  SELECT * INTO STRICT job FROM q.jobs j WHERE j.job_id = fail.job_id AND state = 'running' FOR UPDATE;
  INSERT INTO q.believed VALUES ('fail', job.job_id, fail.worker, job.worker);
  RETURN q.settle(job, error);
END $$;
