-- Left out: the unique index. Whether a key was used is asked first, and the job inserted afterwards.
ALTER TABLE q.jobs DROP CONSTRAINT jobs_request_key_key;
CREATE OR REPLACE FUNCTION q.enqueue(payload text, request_key text DEFAULT NULL,
                                     amount bigint DEFAULT NULL)
RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  id bigint;
BEGIN
  SELECT j.job_id INTO id FROM q.jobs j WHERE j.request_key = enqueue.request_key;
  IF id IS NULL THEN
    INSERT INTO q.jobs (payload, request_key, amount)
      VALUES (enqueue.payload, enqueue.request_key, enqueue.amount) RETURNING job_id INTO id;
  END IF;
  RETURN id;
END $$;
