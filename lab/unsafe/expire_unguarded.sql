-- Left out: the second look. The rescuer makes a list of dead leases, and later writes by id, as if
-- nothing could happen in between. The table rescue is what its program holds in memory.
CREATE TABLE q.rescue (job_id bigint);
CREATE FUNCTION q.look_for_dead() RETURNS SETOF bigint LANGUAGE sql AS $$
  INSERT INTO q.rescue SELECT job_id FROM q.jobs WHERE state = 'running' AND lease_ends < q.now()
  RETURNING job_id
$$;
CREATE FUNCTION q.rescue_dead() RETURNS SETOF bigint LANGUAGE sql AS $$
  UPDATE q.jobs SET state = 'queued', worker = NULL, token = NULL, lease_ends = NULL
   WHERE job_id IN (SELECT job_id FROM q.rescue) RETURNING job_id
$$;
