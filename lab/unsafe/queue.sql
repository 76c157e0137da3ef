-- A queue of the textbook kind with the protections that it needs, in as few lines as possible: the
-- ground on which the other files of this folder stand. Each of them replaces one function and
-- leaves one protection out. Nothing here is a part of Faultline.
CREATE SCHEMA q;

-- The time of the scripts.
CREATE TABLE q.clock (time timestamptz NOT NULL);
CREATE FUNCTION q.now() RETURNS timestamptz LANGUAGE sql AS 'SELECT time FROM q.clock';
CREATE FUNCTION q.advance_clock(by interval) RETURNS void LANGUAGE sql AS
  'UPDATE q.clock SET time = time + by';

CREATE TABLE q.jobs (
  job_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  state text NOT NULL DEFAULT 'queued',
  payload text,
  request_key text UNIQUE,
  attempt int NOT NULL DEFAULT 0,
  max_attempts int NOT NULL DEFAULT 3,
  worker text,
  token uuid,
  lease_ends timestamptz,
  run_at timestamptz NOT NULL DEFAULT q.now(),
  amount bigint,          -- the effect that the job is for, if any
  last_error text);

-- The effects: money that was moved.
CREATE TABLE q.effects (
  effect_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  job_id bigint NOT NULL UNIQUE REFERENCES q.jobs,
  amount bigint NOT NULL);

-- What each call of a worker was answered, with the worker who held the lease then: rows cannot show
-- whom a queue believed.
CREATE TABLE q.believed (call text, job_id bigint, caller text, holder text);

CREATE FUNCTION q.enqueue(payload text, request_key text DEFAULT NULL, amount bigint DEFAULT NULL)
RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  id bigint;
BEGIN
  INSERT INTO q.jobs AS j (payload, request_key, amount)
    VALUES (enqueue.payload, enqueue.request_key, enqueue.amount)
    ON CONFLICT ON CONSTRAINT jobs_request_key_key DO NOTHING RETURNING job_id INTO id;
  IF id IS NULL THEN
    SELECT j.job_id INTO id FROM q.jobs j WHERE j.request_key = enqueue.request_key
       AND (j.payload, j.amount) IS NOT DISTINCT FROM (enqueue.payload, enqueue.amount);
    IF id IS NULL THEN
      RAISE EXCEPTION 'the key was used for another request' USING ERRCODE = 'QU003';
    END IF;
  END IF;
  RETURN id;
END $$;

CREATE FUNCTION q.claim(worker text, max_jobs int DEFAULT 1, lease interval DEFAULT '30 s')
RETURNS SETOF q.jobs LANGUAGE sql AS $$
  WITH due AS MATERIALIZED (
    SELECT job_id FROM q.jobs WHERE state = 'queued' AND run_at <= q.now() ORDER BY job_id
     LIMIT claim.max_jobs FOR UPDATE SKIP LOCKED)
  UPDATE q.jobs j SET state = 'running', attempt = attempt + 1, worker = claim.worker,
         token = gen_random_uuid(), lease_ends = q.now() + lease
    FROM due WHERE j.job_id = due.job_id RETURNING j.*
$$;

-- The fence: the row of the job, locked, if the token is the one in force.
CREATE FUNCTION q.held(job_id bigint, token uuid, worker text) RETURNS q.jobs LANGUAGE plpgsql AS $$
DECLARE
  job q.jobs;
BEGIN
  SELECT * INTO job FROM q.jobs j WHERE j.job_id = held.job_id FOR NO KEY UPDATE;
  IF job.state <> 'running' OR job.token <> held.token THEN
    RAISE EXCEPTION 'the lease is lost' USING ERRCODE = 'QU001';
  END IF;
  RETURN job;
END $$;

-- What follows an attempt that ended without success.
CREATE FUNCTION q.settle(job q.jobs, error text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  outcome text := CASE WHEN EXISTS (SELECT FROM q.effects e WHERE e.job_id = job.job_id) THEN 'succeeded'
                       WHEN job.attempt < job.max_attempts THEN 'queued' ELSE 'failed' END;
BEGIN
  UPDATE q.jobs j SET state = outcome, worker = NULL, token = NULL, lease_ends = NULL, last_error = error
   WHERE j.job_id = job.job_id;
  RETURN outcome;
END $$;

CREATE FUNCTION q.complete(job_id bigint, token uuid, worker text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  job q.jobs := q.held(job_id, token, worker);
BEGIN
  INSERT INTO q.believed VALUES ('complete', job.job_id, complete.worker, job.worker);
  IF job.amount IS NOT NULL AND NOT EXISTS (SELECT FROM q.effects e WHERE e.job_id = job.job_id) THEN
    RAISE EXCEPTION 'the effect is missing' USING ERRCODE = 'QU008';
  END IF;
  UPDATE q.jobs j SET state = 'succeeded', worker = NULL, token = NULL, lease_ends = NULL
   WHERE j.job_id = job.job_id;
  RETURN 'succeeded';
END $$;

CREATE FUNCTION q.fail(job_id bigint, token uuid, worker text, error text) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
  job q.jobs := q.held(job_id, token, worker);
BEGIN
  INSERT INTO q.believed VALUES ('fail', job.job_id, fail.worker, job.worker);
  RETURN q.settle(job, error);
END $$;

CREATE FUNCTION q.extend(job_id bigint, token uuid, worker text, lease interval DEFAULT '30 s')
RETURNS timestamptz LANGUAGE plpgsql AS $$
DECLARE
  job q.jobs := q.held(job_id, token, worker);
BEGIN
  INSERT INTO q.believed VALUES ('extend', job.job_id, extend.worker, job.worker);
  UPDATE q.jobs j SET lease_ends = q.now() + lease WHERE j.job_id = job.job_id;
  RETURN q.now() + lease;
END $$;

-- Writes the effect of a job, once.
CREATE FUNCTION q.apply(job_id bigint, token uuid, worker text, amount bigint) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
  job q.jobs;
BEGIN
  IF EXISTS (SELECT FROM q.effects e WHERE e.job_id = apply.job_id AND e.amount = apply.amount) THEN
    RETURN 'exists';
  END IF;
  job := q.held(job_id, token, worker);
  IF job.amount IS DISTINCT FROM apply.amount THEN
    RAISE EXCEPTION 'not the effect that was asked for' USING ERRCODE = 'QU007';
  END IF;
  INSERT INTO q.effects (job_id, amount) VALUES (job.job_id, apply.amount);
  RETURN 'applied';
END $$;

-- Settles leases that have ended; passes over rows that somebody holds, and over those that raise.
CREATE FUNCTION q.expire() RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  job q.jobs;
  settled bigint := 0;
BEGIN
  FOR job IN SELECT * FROM q.jobs WHERE state = 'running' AND lease_ends < q.now()
             ORDER BY job_id FOR NO KEY UPDATE SKIP LOCKED LOOP
    BEGIN
      PERFORM q.settle(job, 'the lease ended');
      settled := settled + 1;
    EXCEPTION WHEN others THEN
      RAISE WARNING 'job % cannot be settled: %', job.job_id, SQLERRM;
    END;
  END LOOP;
  RETURN settled;
END $$;
