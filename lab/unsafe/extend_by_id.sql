-- Left out: the token. A lease is extended by the id of its job.
CREATE OR REPLACE FUNCTION q.extend(job_id bigint, token uuid, worker text, lease interval DEFAULT '30 s')
RETURNS timestamptz LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO q.believed SELECT 'extend', j.job_id, extend.worker, j.worker
    FROM q.jobs j WHERE j.job_id = extend.job_id;
  UPDATE q.jobs j SET lease_ends = q.now() + lease WHERE j.job_id = extend.job_id AND state = 'running';
  RETURN q.now() + lease;
END $$;
