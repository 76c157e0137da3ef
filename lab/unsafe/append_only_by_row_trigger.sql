-- Left out: TRUNCATE, and sessions in which ordinary triggers do not fire.
CREATE FUNCTION q.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'effects are never changed' USING ERRCODE = 'QU009';
END $$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON q.effects FOR EACH ROW EXECUTE FUNCTION q.refuse();
