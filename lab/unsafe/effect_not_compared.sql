-- Left out: the comparison. A second effect under the same id is dropped, and called a success.
CREATE OR REPLACE FUNCTION q.apply(job_id bigint, token uuid, worker text, amount bigint) RETURNS text
LANGUAGE plpgsql AS $$
BEGIN
  PERFORM q.held(job_id, token, worker);
  INSERT INTO q.effects (job_id, amount) VALUES (job_id, amount) ON CONFLICT DO NOTHING;
  RETURN 'applied';
END $$;
