-- Prints the part of docs/monitoring.md that is named by the variable "part": the columns of the
-- views of statistics, or the metrics, as the database describes them. Run by
-- scripts/generate-reference, after catalogs.sql has checked that everything has a comment.

SELECT :'part' = 'views' AS views, :'part' = 'metrics' AS metrics, :'part' = 'buckets' AS buckets \gset

\if :views
SELECT E'\n### ' || c.relname || E'\n' || obj_description(c.oid, 'pg_class')
       || E'\n\n| column | type | meaning |\n|---|---|---|\n'
       || string_agg('| ' || a.attname || ' | '
                     || replace(format_type(a.atttypid, a.atttypmod), 'timestamp with time zone', 'timestamptz')
                     || ' | ' || replace(col_description(c.oid, a.attnum), '|', '\|') || ' |', E'\n' ORDER BY a.attnum)
  FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
 WHERE c.relnamespace = 'faultline'::regnamespace AND c.relkind = 'v' AND c.relname LIKE 'stat\_%'
 GROUP BY c.oid, c.relname
 ORDER BY c.relname;
\elif :metrics
SELECT E'\n| metric | type | meaning |\n|---|---|---|';
SELECT '| `' || f.name || '` | ' || f.kind || ' | ' || replace(f.help, '|', '\|') || ' |'
  FROM faultline.metric_families() WITH ORDINALITY AS f (name, kind, unit, help, position)
 ORDER BY f.position;
\elif :buckets
SELECT E'\nBuckets end at ' || array_to_string(faultline.latency_bounds(), ', ') || ' seconds.';
\else
\warn there is no part of this name
SELECT 1 / 0;
\endif
