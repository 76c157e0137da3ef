-- Declaring effects: what enqueue(ledger => ...) and enqueue_many() accept and refuse, ids that are taken,
-- and what makes two requests under one idempotency key the same.
\set sqlstate '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'
\set SHOW_CONTEXT never
SET timezone = 'UTC';
SELECT faultline.set_clock('2026-01-01 00:00Z') \gset
SELECT faultline.create_queue('declare', keep_keys => '1 h'), faultline.create_asset('DKK') \gset
CREATE FUNCTION pg_temp.intent(id text, amount bigint = 100) RETURNS jsonb LANGUAGE sql
  RETURN jsonb_build_object('transaction_id', id, 'debit', 'a', 'credit', 'b', 'amount', amount, 'asset', 'DKK');
-- The answer to one intent; a job that it made is taken back.
CREATE FUNCTION pg_temp.answer(intent jsonb) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  declared text;
  detail text;
  hint text;
BEGIN
  PERFORM faultline.enqueue('declare', ledger => intent);
  SELECT format('ok: %s %s>%s %s %s %s', t.transaction_id, debit, credit, amount, asset, metadata) INTO declared
    FROM faultline.transactions t WHERE t.queue = 'declare' AND t.state = 'INIT';
  RAISE EXCEPTION USING ERRCODE = 'U0000', MESSAGE = declared;
EXCEPTION
  WHEN SQLSTATE 'U0000' THEN RETURN left(SQLERRM, 100);
  WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
    RETURN format(E'%s %s\n%s\n%s', SQLSTATE, SQLERRM, regexp_replace(detail, '(.)\1{20,}', '\1..\1'), hint);
END $$;

\pset format unaligned
\pset footer off
\pset tuples_only on
-- What is no object.
SELECT pg_temp.answer(intent) FROM unnest('{null,1,true,"\"t\"","[]","[{}]","{}"}'::jsonb[]) AS intent;
-- Each field missing, null and of each other type.
SELECT format('%s: %s', field, pg_temp.answer(pg_temp.intent('t') - field)) FROM jsonb_object_keys(pg_temp.intent('t')) AS field;
SELECT format('%s %s: %s', field, value, split_part(pg_temp.answer(pg_temp.intent('t') || jsonb_build_object(field, value)), E'\n', 2))
  FROM jsonb_object_keys(pg_temp.intent('t')) AS field,
       unnest('{null,true,"\"\"","{}","[]","[1]","{\"a\": 1}"}'::jsonb[]) AS value;
SELECT field || ' 7: ' || split_part(pg_temp.answer(pg_temp.intent('t') || jsonb_build_object(field, 7)), E'\n', 2)
  FROM jsonb_object_keys(pg_temp.intent('t') - 'amount') AS field;
-- Fields that there are not; a long name is cut between its characters, whatever the client's encoding.
SELECT pg_temp.answer(pg_temp.intent('t') || jsonb_build_object(field, 1))
  FROM unnest(ARRAY['Amount', 'job_id', '', ' debit', 'metadata2']) AS field;
SET client_encoding = 'LATIN1';
SELECT faultline.enqueue('declare', ledger => jsonb_build_object(repeat('x', 254) || U&'\00e4', 1));
:sqlstate
RESET client_encoding;
-- Amounts: whole numbers from 1 to 2^62, however written.
SELECT amount::text || ': ' || pg_temp.answer(jsonb_set(pg_temp.intent('t'), '{amount}', amount))
  FROM unnest(ARRAY['1', '1.0', '1e2', '4611686018427387904', '4611686018427387904.000']::jsonb[]) AS amount;
SELECT amount::text || ': ' || split_part(pg_temp.answer(jsonb_set(pg_temp.intent('t'), '{amount}', amount)), E'\n', 2)
  FROM unnest(ARRAY['0', '-0.0', '-1', '-4611686018427387904', '0.5', '1.5', '1e-9', '4611686018427387905',
                    '4611686018427387904.5', '9223372036854775808', '1e30', '-1e30', '"100"', '"NaN"', '"Infinity"']::jsonb[]) AS amount;
SELECT split_part(pg_temp.answer(jsonb_set(pg_temp.intent('t'), '{amount}', ('1e' || digits)::jsonb)), E'\n', 2),
       split_part(pg_temp.answer(jsonb_set(pg_temp.intent('t'), '{amount}', ('1e-' || digits)::jsonb)), E'\n', 2)
  FROM unnest('{1000,16000}'::int[]) AS digits;
-- Lengths.
SELECT format('%s %s: %s', field, bytes, pg_temp.answer(pg_temp.intent('t') || jsonb_build_object(field, repeat('x', bytes))))
  FROM (VALUES ('transaction_id', 255), ('transaction_id', 256), ('debit', 255), ('debit', 256), ('credit', 255),
               ('credit', 256), ('asset', 64), ('asset', 65)) AS v (field, bytes);
SELECT pg_temp.answer(pg_temp.intent('t') || '{"debit": "b"}');
SELECT pg_temp.answer(pg_temp.intent('t') || '{"asset": "dkk"}');
-- Metadata may be anything.
SELECT pg_temp.answer(pg_temp.intent('t') || jsonb_build_object('metadata', value))
  FROM unnest('{null,1,"\"text\"","{}","[]","{\"deep\": {\"er\": [1, {\"a\": null}]}}"}'::jsonb[]) AS value;
SELECT count(*) FROM faultline.transactions WHERE queue = 'declare';

ALTER SEQUENCE faultline.job_id_seq RESTART 32001;
-- An id that is taken: by a job of this or another queue, ended or not, and by a reversal.
SELECT faultline.enqueue('declare', ledger => pg_temp.intent('declared 1'));
SELECT faultline.enqueue('declare', ledger => pg_temp.intent('declared 1'));
:sqlstate
SELECT faultline.cancel('{32001}') \gset
SELECT faultline.create_queue('declare_too') \gset
SELECT faultline.enqueue('declare_too', ledger => pg_temp.intent('declared 1', 7));
SELECT count(*) FROM faultline.live_jobs WHERE declares_effect;

-- Many at once: null is a job without an effect.  Errors name the element; nothing is kept then.
SELECT count(*) FROM faultline.enqueue_many('declare', '{1,2,3}', ledger => ARRAY[pg_temp.intent('m1'), NULL, pg_temp.intent('m3')]);
SELECT j.payload, t.transaction_id, t.state FROM faultline.jobs j LEFT JOIN faultline.transactions t USING (job_id)
 WHERE j.queue = 'declare' AND j.state = 'queued' ORDER BY j.payload;
SELECT faultline.enqueue_many('declare', '{1,2}', ledger => ARRAY[pg_temp.intent('m4'), pg_temp.intent('m5') - 'amount']);
:sqlstate
SELECT faultline.enqueue_many('declare', '{1,2}', ledger => ARRAY[pg_temp.intent('m4')]);
:sqlstate
SELECT faultline.enqueue_many('declare', '{1,2}', ledger => ARRAY[[pg_temp.intent('m4')], [pg_temp.intent('m5')]]);
:sqlstate
SELECT faultline.enqueue_many('declare', '{1,2,3}', ledger => ARRAY[pg_temp.intent('m6'), pg_temp.intent('m7'), pg_temp.intent('m3')]);
:sqlstate
\set VERBOSITY terse
-- The same id twice in one call (the job that it names was never made).
SELECT faultline.enqueue_many('declare', '{1,2}', ledger => ARRAY[pg_temp.intent('m8'), pg_temp.intent('m8')]);
:sqlstate
-- ... and under one key, where the second is the same request as the first.
SELECT count(DISTINCT job) FROM faultline.enqueue_many('declare', '{1,1}', idempotency_keys => '{k,k}',
  ledger => ARRAY[pg_temp.intent('m9'), pg_temp.intent('m9')]) AS job;
SELECT count(*) FROM faultline.enqueue_many('declare', '{1,1}', idempotency_keys => '{k2,k2}',
  ledger => ARRAY[pg_temp.intent('m10'), NULL]) AS job;
:sqlstate
SELECT transaction_id FROM faultline.transactions WHERE asset = 'DKK' AND transaction_id LIKE 'm%' ORDER BY 1;
-- All of a large batch, in whatever order they come.
SELECT count(*) FROM (SELECT faultline.enqueue_many('declare', array_agg('1'::jsonb), ledger => array_agg(pg_temp.intent('b' || i)
  ORDER BY md5(i::text))) FROM generate_series(1, 2000) i) AS s;

-- One key: the declared effect is part of the request, its metadata and the order of its fields are not.
SELECT faultline.enqueue('declare', idempotency_key => 'key', ledger => pg_temp.intent('i1')) AS keyed \gset
SELECT :keyed = faultline.enqueue('declare', idempotency_key => 'key', ledger => pg_temp.intent('i1'));
SELECT :keyed = faultline.enqueue('declare', idempotency_key => 'key', ledger => '{"asset": "DKK", "amount": 1.0e2, "credit": "b",
  "debit": "a", "transaction_id": "i1", "metadata": {"try": 2}}');
CREATE FUNCTION pg_temp.key_answer(intent jsonb) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  PERFORM faultline.enqueue('declare', idempotency_key => 'key', ledger => intent);
  RETURN 'the same';
EXCEPTION WHEN OTHERS THEN RETURN SQLSTATE || ' ' || SQLERRM;
END $$;
SELECT pg_temp.key_answer(pg_temp.intent('i1') || other::jsonb) FROM unnest(ARRAY['{}', '{"amount": 101}', '{"debit": "c"}',
  '{"credit": "c"}', '{"transaction_id": "i2"}', NULL]) AS other;
-- When the key is forgotten, the id still is not.
SELECT faultline.cancel(ARRAY[:keyed]) \gset
SELECT faultline.advance_clock('2 h') \gset
SELECT count(*) FROM faultline.maintain() WHERE error IS NULL;
SELECT pg_temp.key_answer(pg_temp.intent('i1'));

SELECT faultline.drop_queue('declare', force => true) > 0, faultline.drop_queue('declare_too');
SELECT state, failure_reason, count(*) FROM faultline.ledger_transactions WHERE asset = 'DKK' GROUP BY 1, 2 ORDER BY 1, 2;
SELECT faultline.set_clock(NULL) \gset
SELECT * FROM faultline.check_invariants();
