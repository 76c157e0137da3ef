-- Left out: independence of the state. A key is unique among jobs that are queued or running; one that
-- waits for its retry is neither.
ALTER TABLE q.jobs DROP CONSTRAINT jobs_request_key_key;
CREATE UNIQUE INDEX jobs_request_key_key ON q.jobs (request_key) WHERE state IN ('queued', 'running');
CREATE OR REPLACE FUNCTION q.enqueue(payload text, request_key text DEFAULT NULL,
                                     amount bigint DEFAULT NULL)
RETURNS bigint LANGUAGE sql AS $$
  INSERT INTO q.jobs (payload, request_key) VALUES (payload, request_key) RETURNING job_id
$$;
CREATE OR REPLACE FUNCTION q.settle(job q.jobs, error text) RETURNS text LANGUAGE sql AS $$
  UPDATE q.jobs j SET state = 'retryable', run_at = q.now() + interval '10 s', worker = NULL, token = NULL,
         lease_ends = NULL WHERE j.job_id = job.job_id RETURNING state
$$;
-- Brings all retries that are due back into their queues.
CREATE FUNCTION q.stage() RETURNS SETOF bigint LANGUAGE sql AS $$
  UPDATE q.jobs SET state = 'queued' WHERE state = 'retryable' AND run_at <= q.now() RETURNING job_id
$$;
