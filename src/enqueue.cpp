// enqueue() and enqueue_many(): new jobs, part of the caller's transaction.
#include "access.hpp"
#include "arguments.hpp"
#include "clock.hpp"
#include "result.hpp"
#include "row_memory.hpp"
#include "storage/columns.hpp"
#include "storage/keys.hpp"
#include "storage/live_jobs.hpp"
#include "storage/relations.hpp"
#include "transaction.hpp"

namespace faultline {

namespace {

// What all jobs of one call share.
struct Request {
    QueuePolicy policy;
    const text *kind; // may be null
    int32 priority;
    bool max_attempts_given;
    int32 max_attempts;
    bool has_headers;
    Datum headers;
    TimestampTz next_run_at;
    TimestampTz now;
};

// Argument positions; both functions have the same parameters in the same order.
enum : int {
    queue_argument,
    payload_argument,
    kind_argument,
    key_argument,
    run_at_argument,
    delay_argument,
    priority_argument,
    max_attempts_argument,
    headers_argument,
};

// Needs begin_verb(); takes the lock that keeps drop_queue() away.
Request read_request(FunctionCallInfo fcinfo) {
    const text *queue = required_text(fcinfo, queue_argument, "queue");
    Request request = {};
    request.kind = optional_text(fcinfo, kind_argument, "kind", core::kind_bytes_max);
    request.priority = bounded_int32(fcinfo, priority_argument, "priority", 0, core::priority_min,
                                     core::priority_max);
    request.max_attempts_given = !PG_ARGISNULL(max_attempts_argument);
    request.max_attempts = bounded_int32(fcinfo, max_attempts_argument, "max_attempts", 0,
                                         core::max_attempts_min, core::max_attempts_max);
    request.has_headers = !PG_ARGISNULL(headers_argument);
    request.headers = request.has_headers ? PG_GETARG_DATUM(headers_argument) : 0;
    request.now = clock_now();
    request.next_run_at = run_time(fcinfo, run_at_argument, delay_argument, request.now);
    request.policy = require_queue_for_enqueue(queue);
    require_access(request.policy, AccessLevel::producer);
    if (!request.max_attempts_given)
        request.max_attempts = request.policy.max_attempts;
    return request;
}

// SHA-256 over what makes two requests the same: kind, priority, max_attempts as given, payload as
// jsonb prints it (so key order and white space do not matter, 1.0 and 1 differ).
bytea *fingerprint_of(const Request &request, Datum payload) {
    StringInfoData input;
    initStringInfo(&input);
    if (request.kind != nullptr) {
        appendStringInfo(&input, "kind %d:", static_cast<int>(VARSIZE_ANY_EXHDR(request.kind)));
        appendBinaryStringInfo(&input, VARDATA_ANY(request.kind), VARSIZE_ANY_EXHDR(request.kind));
    }
    appendStringInfo(&input, " priority %d", request.priority);
    if (request.max_attempts_given)
        appendStringInfo(&input, " max_attempts %d", request.max_attempts);
    appendStringInfoString(&input, " payload ");
    Jsonb *json = DatumGetJsonbP(payload);
    JsonbToCString(&input, &json->root, VARSIZE(json));

    auto *digest = static_cast<bytea *>(palloc(VARHDRSZ + PG_SHA256_DIGEST_LENGTH));
    SET_VARSIZE(digest, VARHDRSZ + PG_SHA256_DIGEST_LENGTH);
    pg_cryptohash_ctx *hash = pg_cryptohash_create(PG_SHA256);
    if (hash == nullptr || pg_cryptohash_init(hash) < 0 ||
        pg_cryptohash_update(hash, reinterpret_cast<uint8 *>(input.data), input.len) < 0 ||
        pg_cryptohash_final(hash, reinterpret_cast<uint8 *>(VARDATA(digest)),
                            PG_SHA256_DIGEST_LENGTH) < 0)
        ereport(ERROR, errcode(ERRCODE_INTERNAL_ERROR),
                errmsg("could not compute the fingerprint of a request: %s",
                       pg_cryptohash_error(hash)));
    pg_cryptohash_free(hash);
    pfree(input.data);
    return digest;
}

TupleTableSlot *write_job(TupleTableSlot *slot, const Request &request, int64 job_id, Datum payload,
                          const text *key) {
    RowWriter writer(slot);
    writer.set(live_column::job_id, Int64GetDatum(job_id));
    writer.set(live_column::next_run_at, TimestampTzGetDatum(request.next_run_at));
    writer.set(live_column::enqueued_at, TimestampTzGetDatum(request.now));
    writer.set(live_column::queue_id, Int32GetDatum(request.policy.queue_id));
    writer.set(live_column::attempt, Int32GetDatum(0));
    writer.set(live_column::attempts_uncounted, Int32GetDatum(0));
    writer.set(live_column::max_attempts, Int32GetDatum(request.max_attempts));
    writer.set(live_column::generation, Int32GetDatum(1));
    writer.set(live_column::priority, Int16GetDatum(static_cast<int16>(request.priority)));
    writer.set(live_column::state, CharGetDatum(static_cast<char>(core::JobState::queued)));
    writer.set_nullable(live_column::kind, PointerGetDatum(request.kind), request.kind == nullptr);
    writer.set_nullable(live_column::idempotency_key, PointerGetDatum(key), key == nullptr);
    writer.set(live_column::payload, payload);
    writer.set_nullable(live_column::headers, request.headers, !request.has_headers);
    TupleTableSlot *row = writer.finish();
    verify_live_row(row);
    return row;
}

int64 draw_job_id() { return nextval_internal(relation_ids().job_id_seq, false); }

KeyUse key_use(const Request &request, const text *key, Datum payload, int64 job_id) {
    return {.queue_id = request.policy.queue_id,
            .key = key,
            .fingerprint = fingerprint_of(request, payload),
            .job_id = job_id,
            .now = request.now};
}

struct KeyedJob {
    const text *key;
    int input_index;
};

int compare_keyed_jobs(const void *a, const void *b) {
    const auto *left = static_cast<const KeyedJob *>(a);
    const auto *right = static_cast<const KeyedJob *>(b);
    auto left_bytes = VARSIZE_ANY_EXHDR(left->key);
    auto right_bytes = VARSIZE_ANY_EXHDR(right->key);
    int order =
        memcmp(VARDATA_ANY(left->key), VARDATA_ANY(right->key), Min(left_bytes, right_bytes));
    if (order != 0)
        return order;
    if (left_bytes != right_bytes)
        return left_bytes < right_bytes ? -1 : 1;
    return left->input_index - right->input_index;
}

// Claims all keys, in the order of the keys, so that two calls with the same ones cannot deadlock.
// job_ids[i] becomes the first user's id where the key was taken.
void claim_keys(const Request &request, const Elements &payloads, const Elements &keys,
                int64 *job_ids) {
    auto *keyed = static_cast<KeyedJob *>(palloc(sizeof(KeyedJob) * (keys.count + 1)));
    int count = 0;
    for (int i = 0; i < keys.count; i++) {
        if (keys.nulls[i])
            continue;
        const text *key = DatumGetTextPP(keys.values[i]);
        check_text_length(key, "idempotency_key", core::key_bytes_max);
        keyed[count++] = {key, i};
    }
    if (count == 0)
        return;
    qsort(keyed, count, sizeof(KeyedJob), compare_keyed_jobs);
    Table table = open_keys();
    MemoryContext row_memory = create_row_memory();
    for (int i = 0; i < count; i++) {
        CHECK_FOR_INTERRUPTS();
        int position = keyed[i].input_index;
        job_ids[position] = in_row_memory(row_memory, [&] {
            return claim_key(table, key_use(request, keyed[i].key, payloads.values[position],
                                            job_ids[position]));
        });
    }
    MemoryContextDelete(row_memory);
    close_table(table);
}

void insert_jobs(const Request &request, const Elements &payloads, const Elements &keys,
                 const int64 *drawn_ids, const int64 *job_ids) {
    Table live_jobs = open_table(relation_ids().live_jobs);
    RowBatch batch;
    start_batch(batch, &live_jobs);
    for (int i = 0; i < payloads.count; i++) {
        CHECK_FOR_INTERRUPTS();
        if (job_ids[i] != drawn_ids[i])
            continue; // its key names an earlier job
        const text *key =
            keys.values == nullptr || keys.nulls[i] ? nullptr : DatumGetTextPP(keys.values[i]);
        write_job(batch_slot(batch), request, job_ids[i], payloads.values[i], key);
        add_to_batch(batch);
    }
    flush_batch(batch);
    close_table(live_jobs);
}

} // namespace

} // namespace faultline

FAULTLINE_FUNCTION(faultline_enqueue) {
    using namespace faultline;
    Datum payload = required_datum(fcinfo, payload_argument, "payload");
    const text *key = optional_text(fcinfo, key_argument, "idempotency_key", core::key_bytes_max);
    begin_verb("faultline.enqueue()");
    Request request = read_request(fcinfo);
    int64 job_id = draw_job_id();
    if (key != nullptr) {
        Table keys = open_keys();
        int64 first_job_id = claim_key(keys, key_use(request, key, payload, job_id));
        close_table(keys);
        if (first_job_id != job_id) {
            end_verb();
            PG_RETURN_INT64(first_job_id);
        }
    }
    Table live_jobs = open_table(relation_ids().live_jobs);
    insert_row(live_jobs, write_job(live_jobs.write_slot, request, job_id, payload, key));
    close_table(live_jobs);
    end_verb();
    PG_RETURN_INT64(job_id);
}

FAULTLINE_FUNCTION(faultline_enqueue_many) {
    using namespace faultline;
    Elements payloads = required_array(fcinfo, payload_argument, "payloads", JSONBOID, false);
    Elements keys = {};
    if (!PG_ARGISNULL(key_argument)) {
        keys = required_array(fcinfo, key_argument, "idempotency_keys", TEXTOID, true);
        check_same_length(payloads, "payloads", keys, "idempotency_keys");
    }
    begin_verb("faultline.enqueue_many()");
    Request request = read_request(fcinfo);
    auto *drawn_ids = static_cast<int64 *>(palloc(sizeof(int64) * (payloads.count + 1)));
    auto *job_ids = static_cast<int64 *>(palloc(sizeof(int64) * (payloads.count + 1)));
    for (int i = 0; i < payloads.count; i++)
        drawn_ids[i] = job_ids[i] = draw_job_id();
    claim_keys(request, payloads, keys, job_ids);
    insert_jobs(request, payloads, keys, drawn_ids, job_ids);
    end_verb();
    ReturnSetInfo *result = start_scalar_result(fcinfo);
    for (int i = 0; i < payloads.count; i++) {
        Datum value = Int64GetDatum(job_ids[i]);
        bool is_null = false;
        add_result_row(result, &value, &is_null, 1);
    }
    return static_cast<Datum>(0);
}
