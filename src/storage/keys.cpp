// Owns first uses and expiry of idempotency keys.  The unique index decides races; the insertion
// is speculative, as INSERT ... ON CONFLICT does it, so that losing a race is no error.  Every
// unique index counts, also the second one that REINDEX CONCURRENTLY has for a while.
#include "keys.hpp"

#include "../errors.hpp"
#include "columns.hpp"
#include "relations.hpp"
#include "scan.hpp"

namespace faultline {

namespace {

// Reads the row that holds the key already.  False when it has gone meanwhile (expired, or its
// position now holds another row): the caller tries again.
bool read_first_use(Table &keys, ItemPointer tid, const KeyUse &use, TupleTableSlot *slot) {
    if (!table_tuple_fetch_row_version(keys.relation, tid, SnapshotAny, slot))
        return false;
    const text *key = DatumGetTextPP(read_column(slot, key_column::key).value);
    return read_int32(slot, key_column::queue_id) == use.queue_id &&
           VARSIZE_ANY_EXHDR(key) == VARSIZE_ANY_EXHDR(use.key) &&
           memcmp(VARDATA_ANY(key), VARDATA_ANY(use.key), VARSIZE_ANY_EXHDR(key)) == 0;
}

// At REPEATABLE READ a first use that the snapshot cannot see must not be answered from.
void check_visible(Table &keys, TupleTableSlot *slot) {
    if (!IsolationUsesXactSnapshot() ||
        table_tuple_satisfies_snapshot(keys.relation, slot, GetActiveSnapshot()))
        return;
    bool is_null;
    Datum inserted_by = slot_getsysattr(slot, MinTransactionIdAttributeNumber, &is_null);
    if (!TransactionIdIsCurrentTransactionId(DatumGetTransactionId(inserted_by)))
        raise_serialization_failure();
}

void check_same_request(TupleTableSlot *slot, const KeyUse &use) {
    const bytea *first = DatumGetByteaPP(read_column(slot, key_column::fingerprint).value);
    if (VARSIZE_ANY_EXHDR(first) == VARSIZE_ANY_EXHDR(use.fingerprint) &&
        memcmp(VARDATA_ANY(first), VARDATA_ANY(use.fingerprint), VARSIZE_ANY_EXHDR(first)) == 0)
        return;
    ereport(ERROR, errcode_jq(core::sqlstate_idempotency_conflict),
            errmsg("idempotency key \"%s\" was used with a different request",
                   text_to_cstring(use.key)),
            errdetail("Job " INT64_FORMAT " used it first, with another payload, kind, priority or "
                      "max_attempts.",
                      read_int64(slot, key_column::job_id)),
            errhint("Use a new key for a new request; repeat a request unchanged."));
}

TupleTableSlot *write_key_row(Table &keys, const KeyUse &use) {
    RowWriter writer(keys.write_slot);
    writer.set(key_column::job_id, Int64GetDatum(use.job_id));
    writer.set(key_column::created_at, TimestampTzGetDatum(use.now));
    writer.set(key_column::queue_id, Int32GetDatum(use.queue_id));
    writer.set(key_column::key, PointerGetDatum(use.key));
    writer.set(key_column::fingerprint, PointerGetDatum(use.fingerprint));
    return writer.finish();
}

// False when another transaction won the race at the last moment.
bool insert_speculatively(Table &keys, TupleTableSlot *row) {
    bool conflict = false;
    TransactionId transaction = GetCurrentTransactionId();
    uint32 token = SpeculativeInsertionLockAcquire(transaction);
    table_tuple_insert_speculative(keys.relation, row, GetCurrentCommandId(true), 0, nullptr,
                                   token);
    list_free(
        insert_index_entries(keys.result, row, keys.estate, false, true, &conflict, NIL, false));
    table_tuple_complete_speculative(keys.relation, row, token, !conflict);
    SpeculativeInsertionLockRelease(transaction);
    ResetPerTupleExprContext(keys.estate);
    return !conflict;
}

} // namespace

Table open_keys() { return open_table(relation_ids().idempotency_keys, true); }

int64 claim_key(Table &keys, const KeyUse &use) {
    int64 job_id = 0;
    for (bool decided = false; !decided;) {
        CHECK_FOR_INTERRUPTS();
        TupleTableSlot *row = write_key_row(keys, use);
        ItemPointerData conflict;
        ItemPointerSetInvalid(&conflict);
        if (no_index_conflict(keys.result, row, keys.estate, &conflict)) {
            decided = insert_speculatively(keys, row);
            job_id = use.job_id;
            continue;
        }
        TupleTableSlot *slot = table_slot_create(keys.relation, nullptr);
        if (read_first_use(keys, &conflict, use, slot)) {
            check_visible(keys, slot);
            check_same_request(slot, use);
            job_id = read_int64(slot, key_column::job_id);
            decided = true;
        }
        ExecDropSingleTupleTableSlot(slot);
    }
    return job_id;
}

void set_key_expiry(int32 queue_id, const text *key, int64 job_id, TimestampTz expires_at) {
    Table keys = open_table(relation_ids().idempotency_keys);
    Finder finder =
        open_finder(keys.relation, relation_ids().idempotency_keys_pkey, GetActiveSnapshot(), 2);
    ScanKeyData search[2];
    int32_key(&search[0], 1, queue_id);
    text_key(&search[1], 2, key);
    start_search(finder, search);
    // Without a row of this job there is nothing to remember: the key was removed by hand.
    if (next_row(finder) && read_int64(finder.slot, key_column::job_id) == job_id) {
        ItemPointerData tid = finder.slot->tts_tid;
        if (lock_newest_row(keys, &tid, finder.slot, LockWaitBlock) == TM_Ok) {
            tid = finder.slot->tts_tid;
            RowWriter writer(keys.write_slot, finder.slot);
            writer.set(key_column::expires_at, TimestampTzGetDatum(expires_at));
            update_row(keys, &tid, writer.finish(), true);
        }
    }
    close_finder(finder);
    close_table(keys);
}

} // namespace faultline
