-- Left out: the producer's word. What the effect is, the worker says.
CREATE OR REPLACE FUNCTION q.apply(job_id bigint, token uuid, worker text, amount bigint) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
  job q.jobs := q.held(job_id, token, worker);
BEGIN
  INSERT INTO q.effects (job_id, amount) VALUES (job.job_id, apply.amount);
  RETURN 'applied';
END $$;
