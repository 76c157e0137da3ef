-- The rows: durable truth.  Only the functions of this extension write here; people and tools
-- read the views.  Column order is by alignment (eight bytes first), because the live row's size
-- decides how many claims stay HOT.  In live_jobs the columns that a claim changes stand side by side:
-- its WAL record has what lies between the first and the last changed byte.
-- src/storage/columns.hpp names the same columns by number.
--
-- No table has a CHECK or foreign key on the hot path: the C++ transitions verify the same rules
-- row by row (src/storage/live_jobs.cpp) and check_invariants() proves them at any time.

CREATE SEQUENCE faultline.queue_id_seq AS integer;
CREATE TABLE faultline.queues (
  queue_id integer PRIMARY KEY DEFAULT nextval('faultline.queue_id_seq'),
  name text COLLATE "C" NOT NULL,
  max_attempts integer NOT NULL,
  lease interval NOT NULL,
  max_runtime interval,
  max_backlog integer,
  retry_budget double precision,
  expected_runtime interval,
  backoff_base interval NOT NULL,
  backoff_factor double precision NOT NULL,
  backoff_max interval NOT NULL,
  backoff_jitter double precision NOT NULL,
  keep_finished interval NOT NULL,
  keep_keys interval NOT NULL,
  description text,
  paused_at timestamptz,
  created_at timestamptz NOT NULL,
  dropped_at timestamptz
);
CREATE UNIQUE INDEX queues_name ON faultline.queues (name) WHERE dropped_at IS NULL;
COMMENT ON TABLE faultline.queues IS
  'One row per queue: its policy. A dropped queue keeps its row (dropped_at) until its history has aged out, so that finished jobs still show their queue. max_runtime, max_backlog, retry_budget, expected_runtime NULL: no limit.';

CREATE SEQUENCE faultline.job_id_seq AS bigint;
CREATE TABLE faultline.live_jobs (
  job_id bigint NOT NULL,
  next_run_at timestamptz NOT NULL,
  enqueued_at timestamptz NOT NULL,
  cancel_requested_at timestamptz,
  queue_id integer NOT NULL,
  attempts_uncounted integer NOT NULL,
  max_attempts integer NOT NULL,
  generation integer NOT NULL,
  priority smallint NOT NULL,
  declares_effect boolean NOT NULL,
  state "char" NOT NULL,
  attempt integer NOT NULL,
  lease_token bigint,
  lease_expires_at timestamptz,
  claimed_at timestamptz,
  lease_milliseconds integer,
  lease_owner text,
  kind text,
  idempotency_key text,
  payload jsonb NOT NULL,
  headers jsonb,
  progress jsonb,
  last_error text,
  cancel_reason text,
  history jsonb,
  CONSTRAINT live_jobs_pkey PRIMARY KEY (job_id) WITH (fillfactor = 100)
) WITH (fillfactor = 45, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000,
        autovacuum_vacuum_cost_delay = 0, autovacuum_vacuum_insert_scale_factor = 0.2);
-- The order in which jobs run.  A claim changes none of these columns, nor any other indexed one,
-- so it is a HOT update; do not add an index on state or lease columns.
CREATE INDEX live_jobs_order ON faultline.live_jobs (queue_id, priority, next_run_at, job_id)
  WITH (fillfactor = 100);
COMMENT ON TABLE faultline.live_jobs IS
  'Jobs that are queued (q) or running (r), nothing else. attempt counts claims and never falls; attempts_uncounted of them do not count against max_attempts (released ones, and those before a redrive). declares_effect: its producer declared a ledger entry, without which it cannot succeed. lease_milliseconds: how long a lease was asked for, which lease_expires_at does not show once it has been extended.';

-- Each partition gets an index on job_id when it is made.  An index on the parent would belong to the
-- extension, and a dump would then create those of the partitions twice.
CREATE TABLE faultline.finished_jobs (
  job_id bigint NOT NULL,
  enqueued_at timestamptz NOT NULL,
  finished_at timestamptz NOT NULL,
  lease_token bigint,
  queue_id integer NOT NULL,
  attempt integer NOT NULL,
  max_attempts integer NOT NULL,
  generation integer NOT NULL,
  priority smallint NOT NULL,
  state "char" NOT NULL,
  declares_effect boolean NOT NULL,
  kind text,
  idempotency_key text,
  payload jsonb NOT NULL,
  headers jsonb,
  progress jsonb,
  last_error text,
  result jsonb
) PARTITION BY RANGE (finished_at);
COMMENT ON TABLE faultline.finished_jobs IS
  'Succeeded (s) and cancelled (c) jobs, insert-only, partitioned by UTC day of finished_at; partitions are made and dropped at run time.';

CREATE TABLE faultline.ended_attempts (
  job_id bigint NOT NULL,
  started_at timestamptz NOT NULL,
  ended_at timestamptz NOT NULL,
  lease_token bigint NOT NULL,
  queue_id integer NOT NULL,
  attempt integer NOT NULL,
  generation integer NOT NULL,
  outcome "char" NOT NULL,
  final boolean NOT NULL,
  worker text,
  error text
) PARTITION BY RANGE (ended_at);
COMMENT ON TABLE faultline.ended_attempts IS
  'One row per attempt that did not succeed: failed (f), lease expired (x), released (r), cancelled (c). final: the job ended with it.';

CREATE TABLE faultline.failed_jobs (
  job_id bigint NOT NULL,
  enqueued_at timestamptz NOT NULL,
  failed_at timestamptz NOT NULL,
  claimed_at timestamptz,
  lease_token bigint,
  queue_id integer NOT NULL,
  attempt integer NOT NULL,
  attempts_uncounted integer NOT NULL,
  max_attempts integer NOT NULL,
  generation integer NOT NULL,
  priority smallint NOT NULL,
  reason "char" NOT NULL,
  declares_effect boolean NOT NULL,
  kind text,
  lease_owner text,
  idempotency_key text,
  payload jsonb NOT NULL,
  headers jsonb,
  progress jsonb,
  last_error text,
  history jsonb,
  CONSTRAINT failed_jobs_pkey PRIMARY KEY (job_id)
);
CREATE INDEX failed_jobs_queue ON faultline.failed_jobs (queue_id, job_id);
COMMENT ON TABLE faultline.failed_jobs IS
  'Dead letters: jobs that failed for good, with the full history of their attempts, until redriven or purged. reason: attempts exhausted (a) or discarded (d).';

CREATE TABLE faultline.idempotency_keys (
  job_id bigint NOT NULL,
  created_at timestamptz NOT NULL,
  expires_at timestamptz,
  queue_id integer NOT NULL,
  key text COLLATE "C" NOT NULL,
  fingerprint bytea NOT NULL,
  CONSTRAINT idempotency_keys_pkey PRIMARY KEY (queue_id, key)
);
CREATE INDEX idempotency_keys_expiry ON faultline.idempotency_keys (expires_at) WHERE expires_at IS NOT NULL;
COMMENT ON TABLE faultline.idempotency_keys IS
  '(queue, key) to job, with the SHA-256 of the request. expires_at is set when the job ends; a key never expires while its job is live or a dead letter.';

-- Written only while faultline.trace_events is on.  Numbers are drawn under the lock of the job's
-- row, so those of one job grow with its steps.
CREATE SEQUENCE faultline.event_id_seq AS bigint;
CREATE TABLE faultline.job_events (
  event_id bigint NOT NULL,
  job_id bigint NOT NULL,
  at timestamptz NOT NULL,
  lease_token bigint,
  queue_id integer NOT NULL,
  attempt integer NOT NULL,
  generation integer NOT NULL,
  from_state "char",
  to_state "char" NOT NULL,
  CONSTRAINT job_events_pkey PRIMARY KEY (event_id)
);
CREATE INDEX job_events_job ON faultline.job_events (job_id, event_id);
COMMENT ON TABLE faultline.job_events IS
  'Log of state changes while faultline.trace_events is on: queued (q), running (r), succeeded (s), failed (f), cancelled (c); from_state is null for a new job. lease_token is that of the attempt that begins or ends.';

CREATE TABLE faultline.queue_access (
  role_name name NOT NULL,
  level text COLLATE "C" NOT NULL,
  queue text COLLATE "C",
  UNIQUE NULLS NOT DISTINCT (role_name, level, queue)
);
COMMENT ON TABLE faultline.queue_access IS
  'What grant_access() granted: role, level (producer, worker, operator, monitor) and queue name; queue NULL stands for every queue.';

-- A restored dump brings the row of the database it was taken from.
CREATE TABLE faultline.instance (
  system_identifier bigint NOT NULL,
  database_id oid NOT NULL,
  adopted_at timestamptz NOT NULL
);
COMMENT ON TABLE faultline.instance IS
  'The database whose workers may run these jobs: set by the first create_queue() and by adopt(). In any other one claims raise JQ011.';

-- Test clock, read only under faultline.allow_virtual_clock; not part of a dump.
CREATE TABLE faultline.virtual_clock (now_at timestamptz NOT NULL);
CREATE TABLE faultline.duty_runs (
  duty text COLLATE "C" PRIMARY KEY,
  last_run_at timestamptz NOT NULL
);
COMMENT ON TABLE faultline.duty_runs IS 'When the duties that maintain() does not do in each round were done last; not part of a dump.';

-- In a database that publishes all its tables, rows can be updated and deleted only if a key, or the
-- whole row, identifies them.
ALTER TABLE faultline.virtual_clock REPLICA IDENTITY FULL;
ALTER TABLE faultline.instance REPLICA IDENTITY FULL;
ALTER TABLE faultline.queue_access REPLICA IDENTITY FULL;

COMMENT ON TABLE faultline.virtual_clock IS 'The virtual time of this database when a test has set one; empty otherwise.';

SELECT pg_catalog.pg_extension_config_dump('faultline.queue_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('faultline.job_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('faultline.queues', '');
SELECT pg_catalog.pg_extension_config_dump('faultline.live_jobs', '');
SELECT pg_catalog.pg_extension_config_dump('faultline.finished_jobs', '');
SELECT pg_catalog.pg_extension_config_dump('faultline.ended_attempts', '');
SELECT pg_catalog.pg_extension_config_dump('faultline.failed_jobs', '');
SELECT pg_catalog.pg_extension_config_dump('faultline.idempotency_keys', '');
SELECT pg_catalog.pg_extension_config_dump('faultline.event_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('faultline.job_events', '');
SELECT pg_catalog.pg_extension_config_dump('faultline.queue_access', '');
SELECT pg_catalog.pg_extension_config_dump('faultline.instance', '');

-- Backends cache queue policy and access; a relation-cache message, sent with the commit, makes
-- every session read it again.  ALWAYS: also when a restore runs with session_replication_role.
CREATE FUNCTION faultline.policy_changed() RETURNS trigger
  LANGUAGE c AS 'MODULE_PATHNAME', 'faultline_policy_changed';
COMMENT ON FUNCTION faultline.policy_changed() IS 'Trigger: makes every session read queue policy and access grants again.';
CREATE TRIGGER policy_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON faultline.queues
  FOR EACH STATEMENT EXECUTE FUNCTION faultline.policy_changed();
ALTER TABLE faultline.queues ENABLE ALWAYS TRIGGER policy_changed;
CREATE TRIGGER policy_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON faultline.queue_access
  FOR EACH STATEMENT EXECUTE FUNCTION faultline.policy_changed();
ALTER TABLE faultline.queue_access ENABLE ALWAYS TRIGGER policy_changed;
CREATE TRIGGER policy_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON faultline.instance
  FOR EACH STATEMENT EXECUTE FUNCTION faultline.policy_changed();
ALTER TABLE faultline.instance ENABLE ALWAYS TRIGGER policy_changed;
