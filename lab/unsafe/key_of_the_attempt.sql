-- Left out: a key that stays. What is sent to systems outside is named by the job and its attempt, so a
-- system that remembers names takes each attempt for a request of its own.
CREATE FUNCTION q.key_for_others(job q.jobs) RETURNS text LANGUAGE sql AS $$
  SELECT job.job_id || ':' || job.attempt
$$;
