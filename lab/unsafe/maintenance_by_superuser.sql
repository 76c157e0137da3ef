-- Left out: an owner who is trusted. The tables belong to the application's role, and maintenance runs
-- as superuser.
DO $$
BEGIN
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'mallory_085') THEN CREATE ROLE mallory_085; END IF;
END $$;
ALTER TABLE q.jobs OWNER TO mallory_085;
GRANT USAGE, CREATE ON SCHEMA q TO mallory_085;
