-- Left out: silence. Each poll tells that its worker is alive, whether there is a job or not.
CREATE TABLE q.workers (worker text PRIMARY KEY, seen_at timestamptz);
CREATE OR REPLACE FUNCTION q.claim(worker text, max_jobs int DEFAULT 1, lease interval DEFAULT '30 s')
RETURNS SETOF q.jobs LANGUAGE sql AS $$
  INSERT INTO q.workers AS w VALUES (claim.worker, q.now())
    ON CONFLICT ON CONSTRAINT workers_pkey DO UPDATE SET seen_at = q.now();
  SELECT * FROM q.jobs WHERE state = 'queued' FOR UPDATE SKIP LOCKED LIMIT 0
$$;
