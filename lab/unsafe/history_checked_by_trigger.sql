-- Left out: a check that a copy can pass. A trigger holds each new effect against the state of its job,
-- which in a copy is that of the end.
CREATE FUNCTION q.effect_is_legal() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NOT EXISTS (SELECT FROM q.jobs j WHERE j.job_id = NEW.job_id AND j.state = 'running') THEN
    RAISE EXCEPTION 'an effect of a job that does not run' USING ERRCODE = 'QU004';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER effect_is_legal BEFORE INSERT ON q.effects FOR EACH ROW EXECUTE FUNCTION q.effect_is_legal();
