-- Types of the contract.  C++ fills composite results by the attribute count of the type it
-- finds, so columns may be appended in a later version and an older type is still served.

CREATE TYPE faultline.claimed_job AS (
  job_id bigint,
  queue text,
  kind text,
  payload jsonb,
  headers jsonb,
  attempt integer,
  max_attempts integer,
  lease_token bigint,
  lease_expires_at timestamptz,
  enqueued_at timestamptz,
  last_error text,
  progress jsonb,
  ledger jsonb
);
COMMENT ON TYPE faultline.claimed_job IS
  'One claimed job, as claim() and claim_any() return it. job_id and lease_token together are what complete(), fail(), extend() and release() ask for.';
COMMENT ON COLUMN faultline.claimed_job.job_id IS 'Key of the job; stays the same over all attempts.';
COMMENT ON COLUMN faultline.claimed_job.queue IS 'Name of its queue.';
COMMENT ON COLUMN faultline.claimed_job.kind IS 'What sort of job it is, as given at enqueue.';
COMMENT ON COLUMN faultline.claimed_job.payload IS 'What the producer sent.';
COMMENT ON COLUMN faultline.claimed_job.headers IS 'Carried untouched from the producer.';
COMMENT ON COLUMN faultline.claimed_job.max_attempts IS 'Claims that count before the job fails for good.';
COMMENT ON COLUMN faultline.claimed_job.lease_expires_at IS 'When the lease ends unless it is extended.';
COMMENT ON COLUMN faultline.claimed_job.enqueued_at IS 'When the job was enqueued.';
COMMENT ON COLUMN faultline.claimed_job.attempt IS 'Number of this claim of the job; grows for ever, so (job_id, attempt) is a fencing token for systems outside the database.';
COMMENT ON COLUMN faultline.claimed_job.lease_token IS 'Random proof of this lease; never reused, shown in no view.';
COMMENT ON COLUMN faultline.claimed_job.last_error IS 'Error text of the attempt before, when there was one.';
COMMENT ON COLUMN faultline.claimed_job.progress IS 'What an earlier attempt last saved by extend(progress => ...).';
COMMENT ON COLUMN faultline.claimed_job.ledger IS 'The effect it must have, as declared at enqueue: transaction_id (the same over all attempts; a redrive gives a new one), debit, credit, amount, asset. Null for a job that declared none.';

CREATE TYPE faultline.turn_row AS (
  job_id bigint,
  verdict text,
  queue text,
  kind text,
  payload jsonb,
  headers jsonb,
  attempt integer,
  max_attempts integer,
  lease_token bigint,
  lease_expires_at timestamptz,
  enqueued_at timestamptz,
  last_error text,
  progress jsonb,
  ledger jsonb
);
COMMENT ON TYPE faultline.turn_row IS
  'One row of turn(): the verdict on a completion, with nothing but its job_id; or a claimed job, with the columns of claimed_job.';
COMMENT ON COLUMN faultline.turn_row.verdict IS 'claimed; or the verdict of a completion, as complete_many() gives it.';
COMMENT ON COLUMN faultline.turn_row.job_id IS 'Key of the job: the completed or the claimed one.';
COMMENT ON COLUMN faultline.turn_row.queue IS 'As in claimed_job.';
COMMENT ON COLUMN faultline.turn_row.kind IS 'As in claimed_job.';
COMMENT ON COLUMN faultline.turn_row.payload IS 'As in claimed_job.';
COMMENT ON COLUMN faultline.turn_row.headers IS 'As in claimed_job.';
COMMENT ON COLUMN faultline.turn_row.attempt IS 'As in claimed_job.';
COMMENT ON COLUMN faultline.turn_row.max_attempts IS 'As in claimed_job.';
COMMENT ON COLUMN faultline.turn_row.lease_token IS 'As in claimed_job.';
COMMENT ON COLUMN faultline.turn_row.lease_expires_at IS 'As in claimed_job.';
COMMENT ON COLUMN faultline.turn_row.enqueued_at IS 'As in claimed_job.';
COMMENT ON COLUMN faultline.turn_row.last_error IS 'As in claimed_job.';
COMMENT ON COLUMN faultline.turn_row.progress IS 'As in claimed_job.';
COMMENT ON COLUMN faultline.turn_row.ledger IS 'As in claimed_job.';
