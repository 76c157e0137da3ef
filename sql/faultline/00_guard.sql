\echo Use "CREATE EXTENSION faultline" to load this file. \quit

-- Whoever owns the schema could later add functions of his own that SECURITY DEFINER bodies would
-- call, so a schema that somebody else made beforehand is refused.
DO $$
BEGIN
  IF EXISTS (SELECT FROM pg_catalog.pg_namespace n
              WHERE n.nspname OPERATOR(pg_catalog.=) 'faultline'
                AND pg_catalog.pg_get_userbyid(n.nspowner) OPERATOR(pg_catalog.<>) current_user) THEN
    RAISE EXCEPTION 'schema "faultline" belongs to another role'
      USING ERRCODE = '42501',
            DETAIL = 'Its owner could change what the functions of the extension call.',
            HINT = 'Drop or rename the schema, or give it to the installing role, then create the extension again.';
  END IF;
END $$;
