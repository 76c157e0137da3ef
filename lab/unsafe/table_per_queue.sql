-- Left out: names as data. Each queue is a table, whose name is put together with its own.
CREATE FUNCTION q.create_queue(name text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE 'CREATE TABLE q.queue_' || name || ' (job_id bigint)';
END $$;
