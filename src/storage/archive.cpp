// Owns the rows of finished_jobs, ended_attempts and failed_jobs as jobs end.
#include "archive.hpp"

#include "../../core/limits.hpp"

#include "../json_fields.hpp"
#include "../transaction.hpp"
#include "columns.hpp"
#include "events.hpp"
#include "live_jobs.hpp"
#include "partition.hpp"
#include "relations.hpp"
#include "scan.hpp"

namespace faultline {

namespace {

constexpr ColumnPair finished_from_live[] = {
    {finished_column::job_id, live_column::job_id},
    {finished_column::enqueued_at, live_column::enqueued_at},
    {finished_column::lease_token, live_column::lease_token},
    {finished_column::queue_id, live_column::queue_id},
    {finished_column::attempt, live_column::attempt},
    {finished_column::max_attempts, live_column::max_attempts},
    {finished_column::generation, live_column::generation},
    {finished_column::priority, live_column::priority},
    {finished_column::declares_effect, live_column::declares_effect},
    {finished_column::kind, live_column::kind},
    {finished_column::idempotency_key, live_column::idempotency_key},
    {finished_column::payload, live_column::payload},
    {finished_column::headers, live_column::headers},
    {finished_column::progress, live_column::progress},
    {finished_column::last_error, live_column::last_error},
};

constexpr ColumnPair failed_from_live[] = {
    {failed_column::job_id, live_column::job_id},
    {failed_column::enqueued_at, live_column::enqueued_at},
    {failed_column::claimed_at, live_column::claimed_at},
    {failed_column::lease_token, live_column::lease_token},
    {failed_column::queue_id, live_column::queue_id},
    {failed_column::attempt, live_column::attempt},
    {failed_column::attempts_uncounted, live_column::attempts_uncounted},
    {failed_column::max_attempts, live_column::max_attempts},
    {failed_column::generation, live_column::generation},
    {failed_column::priority, live_column::priority},
    {failed_column::declares_effect, live_column::declares_effect},
    {failed_column::kind, live_column::kind},
    {failed_column::lease_owner, live_column::lease_owner},
    {failed_column::idempotency_key, live_column::idempotency_key},
    {failed_column::payload, live_column::payload},
    {failed_column::headers, live_column::headers},
    {failed_column::progress, live_column::progress},
};

constexpr ColumnPair attempt_from_live[] = {
    {attempt_column::job_id, live_column::job_id},
    {attempt_column::started_at, live_column::claimed_at},
    {attempt_column::lease_token, live_column::lease_token},
    {attempt_column::queue_id, live_column::queue_id},
    {attempt_column::attempt, live_column::attempt},
    {attempt_column::generation, live_column::generation},
    {attempt_column::worker, live_column::lease_owner},
};

// One attempt of the history that a dead letter carries.
struct HistoryItem {
    int32 attempt;
    TimestampTz started_at;
    TimestampTz ended_at;
    core::AttemptOutcome outcome;
    const text *worker;
    const text *error;
};

JsonbValue json_time(TimestampTz time) {
    auto *buffer = static_cast<char *>(palloc(MAXDATELEN + 1));
    JsonEncodeDateTime(buffer, TimestampTzGetDatum(time), TIMESTAMPTZOID, nullptr);
    return json_name(buffer);
}

void push_item(JsonbParseState **state, const HistoryItem &item, int error_bytes_max) {
    pushJsonbValue(state, WJB_BEGIN_OBJECT, nullptr);
    push_field(state, "attempt", json_number(item.attempt));
    push_field(state, "worker", json_text(item.worker, core::worker_bytes_max));
    push_field(state, "outcome", json_name(core::outcome_name(item.outcome).data()));
    push_field(state, "error", json_text(item.error, error_bytes_max));
    push_field(state, "started_at", json_time(item.started_at));
    push_field(state, "ended_at", json_time(item.ended_at));
    pushJsonbValue(state, WJB_END_OBJECT, nullptr);
}

const text *nullable_text(TupleTableSlot *row, AttrNumber column) {
    Column read = read_column(row, column);
    return read.is_null ? nullptr : DatumGetTextPCopy(read.value);
}

// Attempts of this generation that ended before, in their order; then `last`.  What happened
// before a redrive is in the live row's own history.
Datum attempt_history(TupleTableSlot *live_row, const HistoryItem &last) {
    int64 job_id = read_int64(live_row, live_column::job_id);
    int32 generation = read_int32(live_row, live_column::generation);
    int capacity = 16;
    int count = 0;
    auto *items = static_cast<HistoryItem *>(palloc(sizeof(HistoryItem) * capacity));
    Snapshot snapshot = register_newest_snapshot();
    visit_rows_of_job(relation_ids().ended_attempts, job_id, snapshot, [&](TupleTableSlot *row) {
        if (read_int32(row, attempt_column::generation) != generation)
            return true;
        if (count == capacity) {
            capacity *= 2;
            items = static_cast<HistoryItem *>(repalloc(items, sizeof(HistoryItem) * capacity));
        }
        items[count++] =
            HistoryItem{read_int32(row, attempt_column::attempt),
                        read_int64(row, attempt_column::started_at),
                        read_int64(row, attempt_column::ended_at),
                        static_cast<core::AttemptOutcome>(read_char(row, attempt_column::outcome)),
                        nullable_text(row, attempt_column::worker),
                        nullable_text(row, attempt_column::error)};
        return true;
    });
    UnregisterSnapshot(snapshot);
    qsort(items, count, sizeof(HistoryItem), [](const void *a, const void *b) {
        return static_cast<const HistoryItem *>(a)->attempt -
               static_cast<const HistoryItem *>(b)->attempt;
    });
    int error_bytes_max = Min(core::error_bytes_max, core::history_bytes_max / (count + 1));
    JsonbParseState *state = nullptr;
    pushJsonbValue(&state, WJB_BEGIN_ARRAY, nullptr);
    for (int i = 0; i < count; i++)
        push_item(&state, items[i], error_bytes_max);
    push_item(&state, last, error_bytes_max);
    Datum fresh = JsonbPGetDatum(JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_ARRAY, nullptr)));
    Column before = read_column(live_row, live_column::history);
    if (before.is_null ||
        toast_raw_datum_size(before.value) > static_cast<Size>(core::history_bytes_max))
        return fresh;
    return DirectFunctionCall2(jsonb_concat, before.value, fresh);
}

} // namespace

Archive open_archive(TimestampTz now) {
    Archive archive = {};
    archive.now = now;
    archive.memory = CurrentMemoryContext;
    archive.ledger = open_ledger(now);
    return archive;
}

void close_archive(Archive &archive) {
    if (archive.finished_open) {
        flush_batch(archive.finished_batch);
        close_table(archive.finished);
    }
    if (archive.attempts_open)
        close_table(archive.attempts);
    if (archive.failed_open)
        close_table(archive.failed);
    close_ledger(archive.ledger);
}

void archive_finished(Archive &archive, TupleTableSlot *live_row, const FinishedRecord &record) {
    if (!archive.finished_open) {
        MemoryContext caller = MemoryContextSwitchTo(archive.memory);
        archive.finished = open_day_partition(relation_ids().finished_jobs, archive.now);
        archive.finished_open = true;
        start_batch(archive.finished_batch, &archive.finished);
        MemoryContextSwitchTo(caller);
    }
    slot_getallattrs(live_row);
    RowWriter writer(batch_slot(archive.finished_batch));
    copy_columns(writer, live_row, finished_from_live);
    writer.set(finished_column::finished_at, TimestampTzGetDatum(archive.now));
    writer.set(finished_column::state, CharGetDatum(static_cast<char>(record.state)));
    writer.set_nullable(finished_column::result, record.result, record.result_is_null);
    if (record.note != nullptr)
        writer.set(finished_column::last_error, PointerGetDatum(record.note));
    writer.finish();
    add_to_batch(archive.finished_batch);
}

void archive_attempt(Archive &archive, TupleTableSlot *live_row, const AttemptRecord &record) {
    if (!archive.attempts_open) {
        MemoryContext caller = MemoryContextSwitchTo(archive.memory);
        archive.attempts = open_day_partition(relation_ids().ended_attempts, archive.now);
        archive.attempts_open = true;
        MemoryContextSwitchTo(caller);
    }
    RowWriter writer(archive.attempts.write_slot);
    copy_columns(writer, live_row, attempt_from_live);
    writer.set(attempt_column::ended_at, TimestampTzGetDatum(archive.now));
    writer.set(attempt_column::outcome, CharGetDatum(static_cast<char>(record.outcome)));
    writer.set(attempt_column::final, BoolGetDatum(record.final));
    writer.set_nullable(attempt_column::error, PointerGetDatum(record.error),
                        record.error == nullptr);
    insert_row(archive.attempts, writer.finish());
}

void archive_dead_letter(Archive &archive, TupleTableSlot *live_row, core::FailureReason reason,
                         const AttemptRecord &record) {
    if (!archive.failed_open) {
        MemoryContext caller = MemoryContextSwitchTo(archive.memory);
        archive.failed = open_table(relation_ids().failed_jobs);
        archive.failed_open = true;
        MemoryContextSwitchTo(caller);
    }
    HistoryItem last = {read_int32(live_row, live_column::attempt),
                        read_int64(live_row, live_column::claimed_at),
                        archive.now,
                        record.outcome,
                        nullable_text(live_row, live_column::lease_owner),
                        record.error};
    RowWriter writer(archive.failed.write_slot);
    copy_columns(writer, live_row, failed_from_live);
    writer.set(failed_column::failed_at, TimestampTzGetDatum(archive.now));
    writer.set(failed_column::reason, CharGetDatum(static_cast<char>(reason)));
    if (record.error != nullptr)
        writer.set(failed_column::last_error, PointerGetDatum(record.error));
    writer.set(failed_column::history, attempt_history(live_row, last));
    insert_row(archive.failed, writer.finish());
    log_step(live_row, live_state(live_row), core::JobState::failed);
}

} // namespace faultline
