-- Left out: the end of the lease. A job that was claimed is its worker's for ever.
CREATE OR REPLACE FUNCTION q.claim(worker text, max_jobs int DEFAULT 1, lease interval DEFAULT '30 s')
RETURNS SETOF q.jobs LANGUAGE sql AS $$
  WITH due AS MATERIALIZED (
    SELECT job_id FROM q.jobs WHERE state = 'queued' AND run_at <= q.now() ORDER BY job_id
     LIMIT claim.max_jobs FOR UPDATE SKIP LOCKED)
  UPDATE q.jobs j SET state = 'running', attempt = attempt + 1, worker = claim.worker,
         token = gen_random_uuid(), lease_ends = 'infinity'
    FROM due WHERE j.job_id = due.job_id RETURNING j.*
$$;
