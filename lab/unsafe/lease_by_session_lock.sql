-- Left out: a lease in the row. Who holds a job is told by an advisory lock of the session.
CREATE FUNCTION q.take() RETURNS bigint LANGUAGE sql AS $$
  SELECT job_id FROM q.jobs WHERE state = 'queued' AND pg_try_advisory_lock(job_id) ORDER BY job_id LIMIT 1
$$;
