-- Left out: the comparison. Whoever uses a key again gets the first job, whatever he asked for.
CREATE OR REPLACE FUNCTION q.enqueue(payload text, request_key text DEFAULT NULL,
                                     amount bigint DEFAULT NULL)
RETURNS bigint LANGUAGE sql AS $$
  WITH new AS (
    INSERT INTO q.jobs (payload, request_key, amount)
      VALUES (enqueue.payload, enqueue.request_key, enqueue.amount)
      ON CONFLICT (request_key) DO NOTHING RETURNING job_id)
  SELECT job_id FROM new
   UNION ALL SELECT job_id FROM q.jobs j WHERE j.request_key = enqueue.request_key LIMIT 1
$$;
