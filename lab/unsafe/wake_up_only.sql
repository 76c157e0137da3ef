-- Left out: looking. A worker claims when it is told of a job, and only then.
CREATE FUNCTION q.enqueue_and_tell(payload text) RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_notify('jobs', payload);
  RETURN q.enqueue(payload);
END $$;
