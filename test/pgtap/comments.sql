-- Everything a person meets has a description: reference tables in the documentation and `\d+` in
-- psql are made of these.
\set ON_ERROR_STOP 1
BEGIN;
SELECT plan(7);

-- Members of the extension, and the columns of its relations.
CREATE TEMP VIEW member AS
  SELECT d.classid, d.objid, pg_describe_object(d.classid, d.objid, 0) AS what
    FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid
   WHERE d.deptype = 'e' AND d.refclassid = 'pg_extension'::regclass AND e.extname = 'faultline';
CREATE TEMP VIEW member_relation AS
  SELECT c.oid, c.relname, c.relkind
    FROM member m JOIN pg_class c ON m.classid = 'pg_class'::regclass AND c.oid = m.objid;
CREATE TEMP VIEW undescribed_column AS
  SELECT r.relkind, r.relname, a.attname
    FROM member_relation r
    JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
   WHERE coalesce(col_description(r.oid, a.attnum), '') = '';

SELECT is_empty($$
  SELECT what FROM member
   WHERE classid = 'pg_proc'::regclass AND coalesce(obj_description(objid, 'pg_proc'), '') = ''$$,
  'every function has a comment');
SELECT is_empty($$
  SELECT relname FROM member_relation
   WHERE relkind = 'v' AND coalesce(obj_description(oid, 'pg_class'), '') = ''$$,
  'every view has a comment');
SELECT is_empty($$
  SELECT relname FROM member_relation
   WHERE relkind IN ('r', 'p') AND coalesce(obj_description(oid, 'pg_class'), '') = ''$$,
  'every table has a comment');
SELECT is_empty($$
  SELECT t.typname
    FROM member m JOIN pg_type t ON m.classid = 'pg_type'::regclass AND t.oid = m.objid
    LEFT JOIN pg_class c ON c.oid = t.typrelid
   WHERE t.typelem = 0 AND (c.relkind = 'c' OR c.oid IS NULL)
     AND coalesce(obj_description(t.oid, 'pg_type'), '') = ''$$,
  'every type has a comment');
SELECT is_empty($$SELECT relname, attname FROM undescribed_column WHERE relkind = 'v'$$,
  'every column of a view has a comment');
SELECT is_empty($$
  SELECT t.typname, a.attname FROM pg_type t JOIN pg_attribute a ON a.attrelid = t.typrelid
   WHERE t.oid IN ('faultline.claimed_job'::regtype, 'faultline.turn_row'::regtype) AND a.attnum > 0
     AND coalesce(col_description(t.typrelid, a.attnum), '') = ''$$,
  'every column of claimed_job and turn_row has a comment');
SELECT faultline.clock_now();  -- loads the library, which defines the settings
SELECT results_eq($$
  SELECT name, short_desc <> '' AND short_desc LIKE '%.' FROM pg_settings
   WHERE name LIKE 'faultline.%' ORDER BY name$$,
  $$VALUES ('faultline.allow_same_transaction', true), ('faultline.allow_virtual_clock', true),
           ('faultline.asynchronous_claims', true), ('faultline.audit_interval', true), ('faultline.audit_timeout', true),
           ('faultline.background_worker', true), ('faultline.count_jobs_timeout', true),
           ('faultline.create_partitions_timeout', true),
           ('faultline.databases', true), ('faultline.debug_points', true),
           ('faultline.delete_finished_rows', true), ('faultline.delete_finished_timeout', true),
           ('faultline.drop_partitions_timeout', true), ('faultline.expire_keys_rows', true),
           ('faultline.expire_keys_timeout', true), ('faultline.expire_leases_rows', true),
           ('faultline.expire_leases_timeout', true), ('faultline.fast_path', true),
           ('faultline.horizon_age_limit', true),
           ('faultline.lab', true),
           ('faultline.lock_timeout', true), ('faultline.max_leases', true), ('faultline.max_queues', true),
           ('faultline.max_workers', true),
           ('faultline.naptime', true), ('faultline.ready_age_limit', true), ('faultline.ready_window', true), ('faultline.reconcile_rows', true),
           ('faultline.reconcile_timeout', true), ('faultline.strict_lease', true),
           ('faultline.sweep_windows_timeout', true), ('faultline.trace_events', true)$$,
  'every setting has a description, and there are no others');

SELECT * FROM finish();
ROLLBACK;
