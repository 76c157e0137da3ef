-- Left out: counting at the claim. An attempt counts when it is reported as failed, so one that kills
-- its worker never counts.
CREATE OR REPLACE FUNCTION q.claim(worker text, max_jobs int DEFAULT 1, lease interval DEFAULT '30 s')
RETURNS SETOF q.jobs LANGUAGE sql AS $$
  WITH due AS MATERIALIZED (
    SELECT job_id FROM q.jobs WHERE state = 'queued' AND run_at <= q.now() ORDER BY job_id
     LIMIT claim.max_jobs FOR UPDATE SKIP LOCKED)
  UPDATE q.jobs j SET state = 'running', worker = claim.worker, token = gen_random_uuid(),
         lease_ends = q.now() + lease
    FROM due WHERE j.job_id = due.job_id RETURNING j.*
$$;
CREATE OR REPLACE FUNCTION q.fail(job_id bigint, token uuid, worker text, error text) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
  job q.jobs := q.held(job_id, token, worker);
BEGIN
  UPDATE q.jobs j SET attempt = attempt + 1 WHERE j.job_id = job.job_id RETURNING * INTO job;
  RETURN q.settle(job, error);
END $$;
