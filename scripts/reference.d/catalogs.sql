-- Prints the parts of docs/reference.md that the catalogs know, as Markdown: functions, views,
-- types, tables and settings with their comments. Run by scripts/generate-reference.

-- A default as a person would write it: without the type that the catalog adds.
CREATE FUNCTION pg_temp.plain_default(given text) RETURNS text LANGUAGE sql AS $$
  SELECT CASE WHEN given LIKE 'NULL::%' THEN 'NULL' ELSE regexp_replace(given, '::[a-z ]+(\[\])?$', '') END
$$;

CREATE FUNCTION pg_temp.type_name(type oid, modifier integer) RETURNS text LANGUAGE sql AS $$
  SELECT replace(format_type(type, modifier), 'timestamp with time zone', 'timestamptz')
$$;

-- Comments are plain text; in a table a bar would end the cell.
CREATE FUNCTION pg_temp.cell(given text) RETURNS text LANGUAGE sql AS $$
  SELECT replace(coalesce(given, ''), '|', '\|')
$$;

-- One line per parameter: inputs only, those of a result table are in the result.
CREATE FUNCTION pg_temp.signature(routine oid) RETURNS text LANGUAGE sql AS $$
  SELECT CASE p.prokind WHEN 'p' THEN 'CALL ' ELSE '' END || p.proname || '('
         || coalesce(E'\n' || string_agg('    ' || p.proargnames[i] || ' '
              || pg_temp.type_name(p.proargtypes[i - 1], -1)
              || coalesce(' = ' || pg_temp.plain_default(pg_get_function_arg_default(p.oid, i)), ''),
              E',\n' ORDER BY i) || E'\n', '')
         || ')' || coalesce(' -> ' || replace(pg_get_function_result(p.oid), 'faultline.', ''), '')
    FROM pg_proc p LEFT JOIN generate_series(1, p.pronargs) AS i ON true
   WHERE p.oid = routine
   GROUP BY p.oid, p.proname
$$;

CREATE TEMP VIEW contract_functions AS
  SELECT p.oid, p.proname, obj_description(p.oid, 'pg_proc') AS comment, a.levels
    FROM pg_proc p
   CROSS JOIN LATERAL (
     SELECT array_agg(level ORDER BY ordinality) AS levels
       FROM unnest('{producer,worker,operator,monitor}'::text[]) WITH ORDINALITY AS v (level)
      WHERE p.oid IN (SELECT f FROM faultline.level_functions(level) AS f)) a
   WHERE p.pronamespace = 'faultline'::regnamespace
     AND coalesce(obj_description(p.oid, 'pg_proc'), '') !~ '^(Internal|Trigger):';

CREATE TEMP VIEW contract_relations AS
  SELECT c.oid, c.relname, c.relkind, obj_description(c.oid, 'pg_class') AS comment
    FROM pg_class c
    JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'
   WHERE c.relnamespace = 'faultline'::regnamespace AND c.relkind IN ('v', 'c', 'r', 'p');

-- What has no comment must get one: an exception stops the generator.
DO $$
DECLARE
  missing text;
BEGIN
  SELECT string_agg(what, ', ' ORDER BY what) INTO missing FROM (
    SELECT 'function ' || f.oid::regprocedure AS what FROM contract_functions f
     WHERE f.comment IS NULL
    UNION ALL
    SELECT 'relation or type ' || r.relname FROM contract_relations r WHERE r.comment IS NULL
       AND r.relkind <> 'c'
    UNION ALL
    SELECT 'column ' || r.relname || '.' || a.attname
      FROM contract_relations r JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0
     WHERE r.relkind IN ('v', 'c') AND r.relname <> 'visible_queues'
       AND col_description(r.oid, a.attnum) IS NULL
  ) AS uncommented;
  IF missing IS NOT NULL THEN
    RAISE EXCEPTION 'without a comment: %', missing;
  END IF;
END $$;

\echo '## Functions'
\echo
\echo 'All are in schema `faultline` and take named parameters: `faultline.enqueue(queue => ''mail'')`.'
\echo '`NULL`, or leaving a parameter out, stands for its default. Functions that are for the extension'
\echo 'itself are left out.'
SELECT E'\n### ' || f.proname || E'\n```\n' || pg_temp.signature(f.oid) || E'\n```\n'
       || f.comment || E'\n\nMay be called by: '
       || CASE WHEN f.levels IS NULL THEN 'owners of the extension'
               WHEN cardinality(f.levels) = 4 THEN 'every level'
               ELSE array_to_string(f.levels, ', ') END || '.'
  FROM contract_functions f
 ORDER BY CASE WHEN f.levels IS NULL THEN 5 WHEN cardinality(f.levels) = 4 THEN 4
               ELSE array_position('{producer,worker,operator,monitor}', f.levels[1]) END,
          f.oid;

\echo
\echo '## Views'
\echo
\echo 'A role sees the rows of queues that it has any level on. No view shows a lease token.'
SELECT E'\n### ' || r.relname || E'\n' || r.comment
       || E'\n\n| column | type | meaning |\n|---|---|---|\n'
       || string_agg('| ' || a.attname || ' | ' || pg_temp.type_name(a.atttypid, a.atttypmod) || ' | '
                     || pg_temp.cell(col_description(r.oid, a.attnum)) || ' |', E'\n' ORDER BY a.attnum)
  FROM contract_relations r JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0
 WHERE r.relkind = 'v' AND r.relname <> 'visible_queues'
 GROUP BY r.oid, r.relname, r.comment
 ORDER BY r.oid;

\echo
\echo '## Types'
SELECT E'\n### ' || r.relname || E'\n'
       || coalesce(obj_description(t.oid, 'pg_type'), '')
       || E'\n\n| column | type | meaning |\n|---|---|---|\n'
       || string_agg('| ' || a.attname || ' | ' || pg_temp.type_name(a.atttypid, a.atttypmod) || ' | '
                     || pg_temp.cell(col_description(r.oid, a.attnum)) || ' |', E'\n' ORDER BY a.attnum)
  FROM contract_relations r JOIN pg_type t ON t.typrelid = r.oid
  JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0
 WHERE r.relkind = 'c'
 GROUP BY r.oid, r.relname, t.oid
 ORDER BY r.oid;

\echo
\echo '## Tables'
\echo
\echo 'The rows behind the views. They are not part of the contract, only functions write them, and no'
\echo 'level may read them; they are listed for backups, and for those who look after disks.'
\echo
\echo '| table | columns | holds |'
\echo '|---|---|---|'
SELECT '| ' || r.relname || ' | ' || string_agg(a.attname, ', ' ORDER BY a.attnum) || ' | '
       || pg_temp.cell(r.comment) || ' |'
  FROM contract_relations r
  JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
 WHERE r.relkind IN ('r', 'p')
 GROUP BY r.oid, r.relname, r.comment
 ORDER BY r.oid;

\echo
\echo '## Settings'
\echo
\echo '| setting | default | range | set in | meaning |'
\echo '|---|---|---|---|---|'
SELECT '| ' || s.name || ' | ' || s.boot_val || coalesce(' ' || s.unit, '') || ' | '
       || CASE s.vartype WHEN 'bool' THEN 'on, off'
                         WHEN 'enum' THEN array_to_string(s.enumvals, ', ')
                         WHEN 'string' THEN 'text'
                         ELSE s.min_val || ' to ' || s.max_val || coalesce(' ' || s.unit, '') END
       || ' | '
       || CASE s.context WHEN 'postmaster' THEN 'configuration file, server start'
                         WHEN 'sighup' THEN 'configuration file, reload'
                         WHEN 'superuser' THEN 'session, by a superuser'
                         WHEN 'user' THEN 'session, by anyone'
                         ELSE s.context END
       || ' | ' || pg_temp.cell(s.short_desc || coalesce(' ' || s.extra_desc, '')) || ' |'
  FROM (SELECT faultline.clock_now() OFFSET 0) AS library_is_loaded, pg_settings s
 WHERE s.name LIKE 'faultline.%'
 ORDER BY s.name;
\echo
\echo 'A session knows the settings once it has called a function, or from its start when the library'
\echo 'is preloaded. With preload, `faultline.allow_virtual_clock` and `faultline.lab` can be set at server'
\echo 'start only.'
