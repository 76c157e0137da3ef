-- Prepares a database for the fuzzer: roles, and a table whose trigger calls.
CREATE EXTENSION faultline;
DO $$
DECLARE
  role name;
  level text;
BEGIN
  FOREACH role IN ARRAY ARRAY['user', 'worker', 'monitor', 'other'] LOOP
    IF to_regrole('fuzz_' || role) IS NULL THEN
      EXECUTE format('CREATE ROLE %I LOGIN', 'fuzz_' || role);
      EXECUTE format('ALTER ROLE %I SET statement_timeout = %L', 'fuzz_' || role, '2s');
    END IF;
  END LOOP;
  FOREACH level IN ARRAY ARRAY['producer', 'worker', 'operator', 'monitor'] LOOP
    PERFORM faultline.grant_access('fuzz_user', level);
  END LOOP;
  PERFORM faultline.grant_access('fuzz_worker', 'worker');
  PERFORM faultline.grant_access('fuzz_monitor', 'monitor');
END $$;
GRANT EXECUTE ON FUNCTION pg_get_backend_memory_contexts() TO fuzz_user;
GRANT SELECT ON pg_backend_memory_contexts TO fuzz_user;
CREATE SCHEMA fuzz;
CREATE TABLE fuzz.calls (call text);
-- Runs the call; no row stays.
CREATE FUNCTION fuzz.run_call() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE NEW.call;
  RETURN NULL;
END $$;
CREATE TRIGGER run_call BEFORE INSERT ON fuzz.calls FOR EACH ROW EXECUTE FUNCTION fuzz.run_call();
GRANT USAGE ON SCHEMA fuzz TO PUBLIC;
GRANT INSERT ON fuzz.calls TO PUBLIC;
