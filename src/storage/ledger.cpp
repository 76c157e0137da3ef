// Owns the rows of ledger_transactions and ledger_entries.  Lock order: job row, transaction row,
// account rows.
#include "ledger.hpp"

#include "../errors.hpp"
#include "columns.hpp"
#include "relations.hpp"
#include "scan.hpp"

namespace faultline {

namespace {

Table &open_transactions(Ledger &ledger) {
    if (!ledger.transactions_open) {
        MemoryContext caller = MemoryContextSwitchTo(ledger.memory);
        ledger.transactions = open_table(relation_ids().ledger_transactions, true);
        Relation relation = ledger.transactions.relation;
        ledger.found = ExecInitExtraTupleSlot(
            ledger.transactions.estate, RelationGetDescr(relation), table_slot_callbacks(relation));
        ledger.transactions_open = true;
        MemoryContextSwitchTo(caller);
    }
    return ledger.transactions;
}

Table &open_entries(Ledger &ledger) {
    if (!ledger.entries_open) {
        MemoryContext caller = MemoryContextSwitchTo(ledger.memory);
        ledger.entries = open_table(relation_ids().ledger_entries);
        ledger.entries_open = true;
        MemoryContextSwitchTo(caller);
    }
    return ledger.entries;
}

bool find_among_transactions(Ledger &ledger, Oid index, ScanKey keys, int key_count) {
    Relation transactions = open_transactions(ledger).relation; // makes ledger.found
    return load_newest(transactions, index, keys, key_count, ledger.found);
}

Entry find_among_entries(Oid index, ScanKey key) {
    Relation table = open_relation(relation_ids().ledger_entries, AccessShareLock);
    TupleTableSlot *slot = table_slot_create(table, nullptr);
    Entry entry = {};
    if (load_newest(table, index, key, 1, slot))
        entry = {.found = true,
                 .entry_id = read_int64(slot, entry_column::entry_id),
                 .created_at = read_int64(slot, entry_column::created_at)};
    ExecDropSingleTupleTableSlot(slot);
    table_close(table, AccessShareLock);
    return entry;
}

TupleTableSlot *write_intent(Ledger &ledger, const Intent &intent, core::TransactionState state) {
    RowWriter writer(open_transactions(ledger).write_slot);
    writer.set(transaction_column::job_id, Int64GetDatum(intent.job_id));
    writer.set(transaction_column::amount, Int64GetDatum(intent.effect.amount));
    writer.set(transaction_column::created_at, TimestampTzGetDatum(ledger.now));
    writer.set(transaction_column::updated_at, TimestampTzGetDatum(ledger.now));
    writer.set(transaction_column::generation, Int32GetDatum(intent.generation));
    writer.set(transaction_column::queue_id, Int32GetDatum(intent.queue_id));
    writer.set(transaction_column::state, CharGetDatum(static_cast<char>(state)));
    writer.set(transaction_column::transaction_id, PointerGetDatum(intent.transaction_id));
    writer.set(transaction_column::debit, PointerGetDatum(intent.effect.debit));
    writer.set(transaction_column::credit, PointerGetDatum(intent.effect.credit));
    writer.set(transaction_column::asset, PointerGetDatum(intent.effect.asset));
    writer.set_nullable(transaction_column::reverses, PointerGetDatum(intent.reverses),
                        intent.reverses == nullptr);
    writer.set_nullable(transaction_column::metadata, JsonbPGetDatum(intent.metadata),
                        intent.metadata == nullptr);
    return writer.finish();
}

// The row in ledger.found is one that an insertion of the intent collides with.
bool collides(const Ledger &ledger, const Intent &intent) {
    Intent there = found_intent(ledger);
    if (same_text(there.transaction_id, intent.transaction_id))
        return true;
    if (intent.reverses != nullptr)
        return there.reverses != nullptr && same_text(there.reverses, intent.reverses);
    return there.job_id == intent.job_id && there.generation == intent.generation;
}

} // namespace

Ledger open_ledger(TimestampTz now) {
    Ledger ledger = {};
    ledger.now = now;
    ledger.memory = CurrentMemoryContext;
    return ledger;
}

void close_ledger(Ledger &ledger) {
    if (ledger.transactions_open)
        close_table(ledger.transactions);
    if (ledger.entries_open)
        close_table(ledger.entries);
}

bool find_transaction(Ledger &ledger, const text *transaction_id) {
    ScanKeyData key;
    text_key(&key, 1, transaction_id);
    return find_among_transactions(ledger, relation_ids().ledger_transactions_pkey, &key, 1);
}

void load_transaction(Ledger &ledger, ItemPointer position) {
    Relation transactions = open_transactions(ledger).relation; // makes ledger.found
    if (!table_tuple_fetch_row_version(transactions, position, SnapshotAny, ledger.found))
        elog(ERROR, "a ledger transaction has gone");
}

bool find_transaction_of_job(Ledger &ledger, int64 job_id, int32 generation) {
    ScanKeyData keys[2];
    int64_key(&keys[0], 1, job_id);
    int32_key(&keys[1], 2, generation);
    return find_among_transactions(ledger, relation_ids().ledger_transactions_generation, keys, 2);
}

void require_transaction_of_job(Ledger &ledger, int64 job_id, int32 generation) {
    if (!find_transaction_of_job(ledger, job_id, generation))
        raise_corrupt_row(job_id, "It declares an effect, but has no ledger transaction.");
}

bool await_transaction(Ledger &ledger, const text *transaction_id) {
    Table &transactions = open_transactions(ledger);
    // A row that is never stored: looking for what it would collide with waits for whoever writes
    // that just now.  Nothing stays locked: the caller's transaction may last.
    Intent probe = {.transaction_id = transaction_id,
                    .effect = {transaction_id, transaction_id, transaction_id, 0},
                    .metadata = nullptr,
                    .reverses = nullptr,
                    .job_id = 0,
                    .generation = 0,
                    .queue_id = 0};
    ItemPointerData conflict;
    ItemPointerSetInvalid(&conflict);
    no_index_conflict(transactions.result,
                      write_intent(ledger, probe, core::TransactionState::init),
                      transactions.estate, &conflict);
    ResetPerTupleExprContext(transactions.estate);
    return find_transaction(ledger, transaction_id);
}

void lock_transaction(Ledger &ledger) {
    ItemPointerData tid = ledger.found->tts_tid;
    // Nobody deletes transactions, so there is always a newest version.
    TM_Result outcome = lock_newest_row(ledger.transactions, &tid, ledger.found, LockWaitBlock);
    if (outcome != TM_Ok)
        elog(ERROR, "could not lock a ledger transaction: %d", outcome);
}

core::TransactionState found_state(const Ledger &ledger) {
    return static_cast<core::TransactionState>(read_char(ledger.found, transaction_column::state));
}

Intent found_intent(const Ledger &ledger) {
    TupleTableSlot *row = ledger.found;
    Column reverses = read_column(row, transaction_column::reverses);
    return {.transaction_id = read_text(row, transaction_column::transaction_id),
            .effect = {.debit = read_text(row, transaction_column::debit),
                       .credit = read_text(row, transaction_column::credit),
                       .asset = read_text(row, transaction_column::asset),
                       .amount = read_int64(row, transaction_column::amount)},
            .metadata = nullptr,
            .reverses = reverses.is_null ? nullptr : DatumGetTextPP(reverses.value),
            .job_id = read_int64(row, transaction_column::job_id),
            .generation = read_int32(row, transaction_column::generation),
            .queue_id = read_int32(row, transaction_column::queue_id)};
}

Intent copy_found_intent(const Ledger &ledger) {
    auto copy = [](const text *value) {
        return value == nullptr ? nullptr : DatumGetTextPCopy(PointerGetDatum(value));
    };
    Intent intent = found_intent(ledger);
    intent.transaction_id = copy(intent.transaction_id);
    intent.effect.debit = copy(intent.effect.debit);
    intent.effect.credit = copy(intent.effect.credit);
    intent.effect.asset = copy(intent.effect.asset);
    intent.reverses = copy(intent.reverses);
    return intent;
}

bool insert_intent(Ledger &ledger, const Intent &intent, core::TransactionState state) {
    Table &transactions = open_transactions(ledger);
    for (;;) {
        ItemPointerData conflict;
        if (insert_unless_conflict(transactions, write_intent(ledger, intent, state), &conflict))
            return true;
        if (read_conflict(transactions, &conflict, ledger.found,
                          [&] { return collides(ledger, intent); }))
            return false;
    }
}

void raise_transaction_step(core::TransactionState from, core::TransactionState to) {
    ereport(ERROR, errcode_jq(core::sqlstate_illegal_transition),
            errmsg("a ledger transaction cannot go from %s to %s",
                   core::transaction_state_name(from).data(),
                   core::transaction_state_name(to).data()),
            errdetail("INIT becomes APPLIED or FAILED, APPLIED becomes RECONCILED; RECONCILED and "
                      "FAILED are final."),
            errhint("Undo an effect by faultline.reverse_transaction()."));
}

void move_transaction(Ledger &ledger, core::TransactionState to, const TransactionNote &note) {
    core::TransactionState from = found_state(ledger);
    if (!core::transaction_step_allowed(from, to))
        raise_transaction_step(from, to);
    ItemPointerData tid = ledger.found->tts_tid;
    RowWriter writer(ledger.transactions.write_slot, ledger.found);
    writer.set(transaction_column::state, CharGetDatum(static_cast<char>(to)));
    writer.set(transaction_column::updated_at, TimestampTzGetDatum(ledger.now));
    if (to == core::TransactionState::failed)
        writer.set(transaction_column::failure_reason, PointerGetDatum(note.failure_reason));
    if (note.metadata != nullptr && read_column(ledger.found, transaction_column::metadata).is_null)
        writer.set(transaction_column::metadata, JsonbPGetDatum(note.metadata));
    TupleTableSlot *changed = writer.finish();
    // The entry that comes with APPLIED has the trigger that judges both.  One here would judge
    // them half written after SET CONSTRAINTS ALL IMMEDIATE.
    if (to != core::TransactionState::applied)
        update_locked_row_with_triggers(ledger.transactions, &tid, changed);
    else if (TM_Result outcome = update_row(ledger.transactions, &tid, changed, true);
             outcome != TM_Ok)
        elog(ERROR, "could not change a locked ledger transaction: %d", outcome);
}

Entry find_entry(const text *transaction_id) {
    ScanKeyData key;
    text_key(&key, 1, transaction_id);
    return find_among_entries(relation_ids().ledger_entries_transaction, &key);
}

Entry find_entry_of_job(int64 job_id) {
    ScanKeyData key;
    int64_key(&key, 1, job_id);
    return find_among_entries(relation_ids().ledger_entries_job, &key);
}

Entry insert_entry(Ledger &ledger, const Intent &intent, int32 attempt) {
    Entry entry = {.found = true,
                   .entry_id = nextval_internal(relation_ids().ledger_entry_id_seq, false),
                   .created_at = ledger.now};
    Table &entries = open_entries(ledger);
    RowWriter writer(entries.write_slot);
    writer.set(entry_column::entry_id, Int64GetDatum(entry.entry_id));
    writer.set(entry_column::job_id, Int64GetDatum(intent.job_id));
    writer.set(entry_column::amount, Int64GetDatum(intent.effect.amount));
    writer.set(entry_column::created_at, TimestampTzGetDatum(ledger.now));
    writer.set(entry_column::attempt, Int32GetDatum(attempt));
    writer.set(entry_column::transaction_id, PointerGetDatum(intent.transaction_id));
    writer.set(entry_column::debit, PointerGetDatum(intent.effect.debit));
    writer.set(entry_column::credit, PointerGetDatum(intent.effect.credit));
    writer.set(entry_column::asset, PointerGetDatum(intent.effect.asset));
    insert_row_with_triggers(entries, writer.finish());
    return entry;
}

} // namespace faultline
