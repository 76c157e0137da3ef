-- Left out: a fixed search_path. A function that runs with its owner's rights finds its tables by the
-- caller's path, in which temporary tables come first.
CREATE FUNCTION q.pay_out(worker text) RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = q AS $$
DECLARE
  amount bigint;
BEGIN
  SELECT sum(j.amount) INTO amount FROM jobs j WHERE j.worker = pay_out.worker;
  RETURN amount;
END $$;
GRANT USAGE ON SCHEMA q TO PUBLIC;
