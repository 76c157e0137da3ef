-- Left out: MATERIALIZED. How often the subquery with the LIMIT runs is up to the planner.
CREATE OR REPLACE FUNCTION q.claim(worker text, max_jobs int DEFAULT 1, lease interval DEFAULT '30 s')
RETURNS SETOF q.jobs LANGUAGE sql AS $$
  UPDATE q.jobs j SET state = 'running', attempt = attempt + 1, worker = claim.worker,
         token = gen_random_uuid(), lease_ends = q.now() + lease
   WHERE j.job_id IN (SELECT job_id FROM q.jobs WHERE state = 'queued' AND run_at <= q.now()
                       LIMIT claim.max_jobs FOR UPDATE SKIP LOCKED)
   RETURNING j.*
$$;
