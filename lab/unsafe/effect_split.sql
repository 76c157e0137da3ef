-- Left out: one transaction. The effect and the word that it is applied are written by two statements
-- of the client, with a commit in between; a redelivery looks at the word.
ALTER TABLE q.effects DROP CONSTRAINT effects_job_id_key;
CREATE TABLE q.transactions (job_id bigint PRIMARY KEY, state text NOT NULL DEFAULT 'INIT');
CREATE FUNCTION q.write_effect(id bigint, amount bigint) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO q.transactions VALUES (id) ON CONFLICT DO NOTHING;
  IF EXISTS (SELECT FROM q.transactions t WHERE t.job_id = id AND t.state = 'APPLIED') THEN
    RETURN 'exists';
  END IF;
  INSERT INTO q.effects (job_id, amount) VALUES (id, amount);
  RETURN 'written';
END $$;
CREATE FUNCTION q.say_applied(id bigint) RETURNS void LANGUAGE sql AS $$
  UPDATE q.transactions SET state = 'APPLIED' WHERE job_id = id
$$;
