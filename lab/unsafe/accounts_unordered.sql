-- Left out: an order of locks. A transfer takes the accounts as it comes to them, and a second function
-- reads a balance now and writes it later.
CREATE TABLE q.accounts (account text PRIMARY KEY, balance bigint NOT NULL DEFAULT 0);
INSERT INTO q.accounts VALUES ('ann', 100), ('bob', 100);
CREATE FUNCTION q.move(account text, amount bigint) RETURNS bigint LANGUAGE sql AS $$
  UPDATE q.accounts a SET balance = balance + amount WHERE a.account = move.account RETURNING balance
$$;
CREATE FUNCTION q.write_balance(account text, balance bigint) RETURNS void LANGUAGE sql AS $$
  UPDATE q.accounts a SET balance = write_balance.balance WHERE a.account = write_balance.account
$$;
