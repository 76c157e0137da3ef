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

void check_same_request(TupleTableSlot *slot, const KeyUse &use) {
    const bytea *first = DatumGetByteaPP(read_column(slot, key_column::fingerprint).value);
    if (VARSIZE_ANY_EXHDR(first) == VARSIZE_ANY_EXHDR(use.fingerprint) &&
        memcmp(VARDATA_ANY(first), VARDATA_ANY(use.fingerprint), VARSIZE_ANY_EXHDR(first)) == 0)
        return;
    ereport(ERROR, errcode_jq(core::sqlstate_idempotency_conflict),
            errmsg("idempotency key \"%s\" was used with a different request",
                   text_to_cstring(use.key)),
            errdetail("Job " INT64_FORMAT " used it first, with another payload, kind, priority, "
                      "max_attempts or ledger.",
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

} // namespace

Table open_keys() { return open_table(relation_ids().idempotency_keys, true); }

int64 claim_key(Table &keys, const KeyUse &use) {
    for (;;) {
        ItemPointerData conflict;
        if (insert_unless_conflict(keys, write_key_row(keys, use), &conflict))
            return use.job_id;
        TupleTableSlot *first = table_slot_create(keys.relation, nullptr);
        bool found = read_conflict(keys, &conflict, first, [&] {
            return read_int32(first, key_column::queue_id) == use.queue_id &&
                   same_text(read_text(first, key_column::key), use.key);
        });
        int64 job_id = found ? read_int64(first, key_column::job_id) : 0;
        if (found)
            check_same_request(first, use);
        ExecDropSingleTupleTableSlot(first);
        if (found)
            return job_id;
    }
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
