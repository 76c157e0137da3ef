-- Left out: maintenance that does not depend on leisure. Workers settle leases that have ended when they find
-- nothing else to do.
CREATE FUNCTION q.work(worker text) RETURNS SETOF q.jobs LANGUAGE plpgsql AS $$
BEGIN
  RETURN QUERY SELECT * FROM q.claim(worker);
  IF NOT FOUND THEN
    PERFORM q.expire();
  END IF;
END $$;
