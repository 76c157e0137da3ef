-- Left out: one place. The balance is a number beside the effects that the worker changes by a second statement,
-- and a repair makes up what it finds missing.
CREATE TABLE q.balances (account text PRIMARY KEY, balance bigint NOT NULL);
INSERT INTO q.balances VALUES ('shop', 0);
CREATE FUNCTION q.add_to_balance(amount bigint) RETURNS void LANGUAGE sql AS $$
  UPDATE q.balances b SET balance = balance + amount WHERE account = 'shop'
$$;
CREATE FUNCTION q.repair() RETURNS bigint LANGUAGE sql AS $$
  WITH made_up AS (
    INSERT INTO q.effects (job_id, amount)
    SELECT job_id, amount FROM q.jobs j WHERE state = 'succeeded' AND amount IS NOT NULL
       AND NOT EXISTS (SELECT FROM q.effects e WHERE e.job_id = j.job_id)
    RETURNING 1)
  SELECT count(*) FROM made_up
$$;
