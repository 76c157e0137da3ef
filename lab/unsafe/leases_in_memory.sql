-- Left out: the log. Who holds which job is kept where it is cheap, in a table that is not logged;
-- shared memory or a cache server would do the same.
CREATE UNLOGGED TABLE q.leases (job_id bigint PRIMARY KEY, worker text, attempt int);
CREATE FUNCTION q.take(worker text) RETURNS TABLE (job_id bigint, attempt int) LANGUAGE sql AS $$
  INSERT INTO q.leases AS l
  SELECT j.job_id, take.worker, 1 FROM q.jobs j
   WHERE state = 'queued' AND NOT EXISTS (SELECT FROM q.leases h WHERE h.job_id = j.job_id)
   ORDER BY j.job_id LIMIT 1
  RETURNING l.job_id, l.attempt
$$;
