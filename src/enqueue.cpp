// enqueue() and enqueue_many(): new jobs, part of the caller's transaction.
#include "access.hpp"
#include "arguments.hpp"
#include "backlog.hpp"
#include "clock.hpp"
#include "debug_point.hpp"
#include "errors.hpp"
#include "intent.hpp"
#include "result.hpp"
#include "row_memory.hpp"
#include "stats/counting.hpp"
#include "storage/columns.hpp"
#include "storage/events.hpp"
#include "storage/keys.hpp"
#include "storage/live_jobs.hpp"
#include "storage/relations.hpp"
#include "transaction.hpp"
#include "window/pending.hpp"

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
    ledger_argument,
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

// SHA-256 over what makes two requests the same: kind, priority, max_attempts as given, the
// declared effect, payload as jsonb prints it (so key order and white space do not matter, 1.0 and
// 1 differ).
bytea *fingerprint_of(const Request &request, Datum payload, const Intent *intent) {
    StringInfoData input;
    initStringInfo(&input);
    if (request.kind != nullptr) {
        appendStringInfo(&input, "kind %d:", static_cast<int>(VARSIZE_ANY_EXHDR(request.kind)));
        appendBinaryStringInfo(&input, VARDATA_ANY(request.kind), VARSIZE_ANY_EXHDR(request.kind));
    }
    appendStringInfo(&input, " priority %d", request.priority);
    if (request.max_attempts_given)
        appendStringInfo(&input, " max_attempts %d", request.max_attempts);
    if (intent != nullptr)
        append_intent(&input, *intent);
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

// What one job brings besides what all jobs of its call share.
struct NewJob {
    int64 job_id;
    Datum payload;
    const text *key;      // may be null
    const Intent *intent; // may be null
};

TupleTableSlot *write_job(TupleTableSlot *slot, const Request &request, const NewJob &job) {
    RowWriter writer(slot);
    writer.set(live_column::job_id, Int64GetDatum(job.job_id));
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
    writer.set(live_column::declares_effect, BoolGetDatum(job.intent != nullptr));
    writer.set_nullable(live_column::idempotency_key, PointerGetDatum(job.key), job.key == nullptr);
    writer.set(live_column::payload, job.payload);
    writer.set_nullable(live_column::headers, request.headers, !request.has_headers);
    TupleTableSlot *row = writer.finish();
    verify_live_row(row);
    log_step(row, std::nullopt, core::JobState::queued);
    return row;
}

int64 draw_job_id() { return nextval_internal(relation_ids().job_id_seq, false); }

KeyUse key_use(const Request &request, const NewJob &job) {
    return {.queue_id = request.policy.queue_id,
            .key = job.key,
            .fingerprint = fingerprint_of(request, job.payload, job.intent),
            .job_id = job.job_id,
            .now = request.now};
}

// `position` names the element of an array in errors, 0 for none.
const Intent *read_intent(Datum json, int position) {
    auto *intent = static_cast<Intent *>(palloc(sizeof(Intent)));
    *intent = intent_from_json(json, position);
    return intent;
}

// Writes the transaction of a new job as INIT; raises JQ007 when its id is taken.
void declare_intent(Ledger &ledger, const Request &request, const NewJob &job) {
    Intent intent = *job.intent;
    intent.job_id = job.job_id;
    intent.generation = 1;
    intent.queue_id = request.policy.queue_id;
    if (insert_intent(ledger, intent, core::TransactionState::init))
        return;
    const char *id = text_to_cstring(intent.transaction_id);
    ereport(
        ERROR, errcode_jq(core::sqlstate_ledger_conflict),
        errmsg("ledger transaction \"%s\" exists already", id),
        found_intent(ledger).job_id == 0
            ? errdetail("It is a reversal.")
            : errdetail("It belongs to job " INT64_FORMAT ".", found_intent(ledger).job_id),
        errhint("A transaction_id names one effect for ever. To repeat a request safely, give it "
                "an idempotency_key as well."));
}

// The jobs of one enqueue_many().
struct NewJobs {
    NewJob *jobs;
    int64 *answers; // the ids to return: a job's own, or that of the first user of its key
    int count;
};

bool is_new(const NewJobs &batch, int position) {
    return batch.answers[position] == batch.jobs[position].job_id;
}

int count_new(const NewJobs &batch) {
    int count = 0;
    for (int i = 0; i < batch.count; i++)
        count += is_new(batch, i);
    return count;
}

// Several keys, or transactions, are written in the order of their bytes, so that two calls with
// the same ones cannot deadlock.
struct Ordered {
    const text *name;
    int position;
};

int compare_ordered(const void *a, const void *b) {
    const auto *left = static_cast<const Ordered *>(a);
    const auto *right = static_cast<const Ordered *>(b);
    int order = compare_bytes(left->name, right->name);
    return order != 0 ? order : left->position - right->position;
}

// The jobs for which name_of(position) is not null, in order.
template <typename NameOf> Ordered *in_order(const NewJobs &batch, int *count, NameOf name_of) {
    auto *ordered = static_cast<Ordered *>(palloc(sizeof(Ordered) * (batch.count + 1)));
    *count = 0;
    for (int i = 0; i < batch.count; i++)
        if (const text *name = name_of(i))
            ordered[(*count)++] = {name, i};
    qsort(ordered, *count, sizeof(Ordered), compare_ordered);
    return ordered;
}

void claim_keys(const Request &request, NewJobs &batch) {
    int count;
    Ordered *keyed = in_order(batch, &count, [&](int i) { return batch.jobs[i].key; });
    if (count == 0)
        return;
    Table table = open_keys();
    MemoryContext row_memory = create_row_memory();
    for (int i = 0; i < count; i++) {
        CHECK_FOR_INTERRUPTS();
        int position = keyed[i].position;
        batch.answers[position] = in_row_memory(
            row_memory, [&] { return claim_key(table, key_use(request, batch.jobs[position])); });
    }
    MemoryContextDelete(row_memory);
    close_table(table);
}

void declare_intents(const Request &request, const NewJobs &batch) {
    int count;
    Ordered *declared = in_order(batch, &count, [&](int i) -> const text * {
        const Intent *intent = batch.jobs[i].intent;
        return intent != nullptr && is_new(batch, i) ? intent->transaction_id : nullptr;
    });
    Ledger ledger = open_ledger(request.now);
    for (int i = 0; i < count; i++) {
        CHECK_FOR_INTERRUPTS();
        declare_intent(ledger, request, batch.jobs[declared[i].position]);
    }
    close_ledger(ledger);
}

void insert_jobs(const Request &request, const NewJobs &jobs) {
    Table live_jobs = open_table(relation_ids().live_jobs);
    RowBatch batch;
    start_batch(
        batch, &live_jobs,
        [](Table &table, TupleTableSlot *row, const void *shared) {
            note_waiting_job(table.relation, row, static_cast<const Request *>(shared)->now);
        },
        &request);
    for (int i = 0; i < jobs.count; i++) {
        CHECK_FOR_INTERRUPTS();
        if (!is_new(jobs, i)) {
            count_events(request.policy.queue_id, core::JobEvent::deduplicated, 1);
            continue;
        }
        write_job(batch_slot(batch), request, jobs.jobs[i]);
        add_to_batch(batch);
    }
    flush_batch(batch);
    debug_point(DebugPoint::enqueue_after_insert);
    close_table(live_jobs);
}

// An optional array argument with one element, possibly null, for each payload.
Elements elements_beside(FunctionCallInfo fcinfo, const Elements &payloads, int index,
                         const char *name, Oid type) {
    if (PG_ARGISNULL(index))
        return {};
    Elements elements = required_array(fcinfo, index, name, type, true);
    check_same_length(payloads, "payloads", elements, name);
    return elements;
}

// The job ids are not drawn yet.
NewJobs read_jobs(FunctionCallInfo fcinfo) {
    Elements payloads = required_array(fcinfo, payload_argument, "payloads", JSONBOID, false);
    Elements keys = elements_beside(fcinfo, payloads, key_argument, "idempotency_keys", TEXTOID);
    Elements intents = elements_beside(fcinfo, payloads, ledger_argument, "ledger", JSONBOID);
    NewJobs batch;
    batch.count = payloads.count;
    batch.jobs = static_cast<NewJob *>(palloc0(sizeof(NewJob) * (batch.count + 1)));
    batch.answers = static_cast<int64 *>(palloc0(sizeof(int64) * (batch.count + 1)));
    for (int i = 0; i < batch.count; i++) {
        CHECK_FOR_INTERRUPTS();
        NewJob &job = batch.jobs[i];
        job.payload = payloads.values[i];
        if (keys.values != nullptr && !keys.nulls[i]) {
            job.key = DatumGetTextPP(keys.values[i]);
            check_text_length(job.key, "idempotency_key", core::key_bytes_max);
        }
        if (intents.values != nullptr && !intents.nulls[i])
            job.intent = read_intent(intents.values[i], i + 1);
    }
    return batch;
}

} // namespace

} // namespace faultline

FAULTLINE_FUNCTION(faultline_enqueue) {
    using namespace faultline;
    NewJob job = {};
    job.payload = required_datum(fcinfo, payload_argument, "payload");
    job.key = optional_text(fcinfo, key_argument, "idempotency_key", core::key_bytes_max);
    begin_verb("faultline.enqueue()");
    Request request = read_request(fcinfo);
    if (!PG_ARGISNULL(ledger_argument))
        job.intent = read_intent(PG_GETARG_DATUM(ledger_argument), 0);
    lock_sequence(relation_ids().job_id_seq);
    job.job_id = draw_job_id();
    if (job.key != nullptr) {
        Table keys = open_keys();
        int64 first_job_id = claim_key(keys, key_use(request, job));
        close_table(keys);
        if (first_job_id != job.job_id) {
            count_events(request.policy.queue_id, core::JobEvent::deduplicated, 1);
            end_verb();
            PG_RETURN_INT64(first_job_id);
        }
    }
    require_room(request.policy, 1);
    if (job.intent != nullptr) {
        Ledger ledger = open_ledger(request.now);
        declare_intent(ledger, request, job);
        close_ledger(ledger);
    }
    Table live_jobs = open_table(relation_ids().live_jobs);
    insert_row(live_jobs, write_job(live_jobs.write_slot, request, job));
    note_waiting_job(live_jobs.relation, live_jobs.write_slot, request.now);
    debug_point(DebugPoint::enqueue_after_insert);
    close_table(live_jobs);
    end_verb();
    PG_RETURN_INT64(job.job_id);
}

FAULTLINE_FUNCTION(faultline_enqueue_many) {
    using namespace faultline;
    begin_verb("faultline.enqueue_many()");
    Request request = read_request(fcinfo);
    NewJobs batch = read_jobs(fcinfo);
    lock_sequence(relation_ids().job_id_seq);
    for (int i = 0; i < batch.count; i++)
        batch.answers[i] = batch.jobs[i].job_id = draw_job_id();
    claim_keys(request, batch);
    require_room(request.policy, count_new(batch));
    declare_intents(request, batch);
    insert_jobs(request, batch);
    end_verb();
    ReturnSetInfo *result = start_scalar_result(fcinfo);
    for (int i = 0; i < batch.count; i++) {
        Datum value = Int64GetDatum(batch.answers[i]);
        bool is_null = false;
        add_result_row(result, &value, &is_null, 1);
    }
    return static_cast<Datum>(0);
}
