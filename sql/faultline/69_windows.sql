-- The ready windows: what is in them, and their upkeep.

CREATE FUNCTION faultline.ready_windows() RETURNS TABLE (
  database_id oid, queue_id integer, ready integer, ready_max integer, scheduled integer, scheduled_max integer,
  ready_complete boolean, schedule_complete boolean, started_over bigint
)
  LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'faultline_ready_windows';
COMMENT ON FUNCTION faultline.ready_windows() IS
  'Internal: the ready windows of all databases, a row for each that is in use. ready_complete: every due job is in it; schedule_complete: every job for later. started_over: how often it has begun anew. No rows when the library is not preloaded.';

CREATE FUNCTION faultline.sweep_windows() RETURNS bigint
  LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'faultline_sweep_windows';
COMMENT ON FUNCTION faultline.sweep_windows() IS
  'Internal: looks at the rows that the ready windows of this database should know, and tells them of jobs that nobody could tell of, such as those of a prepared transaction or written by hand. Returns how many those were.';

CREATE FUNCTION faultline.drop_hints(queue text) RETURNS void
  LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'faultline_drop_hints';
COMMENT ON FUNCTION faultline.drop_hints(text) IS
  'Internal: for tests, the ready window of the queue loses its hints and does not know it. 55000 unless faultline.lab is on.';

CREATE FUNCTION faultline.plant_hint(queue text, job_id bigint, place tid, priority integer, next_run_at timestamptz)
  RETURNS void
  LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'faultline_plant_hint';
COMMENT ON FUNCTION faultline.plant_hint(text, bigint, tid, integer, timestamptz) IS
  'Internal: for tests, puts a hint into the ready window of the queue, whether or not there is such a job at this place of live_jobs. 55000 unless faultline.lab is on.';
