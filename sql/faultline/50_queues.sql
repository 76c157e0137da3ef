-- Queues: policy, created explicitly so that a mistyped name fails at once.

CREATE FUNCTION faultline.check_setting(ok boolean, setting text, given text, bounds text) RETURNS void
  LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF ok IS NOT TRUE THEN
    RAISE EXCEPTION '% is out of range', setting
      USING ERRCODE = CASE WHEN given IS NULL THEN '22004' ELSE '22023' END,
            DETAIL = setting || ' is ' || coalesce(given, 'null') || '.',
            HINT = 'Use ' || bounds || '.';
  END IF;
END $$;
COMMENT ON FUNCTION faultline.check_setting(boolean, text, text, text) IS
  'Internal: raises 22023 (22004 for null) unless a queue setting lies within its bounds.';

CREATE FUNCTION faultline.check_policy(policy faultline.queues) RETURNS void
  LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM faultline.check_setting(policy.max_attempts BETWEEN 1 AND 10000,
    'max_attempts', policy.max_attempts::text, '1 to 10000');
  PERFORM faultline.check_setting(policy.lease BETWEEN interval '100 ms' AND interval '24 h',
    'lease', policy.lease::text, '100 milliseconds to 24 hours');
  PERFORM faultline.check_setting(coalesce(policy.max_runtime BETWEEN interval '1 s' AND interval '30 days', true),
    'max_runtime', policy.max_runtime::text, '1 second to 30 days, or 0 for no limit');
  PERFORM faultline.check_setting(coalesce(policy.max_backlog BETWEEN 1 AND 1000000000, true),
    'max_backlog', policy.max_backlog::text, '1 to 1000000000, or 0 for no limit');
  PERFORM faultline.check_setting(coalesce(policy.retry_budget BETWEEN 0.01 AND 1, true),
    'retry_budget', policy.retry_budget::text, '0.01 to 1, or 0 for no limit');
  PERFORM faultline.check_setting(coalesce(policy.expected_runtime BETWEEN interval '1 ms' AND interval '24 h', true),
    'expected_runtime', policy.expected_runtime::text, '1 millisecond to 24 hours, or 0 for no limit');
  PERFORM faultline.check_setting(policy.backoff_base BETWEEN interval '0' AND interval '3650 days',
    'backoff_base', policy.backoff_base::text, '0 to 3650 days');
  PERFORM faultline.check_setting(policy.backoff_factor BETWEEN 1 AND 100,
    'backoff_factor', policy.backoff_factor::text, '1 to 100');
  PERFORM faultline.check_setting(policy.backoff_max BETWEEN interval '0' AND interval '3650 days',
    'backoff_max', policy.backoff_max::text, '0 to 3650 days');
  PERFORM faultline.check_setting(policy.retry_budget IS NULL OR policy.backoff_max > policy.backoff_base,
    'backoff_max', policy.backoff_max::text, 'more than backoff_base: a retry over the retry_budget is put off for up to backoff_max');
  PERFORM faultline.check_setting(policy.backoff_jitter BETWEEN 0 AND 1,
    'backoff_jitter', policy.backoff_jitter::text, '0 to 1');
  PERFORM faultline.check_setting(policy.keep_finished BETWEEN interval '0' AND interval '3650 days',
    'keep_finished', policy.keep_finished::text, '0 to 3650 days');
  PERFORM faultline.check_setting(policy.keep_keys BETWEEN interval '0' AND interval '3650 days',
    'keep_keys', policy.keep_keys::text, '0 to 3650 days');
END $$;
COMMENT ON FUNCTION faultline.check_policy(faultline.queues) IS 'Internal: raises unless every setting of a queue lies within its bounds.';

CREATE FUNCTION faultline.require_queue_id(name text) RETURNS integer
  LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'faultline_require_queue_id';
COMMENT ON FUNCTION faultline.require_queue_id(text) IS
  'Internal: number of the queue of this name. Raises JQ005 with the nearest existing name, 22023 for a name that no queue can have, 22004 for null.';

CREATE FUNCTION faultline.check_queue_name(name text) RETURNS void
  LANGUAGE c IMMUTABLE AS 'MODULE_PATHNAME', 'faultline_check_queue_name';
COMMENT ON FUNCTION faultline.check_queue_name(text) IS 'Internal: raises 22023 unless a queue may have this name, 22004 for null.';

CREATE FUNCTION faultline.lock_queue(queue_id integer) RETURNS void
  LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'faultline_lock_queue';
COMMENT ON FUNCTION faultline.lock_queue(integer) IS
  'Internal: waits for transactions that have enqueued to the queue, and keeps new ones out until this one ends.';

-- After an UPDATE that may have waited for drop_queue().
CREATE FUNCTION faultline.require_same_queue(name text, kept boolean) RETURNS void
  LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF NOT kept THEN
    PERFORM faultline.require_queue_id(name);
    RAISE EXCEPTION 'queue "%" was dropped and created anew meanwhile', name
      USING ERRCODE = '55006', DETAIL = 'Another session did so while this one waited.',
            HINT = 'Look at the new queue, then try again.';
  END IF;
END $$;
COMMENT ON FUNCTION faultline.require_same_queue(text, boolean) IS 'Internal: raises unless the queue that was looked up is still there.';

CREATE FUNCTION faultline.create_queue(
  name text, max_attempts integer = 20, lease interval = '30 s', backoff_base interval = '1 s',
  backoff_factor double precision = 2, backoff_max interval = '1 h', backoff_jitter double precision = 0.2,
  keep_finished interval = '7 days', keep_keys interval = '7 days', description text = NULL,
  max_runtime interval = NULL,
  max_backlog integer = NULL,
  retry_budget double precision = NULL,
  expected_runtime interval = NULL
) RETURNS void
  LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'faultline_call_as_owner';
COMMENT ON FUNCTION faultline.create_queue(text, integer, interval, interval, double precision, interval, double precision, interval, interval, text, interval, integer, double precision, interval) IS
  'Creates a queue. Again with the same settings: does nothing; with others: 42710. name: 1 to 128 of A-Z a-z 0-9 _ . : -. max_attempts: claims of a job before it becomes a dead letter (1 to 10000). lease: how long a claim holds (100 ms to 24 h). backoff_*: delay after attempt n is base * factor^(n-1), at most max, shortened at random by up to the share jitter. keep_finished: how long finished jobs stay readable. keep_keys: how long an idempotency key is remembered after its job has ended. max_runtime: how long one attempt may run, however often its lease is extended (1 s to 30 days); null or 0 for no limit. max_backlog: how many jobs may wait, ready or scheduled, before enqueue() raises JQ010 (1 to 1000000000); null or 0 for no limit. retry_budget: how many retries may follow their back-off, as a share of the jobs started for the first time (0.01 to 1); those beyond wait a random time of half of backoff_max to all of it; null or 0 for no limit. expected_runtime: how long a job usually takes (1 ms to 24 h): a claim gets no more jobs than fit into its lease one after the other; null or 0 for no limit.';
CREATE FUNCTION faultline.create_queue_as_owner(
  name text, max_attempts integer, lease interval, backoff_base interval,
  backoff_factor double precision, backoff_max interval, backoff_jitter double precision,
  keep_finished interval, keep_keys interval, description text,
  max_runtime interval,
  max_backlog integer,
  retry_budget double precision,
  expected_runtime interval
) RETURNS void
  LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
  wanted faultline.queues;
  existing faultline.queues;
BEGIN
  PERFORM faultline.check_queue_name(create_queue_as_owner.name);
  wanted := ROW(0, create_queue_as_owner.name, create_queue_as_owner.max_attempts, create_queue_as_owner.lease,
                nullif(create_queue_as_owner.max_runtime, interval '0'),
                nullif(create_queue_as_owner.max_backlog, 0),
                nullif(create_queue_as_owner.retry_budget, 0),
                nullif(create_queue_as_owner.expected_runtime, interval '0'),
                create_queue_as_owner.backoff_base, create_queue_as_owner.backoff_factor, create_queue_as_owner.backoff_max,
                create_queue_as_owner.backoff_jitter, create_queue_as_owner.keep_finished, create_queue_as_owner.keep_keys,
                create_queue_as_owner.description, NULL, faultline.clock_now(), NULL)::faultline.queues;
  PERFORM faultline.check_policy(wanted);
  PERFORM faultline.create_partitions();
  IF NOT EXISTS (SELECT FROM faultline.instance) THEN
    PERFORM faultline.adopt_as_owner();
  END IF;
  wanted.queue_id := nextval('faultline.queue_id_seq');
  INSERT INTO faultline.queues SELECT wanted.*
    ON CONFLICT (name) WHERE dropped_at IS NULL DO NOTHING;
  IF FOUND THEN
    RETURN;
  END IF;
  SELECT q.* INTO STRICT existing FROM faultline.queues q
   WHERE q.name = create_queue_as_owner.name AND q.dropped_at IS NULL;
  IF ROW(existing.max_attempts, existing.lease, existing.backoff_base, existing.backoff_factor,
         existing.backoff_max, existing.backoff_jitter, existing.keep_finished, existing.keep_keys,
         existing.description, existing.max_runtime, existing.max_backlog, existing.retry_budget, existing.expected_runtime)
     IS DISTINCT FROM
     ROW(wanted.max_attempts, wanted.lease, wanted.backoff_base, wanted.backoff_factor,
         wanted.backoff_max, wanted.backoff_jitter, wanted.keep_finished, wanted.keep_keys,
         wanted.description, wanted.max_runtime, wanted.max_backlog, wanted.retry_budget, wanted.expected_runtime)
  THEN
    RAISE EXCEPTION 'queue "%" exists with other settings', create_queue_as_owner.name
      USING ERRCODE = '42710', DETAIL = 'Creating a queue again is allowed only with the same settings.',
            HINT = format('Change it: SELECT faultline.alter_queue(%L, ...);', create_queue_as_owner.name);
  END IF;
END $$;
COMMENT ON FUNCTION faultline.create_queue_as_owner(text, integer, interval, interval, double precision, interval, double precision, interval, interval, text, interval, integer, double precision, interval) IS
  'Internal: what create_queue() does once the caller was found to be an operator.';

CREATE FUNCTION faultline.alter_queue(
  name text, max_attempts integer = NULL, lease interval = NULL, backoff_base interval = NULL,
  backoff_factor double precision = NULL, backoff_max interval = NULL, backoff_jitter double precision = NULL,
  keep_finished interval = NULL, keep_keys interval = NULL, description text = NULL,
  max_runtime interval = NULL,
  max_backlog integer = NULL,
  retry_budget double precision = NULL,
  expected_runtime interval = NULL
) RETURNS void
  LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'faultline_call_as_owner_of_queue';
COMMENT ON FUNCTION faultline.alter_queue(text, integer, interval, interval, double precision, interval, double precision, interval, interval, text, interval, integer, double precision, interval) IS
  'Changes settings of a queue; null leaves one unchanged; 0 removes the limit that max_runtime, max_backlog, retry_budget or expected_runtime is. Jobs already enqueued keep their max_attempts, leases already granted their end. Raises JQ005 for an unknown queue, 22023 for a value out of bounds.';
CREATE FUNCTION faultline.alter_queue_as_owner(
  name text, max_attempts integer, lease interval, backoff_base interval,
  backoff_factor double precision, backoff_max interval, backoff_jitter double precision,
  keep_finished interval, keep_keys interval, description text,
  max_runtime interval,
  max_backlog integer,
  retry_budget double precision,
  expected_runtime interval
) RETURNS void
  LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
  altered_id integer := faultline.require_queue_id(alter_queue_as_owner.name);
  changed faultline.queues;
BEGIN
  UPDATE faultline.queues q SET
    max_attempts = coalesce(alter_queue_as_owner.max_attempts, q.max_attempts),
    lease = coalesce(alter_queue_as_owner.lease, q.lease),
    backoff_base = coalesce(alter_queue_as_owner.backoff_base, q.backoff_base),
    backoff_factor = coalesce(alter_queue_as_owner.backoff_factor, q.backoff_factor),
    backoff_max = coalesce(alter_queue_as_owner.backoff_max, q.backoff_max),
    backoff_jitter = coalesce(alter_queue_as_owner.backoff_jitter, q.backoff_jitter),
    keep_finished = coalesce(alter_queue_as_owner.keep_finished, q.keep_finished),
    keep_keys = coalesce(alter_queue_as_owner.keep_keys, q.keep_keys),
    description = coalesce(alter_queue_as_owner.description, q.description),
    max_runtime = nullif(coalesce(alter_queue_as_owner.max_runtime, q.max_runtime), interval '0'),
    max_backlog = nullif(coalesce(alter_queue_as_owner.max_backlog, q.max_backlog), 0),
    retry_budget = nullif(coalesce(alter_queue_as_owner.retry_budget, q.retry_budget), 0),
    expected_runtime = nullif(coalesce(alter_queue_as_owner.expected_runtime, q.expected_runtime), interval '0')
  WHERE q.queue_id = altered_id AND q.dropped_at IS NULL
  RETURNING q.* INTO changed;
  PERFORM faultline.require_same_queue(alter_queue_as_owner.name, FOUND);
  PERFORM faultline.check_policy(changed);
END $$;
COMMENT ON FUNCTION faultline.alter_queue_as_owner(text, integer, interval, interval, double precision, interval, double precision, interval, interval, text, interval, integer, double precision, interval) IS
  'Internal: what alter_queue() does once the caller was found to be an operator.';

CREATE FUNCTION faultline.pause_queue(name text) RETURNS void
  LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'faultline_call_as_owner_of_queue';
COMMENT ON FUNCTION faultline.pause_queue(text) IS
  'Pauses a queue: from each session''s next call on, claims return nothing; enqueue still accepts, and running jobs may end. Raises JQ005 for an unknown queue.';
CREATE FUNCTION faultline.pause_queue_as_owner(name text) RETURNS void
  LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  paused_id integer := faultline.require_queue_id(pause_queue_as_owner.name);
BEGIN
  UPDATE faultline.queues q SET paused_at = coalesce(q.paused_at, faultline.clock_now())
   WHERE q.queue_id = paused_id AND q.dropped_at IS NULL;
  PERFORM faultline.require_same_queue(pause_queue_as_owner.name, FOUND);
END $$;
COMMENT ON FUNCTION faultline.pause_queue_as_owner(text) IS
  'Internal: what pause_queue() does once the caller was found to be an operator.';

CREATE FUNCTION faultline.resume_queue(name text) RETURNS void
  LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'faultline_call_as_owner_of_queue';
COMMENT ON FUNCTION faultline.resume_queue(text) IS
  'Ends the pause of a queue. Raises JQ005 for an unknown queue.';
CREATE FUNCTION faultline.resume_queue_as_owner(name text) RETURNS void
  LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  resumed_id integer := faultline.require_queue_id(resume_queue_as_owner.name);
BEGIN
  UPDATE faultline.queues q SET paused_at = NULL
   WHERE q.queue_id = resumed_id AND q.dropped_at IS NULL;
  PERFORM faultline.require_same_queue(resume_queue_as_owner.name, FOUND);
END $$;
COMMENT ON FUNCTION faultline.resume_queue_as_owner(text) IS
  'Internal: what resume_queue() does once the caller was found to be an operator.';

CREATE FUNCTION faultline.drop_queue(name text, force boolean = false) RETURNS bigint
  LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'faultline_call_as_owner_of_queue';
COMMENT ON FUNCTION faultline.drop_queue(text, boolean) IS
  'Drops a queue and returns how many jobs it removed. Refuses (55006) while there are live jobs or dead letters, unless force is true. Waits for transactions that have enqueued to it. Finished jobs stay readable until their retention ends; idempotency keys are forgotten.';
CREATE FUNCTION faultline.drop_queue_as_owner(name text, force boolean) RETURNS bigint
  LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  dropped_id integer := faultline.require_queue_id(drop_queue_as_owner.name);
  live bigint;
  dead bigint;
BEGIN
  PERFORM faultline.lock_queue(dropped_id);
  -- While this waited, another session may have dropped the queue.
  IF faultline.require_queue_id(drop_queue_as_owner.name) <> dropped_id THEN
    RAISE EXCEPTION 'queue "%" was dropped and created anew meanwhile', drop_queue_as_owner.name
      USING ERRCODE = '55006', DETAIL = 'Another session did so while this one waited.', HINT = 'Look at the new queue, then drop it again.';
  END IF;
  SELECT count(*) INTO live FROM faultline.live_jobs j WHERE j.queue_id = dropped_id;
  SELECT count(*) INTO dead FROM faultline.failed_jobs f WHERE f.queue_id = dropped_id;
  IF live + dead > 0 AND drop_queue_as_owner.force IS NOT TRUE THEN
    RAISE EXCEPTION 'queue "%" still has jobs', drop_queue_as_owner.name
      USING ERRCODE = '55006', DETAIL = format('%s live jobs and %s dead letters.', live, dead),
            HINT = 'Let them end, redrive or purge the dead letters, or drop with force => true, which removes them.';
  END IF;
  -- In the order in which everybody locks jobs, so that no batch of a worker deadlocks with this.
  PERFORM FROM faultline.live_jobs j WHERE j.queue_id = dropped_id ORDER BY j.job_id FOR UPDATE;
  DELETE FROM faultline.live_jobs j WHERE j.queue_id = dropped_id;
  GET DIAGNOSTICS live = ROW_COUNT;
  DELETE FROM faultline.failed_jobs f WHERE f.queue_id = dropped_id;
  GET DIAGNOSTICS dead = ROW_COUNT;
  DELETE FROM faultline.idempotency_keys k WHERE k.queue_id = dropped_id;
  -- What removed jobs declared will not be applied any more.
  UPDATE faultline.ledger_transactions t
     SET state = 'f', failure_reason = 'queue dropped', updated_at = faultline.clock_now()
   WHERE t.state = 'i' AND t.queue_id = dropped_id;
  UPDATE faultline.queues q SET dropped_at = faultline.clock_now() WHERE q.queue_id = dropped_id;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'could not serialize access due to concurrent update'
      USING ERRCODE = '40001', DETAIL = 'The queue was created after the transaction''s snapshot was taken.',
            HINT = 'Run the transaction again, or use READ COMMITTED for calls to Faultline.';
  END IF;
  PERFORM faultline.count_dropped_queue(dropped_id);
  RETURN live + dead;
END $$;
COMMENT ON FUNCTION faultline.drop_queue_as_owner(text, boolean) IS
  'Internal: what drop_queue() does once the caller was found to be an operator.';
