-- Time: one clock for every decision, its virtual twin for tests, and when leases end.

CREATE FUNCTION faultline.clock_now() RETURNS timestamptz
  LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'faultline_clock_now';
COMMENT ON FUNCTION faultline.clock_now() IS
  'The time that all functions of the extension use: the server''s clock at this moment, or the virtual clock of this database when a test has set one.';

CREATE FUNCTION faultline.waiting_now() RETURNS timestamptz
  LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'faultline_waiting_now';
COMMENT ON FUNCTION faultline.waiting_now() IS
  'Internal: real time, to compare with times that PostgreSQL notes: of sessions, of calls; never for what happens to a job.';

CREATE FUNCTION faultline.set_clock(now_at timestamptz) RETURNS timestamptz
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM faultline.require_virtual_clock();
  IF NOT isfinite(now_at) THEN
    RAISE EXCEPTION 'virtual time must be finite'
      USING ERRCODE = '22023', DETAIL = 'The given time is ' || now_at || '.',
            HINT = 'Pass a finite time, or null to return to real time.';
  END IF;
  DELETE FROM faultline.virtual_clock;
  IF now_at IS NOT NULL THEN
    INSERT INTO faultline.virtual_clock VALUES (now_at);
  END IF;
  RETURN faultline.clock_now();
END $$;
COMMENT ON FUNCTION faultline.set_clock(timestamptz) IS
  'For tests: sets the virtual time of this database (null: back to real time) and returns the time now in force. Needs faultline.allow_virtual_clock = on; 55000 otherwise.';

CREATE FUNCTION faultline.advance_clock(step interval) RETURNS timestamptz
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM faultline.require_virtual_clock();
  IF step IS NULL THEN
    RAISE EXCEPTION 'step must not be null'
      USING ERRCODE = '22004', DETAIL = 'There is no default step.', HINT = 'Pass an interval.';
  END IF;
  RETURN faultline.set_clock(faultline.clock_now() + step);
END $$;
COMMENT ON FUNCTION faultline.advance_clock(interval) IS
  'For tests: moves the virtual time of this database by the interval, starting from the time in force, and returns the new time.';

CREATE FUNCTION faultline.require_virtual_clock() RETURNS void
  LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM faultline.clock_now();  -- loads the library, which defines the setting
  IF NOT current_setting('faultline.allow_virtual_clock')::boolean THEN
    RAISE EXCEPTION 'the virtual clock is not allowed on this server'
      USING ERRCODE = '55000', DETAIL = 'faultline.allow_virtual_clock is off.',
            HINT = 'It is for tests only: set faultline.allow_virtual_clock = on in postgresql.conf.';
  END IF;
END $$;
COMMENT ON FUNCTION faultline.require_virtual_clock() IS 'Internal: raises 55000 unless the virtual clock is allowed.';

CREATE FUNCTION faultline.lease_end(
  job_id bigint, lease_token bigint, claimed_at timestamptz, lease_expires_at timestamptz, queue_id integer,
  lease_milliseconds integer
) RETURNS timestamptz
  LANGUAGE c STABLE COST 10 AS 'MODULE_PATHNAME', 'faultline_lease_end';
COMMENT ON FUNCTION faultline.lease_end(bigint, bigint, timestamptz, timestamptz, integer, integer) IS
  'Internal: when the lease of the running job with this row ends: later than the row says if it was extended in memory, or may have been before the server was restarted.';
