-- Producing and working: the hot verbs, in C++ with direct row access.

CREATE FUNCTION faultline.enqueue(
  queue text, payload jsonb = '{}', kind text = NULL, idempotency_key text = NULL,
  run_at timestamptz = NULL, delay interval = NULL, priority integer = 0,
  max_attempts integer = NULL, headers jsonb = NULL, ledger jsonb = NULL
) RETURNS bigint
  LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'faultline_enqueue';
COMMENT ON FUNCTION faultline.enqueue(text, jsonb, text, text, timestamptz, interval, integer, integer, jsonb, jsonb) IS
  'Adds a job to the queue as part of the caller''s transaction and returns its id. kind: what sort of job it is (up to 128 bytes). idempotency_key: the same key and request returns the first job''s id, another request raises JQ003 (up to 512 bytes). run_at or delay: when it may run. priority: lower runs first (-32768 to 32767). max_attempts: 1 to 10000, null for the queue''s. headers: carried untouched. ledger: the effect this job must have, {"transaction_id", "debit", "credit", "amount", "asset", "metadata"}; it is written as INIT with the job, and the job cannot succeed without its entry; JQ007 when the transaction_id is taken. Raises JQ005 for an unknown queue, JQ010 when its max_backlog is reached.';

CREATE FUNCTION faultline.enqueue_many(
  queue text, payloads jsonb[], kind text = NULL, idempotency_keys text[] = NULL,
  run_at timestamptz = NULL, delay interval = NULL, priority integer = 0,
  max_attempts integer = NULL, headers jsonb = NULL, ledger jsonb[] = NULL
) RETURNS SETOF bigint
  LANGUAGE c VOLATILE ROWS 100 AS 'MODULE_PATHNAME', 'faultline_enqueue_many';
COMMENT ON FUNCTION faultline.enqueue_many(text, jsonb[], text, text[], timestamptz, interval, integer, integer, jsonb, jsonb[]) IS
  'Adds one job for each payload (at most 100000) and returns their ids in input order. idempotency_keys and ledger, when given, have one element, possibly null, for each payload; duplicates inside the call resolve to the first. All or nothing: JQ010 when the new ones do not all fit into the queue''s max_backlog. Otherwise as enqueue().';

CREATE FUNCTION faultline.enqueue_trigger() RETURNS trigger
  LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  source record;
  payload jsonb;
BEGIN
  IF TG_LEVEL <> 'ROW' OR TG_NARGS NOT IN (1, 2) THEN
    RAISE EXCEPTION 'enqueue_trigger() is for row triggers with the queue as argument'
      USING ERRCODE = '39P01', DETAIL = format('It was called for each %s with %s arguments.', lower(TG_LEVEL), TG_NARGS),
            HINT = 'CREATE TRIGGER ... FOR EACH ROW EXECUTE FUNCTION faultline.enqueue_trigger(''queue''[, ''payload column'']).';
  END IF;
  IF TG_OP = 'DELETE' THEN source := OLD; ELSE source := NEW; END IF;
  payload := to_jsonb(source);
  IF TG_NARGS = 2 THEN
    IF NOT payload ? TG_ARGV[1] THEN
      RAISE EXCEPTION 'column "%" does not exist in table "%"', TG_ARGV[1], TG_TABLE_NAME
        USING ERRCODE = '42703', DETAIL = 'It is the second argument of the trigger.', HINT = 'Name a column of the table.';
    END IF;
    payload := payload -> TG_ARGV[1];
  END IF;
  PERFORM faultline.enqueue(TG_ARGV[0], payload);
  RETURN source;
END $$;
COMMENT ON FUNCTION faultline.enqueue_trigger() IS
  'Row trigger: enqueues a job for the row. Arguments: the queue and, optionally, the column that is the payload; without it the whole row is.';

CREATE FUNCTION faultline.claim(
  queue text, worker text, max_jobs integer = 1, lease interval = NULL
) RETURNS SETOF faultline.claimed_job
  LANGUAGE c VOLATILE ROWS 10 AS 'MODULE_PATHNAME', 'faultline_claim';
COMMENT ON FUNCTION faultline.claim(text, text, integer, interval) IS
  'Claims up to max_jobs (1 to 10000) ready jobs, and no more than fit into the lease when the queue has an expected_runtime; lowest priority number first, then by next_run_at and id; each claim counts as an attempt. worker: a name for people (up to 256 bytes). lease: 100 ms to 24 h, null for the queue''s; it ends at the queue''s max_runtime at the latest. Returns no rows at once when the queue is empty or paused, and never waits for another transaction''s lock.';

CREATE FUNCTION faultline.claim_any(
  queues text[], worker text, max_jobs integer = 1, lease interval = NULL
) RETURNS SETOF faultline.claimed_job
  LANGUAGE c VOLATILE ROWS 10 AS 'MODULE_PATHNAME', 'faultline_claim_any';
COMMENT ON FUNCTION faultline.claim_any(text[], text, integer, interval) IS
  'As claim(), from several queues in order of preference: a later queue is asked only for what the earlier ones could not give.';

CREATE PROCEDURE faultline.wait_for_jobs(queues text[], max_wait interval = '20 s')
  LANGUAGE c AS 'MODULE_PATHNAME', 'faultline_wait_for_jobs';
COMMENT ON PROCEDURE faultline.wait_for_jobs(text[], interval) IS
  'Returns when one of the queues (1 to 32) probably has a ready job, or when max_wait (0 to 24 h, null for 20 s) has passed; claim() then tells which. Holds no snapshot, no transaction and no lock while it waits. Of those who wait as many are woken as jobs arrived, the longest waiting first. It must be a transaction of its own: inside a transaction block, a function or another procedure it raises 2D000. What no commit announces, such as the jobs of COMMIT PREPARED, is noticed within a second. Without preload it looks at the rows ten times a second. Raises JQ005 for an unknown queue, also when it is dropped meanwhile.';

CREATE FUNCTION faultline.complete(job_id bigint, lease_token bigint, result jsonb = NULL) RETURNS text
  LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'faultline_complete';
COMMENT ON FUNCTION faultline.complete(bigint, bigint, jsonb) IS
  'Ends a running job as succeeded; returns succeeded, or already_succeeded when this call took effect before. Raises JQ001 when the lease is not in force, JQ002 for an unknown job, JQ008 when the job declared a ledger entry and has none, JQ012 when the job was claimed in this very transaction: the caller''s transaction then rolls back, and with it the work of a stale worker.';

CREATE FUNCTION faultline.complete_many(job_ids bigint[], lease_tokens bigint[], results jsonb[] = NULL)
  RETURNS TABLE (job_id bigint, verdict text)
  LANGUAGE c VOLATILE ROWS 100 AS 'MODULE_PATHNAME', 'faultline_complete_many';
COMMENT ON FUNCTION faultline.complete_many(bigint[], bigint[], jsonb[]) IS
  'Completes many jobs; a verdict for each in input order (succeeded, already_succeeded, stale_lease, unknown_job, same_transaction, ledger_entry_missing). One stale lease does not raise.';

CREATE FUNCTION faultline.turn(
  queue text, worker text, job_ids bigint[], lease_tokens bigint[], results jsonb[] = NULL,
  max_jobs integer = 1, lease interval = NULL
) RETURNS SETOF faultline.turn_row
  LANGUAGE c VOLATILE ROWS 20 AS 'MODULE_PATHNAME', 'faultline_turn';
COMMENT ON FUNCTION faultline.turn(text, text, bigint[], bigint[], jsonb[], integer, interval) IS
  'complete_many() and claim() in one call and one commit: first a row for each completion in input order, with its verdict, then a row for each claimed job, with the verdict claimed. The completed jobs may be of any queue that the caller works on; arrays without elements only claim. Completions also happen while the queue is paused, and one stale lease does not raise. Errors are those of the two.';

CREATE FUNCTION faultline.fail(
  job_id bigint, lease_token bigint, error text, retry_in interval = NULL, discard boolean = false
) RETURNS text
  LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'faultline_fail';
COMMENT ON FUNCTION faultline.fail(bigint, bigint, text, interval, boolean) IS
  'Ends an attempt without success; returns retrying (after the queue''s back-off, or retry_in), failed (a dead letter now: attempts used up, or discard), cancelled (it was asked to stop) or succeeded (it has its ledger entry). error: kept up to 16 kB. Raises JQ001 when the lease is not in force, JQ002 for an unknown job.';

CREATE FUNCTION faultline.fail_many(job_ids bigint[], lease_tokens bigint[], errors text[])
  RETURNS TABLE (job_id bigint, verdict text)
  LANGUAGE c VOLATILE ROWS 100 AS 'MODULE_PATHNAME', 'faultline_fail_many';
COMMENT ON FUNCTION faultline.fail_many(bigint[], bigint[], text[]) IS
  'Fails many jobs; a verdict for each in input order (retrying, failed, cancelled, succeeded, stale_lease, unknown_job).';

CREATE FUNCTION faultline.extend(
  job_id bigint, lease_token bigint, lease interval = NULL, progress jsonb = NULL
) RETURNS timestamptz
  LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'faultline_extend';
COMMENT ON FUNCTION faultline.extend(bigint, bigint, interval, jsonb) IS
  'Extends a lease to now plus lease (null: the queue''s) and returns its new end, which never lies later than the queue''s max_runtime after the claim; an end in the past says that the attempt is about to be ended. progress is saved for the next attempt and for people. Raises JQ004 when the job was asked to stop, JQ001 when the lease is not in force, JQ002 for an unknown job.';

CREATE FUNCTION faultline.extend_many(job_ids bigint[], lease_tokens bigint[], lease interval = NULL)
  RETURNS TABLE (job_id bigint, verdict text)
  LANGUAGE c VOLATILE ROWS 100 AS 'MODULE_PATHNAME', 'faultline_extend_many';
COMMENT ON FUNCTION faultline.extend_many(bigint[], bigint[], interval) IS
  'Extends many leases; a verdict for each in input order (extended, cancel_requested, stale_lease, unknown_job).';

CREATE FUNCTION faultline.release(job_id bigint, lease_token bigint, delay interval = NULL) RETURNS void
  LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'faultline_release';
COMMENT ON FUNCTION faultline.release(bigint, bigint, interval) IS
  'Gives a job back untried: this claim does not count against max_attempts. Without delay it keeps its place in the queue. A job asked to stop ends as cancelled, one that has its ledger entry as succeeded. Raises JQ001 when the lease is not in force, JQ002 for an unknown job.';
