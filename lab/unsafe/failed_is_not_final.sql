-- Left out: that FAILED is an end. A late effect is written as long as there is none yet.
CREATE OR REPLACE FUNCTION q.apply(job_id bigint, token uuid, worker text, amount bigint) RETURNS text
LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO q.effects (job_id, amount) VALUES (job_id, amount) ON CONFLICT DO NOTHING;
  RETURN CASE WHEN FOUND THEN 'applied' ELSE 'exists' END;
END $$;
