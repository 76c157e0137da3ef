-- Helpers for tests of privileges: call_as() tells what a statement does for a role.  Included by
-- the tests inside their transaction, so that everything here is rolled back with them.

-- '00000', or the SQLSTATE the statement raised.  What it did is kept, what raised is undone.
CREATE FUNCTION pg_temp.call_as(role_name name, statement text) RETURNS text
  LANGUAGE plpgsql AS $$
BEGIN
  BEGIN
    EXECUTE format('SET LOCAL ROLE %I', role_name);
    EXECUTE statement;
    EXECUTE 'RESET ROLE';
    RETURN '00000';
  EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE;
  END;
END $$;

-- The first column of the first row, as text; the error is the caller's.
CREATE FUNCTION pg_temp.value_as(role_name name, query text) RETURNS text
  LANGUAGE plpgsql AS $$
DECLARE
  answer text;
BEGIN
  EXECUTE format('SET LOCAL ROLE %I', role_name);
  EXECUTE query INTO answer;
  EXECUTE 'RESET ROLE';
  RETURN answer;
END $$;
