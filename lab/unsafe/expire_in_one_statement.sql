-- Left out: rows that fail alone. The sweep is one statement, and somebody's own rule on the table is a
-- part of it.
CREATE OR REPLACE FUNCTION q.expire() RETURNS bigint LANGUAGE sql AS $$
  WITH ended AS (
    UPDATE q.jobs SET state = 'queued', worker = NULL, token = NULL, lease_ends = NULL
     WHERE state = 'running' AND lease_ends < q.now() RETURNING job_id)
  SELECT count(*) FROM ended
$$;
