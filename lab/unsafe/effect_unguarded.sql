-- Left out: everything that keeps a second effect away, unique index, look at what is there, fence.
ALTER TABLE q.effects DROP CONSTRAINT effects_job_id_key;
CREATE OR REPLACE FUNCTION q.apply(job_id bigint, token uuid, worker text, amount bigint) RETURNS text
LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO q.effects (job_id, amount) VALUES (job_id, amount);
  RETURN 'applied';
END $$;
