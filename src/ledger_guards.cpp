// The ledger's guards: triggers that hold for everybody who writes its tables, by whatever means.
// The functions of the extension follow the same rules by themselves; these fire for them, too,
// where a rule ties two tables together.
#include "errors.hpp"
#include "storage/columns.hpp"
#include "storage/ledger.hpp"
#include "storage/relations.hpp"
#include "storage/scan.hpp"

namespace faultline {

namespace {

TriggerData *require_trigger(FunctionCallInfo fcinfo, const char *name) {
    if (!CALLED_AS_TRIGGER(fcinfo))
        ereport(ERROR, errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
                errmsg("faultline.%s() can only be called as a trigger", name));
    auto *trigger = reinterpret_cast<TriggerData *>(fcinfo->context);
    // They read columns by number.
    Oid table = RelationGetRelid(trigger->tg_relation);
    const RelationIds &ids = relation_ids();
    if (table != ids.ledger_entries && table != ids.ledger_transactions &&
        table != ids.ledger_accounts)
        ereport(ERROR, errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
                errmsg("faultline.%s() is for the tables of the ledger", name),
                errdetail("It was called for table \"%s\".",
                          RelationGetRelationName(trigger->tg_relation)),
                errhint("Drop the trigger."));
    return trigger;
}

[[noreturn]] void raise_append_only(const char *what) {
    ereport(ERROR, errcode_jq(core::sqlstate_append_only), errmsg("the ledger is append-only"),
            errdetail("%s", what), errhint("Undo an effect by faultline.reverse_transaction()."));
}

// What an intent says, which never changes.
constexpr AttrNumber content_columns[] = {
    transaction_column::job_id,     transaction_column::amount,
    transaction_column::created_at, transaction_column::generation,
    transaction_column::queue_id,   transaction_column::transaction_id,
    transaction_column::debit,      transaction_column::credit,
    transaction_column::asset,      transaction_column::reverses};
// What may be added while there is nothing, and stays from then on.
constexpr AttrNumber written_once_columns[] = {transaction_column::metadata,
                                               transaction_column::failure_reason};

bool same_column(HeapTuple before, HeapTuple after, TupleDesc description, AttrNumber column) {
    bool null_before;
    bool null_after;
    Datum value_before = heap_getattr(before, column, description, &null_before);
    Datum value_after = heap_getattr(after, column, description, &null_after);
    if (null_before || null_after)
        return null_before == null_after;
    Form_pg_attribute attribute = TupleDescAttr(description, column - 1);
    return datum_image_eq(value_before, value_after, attribute->attbyval, attribute->attlen);
}

void require_unchanged(HeapTuple before, HeapTuple after, TupleDesc description,
                       AttrNumber column) {
    if (!same_column(before, after, description, column))
        raise_append_only(psprintf("Column \"%s\" of a transaction cannot be changed.",
                                   NameStr(TupleDescAttr(description, column - 1)->attname)));
}

core::TransactionState state_of(HeapTuple row, TupleDesc description) {
    bool is_null;
    return static_cast<core::TransactionState>(
        DatumGetChar(heap_getattr(row, transaction_column::state, description, &is_null)));
}

// What an entry and its intent have in common, by number in their tables.
constexpr ColumnPair tied_columns[] = {
    {entry_column::transaction_id, transaction_column::transaction_id},
    {entry_column::job_id, transaction_column::job_id},
    {entry_column::debit, transaction_column::debit},
    {entry_column::credit, transaction_column::credit},
    {entry_column::amount, transaction_column::amount},
    {entry_column::asset, transaction_column::asset},
};

// The row of a transaction in a table of the ledger; an empty slot when there is none.
TupleTableSlot *load_by_transaction(Relation table, Oid index, const text *transaction_id) {
    TupleTableSlot *slot = table_slot_create(table, nullptr);
    ScanKeyData key;
    text_key(&key, 1, transaction_id);
    load_newest(table, index, &key, 1, slot);
    return slot;
}

bool same_effect(TupleTableSlot *entry, TupleTableSlot *transaction) {
    for (const ColumnPair &pair : tied_columns) {
        Column there = read_column(entry, pair.to);
        Column here = read_column(transaction, pair.from);
        Form_pg_attribute attribute = TupleDescAttr(entry->tts_tupleDescriptor, pair.to - 1);
        if (!datum_image_eq(there.value, here.value, attribute->attbyval, attribute->attlen))
            return false;
    }
    return true;
}

void require_agreement(const text *transaction_id) {
    // The last statement before the commit is not yet visible to its own transaction.
    CommandCounterIncrement();
    const RelationIds &ids = relation_ids();
    Relation transactions = open_relation(ids.ledger_transactions, AccessShareLock);
    Relation entries = open_relation(ids.ledger_entries, AccessShareLock);
    TupleTableSlot *transaction =
        load_by_transaction(transactions, ids.ledger_transactions_pkey, transaction_id);
    TupleTableSlot *entry =
        load_by_transaction(entries, ids.ledger_entries_transaction, transaction_id);
    bool has_transaction = !TupIsNull(transaction);
    bool has_entry = !TupIsNull(entry);
    auto state =
        has_transaction
            ? static_cast<core::TransactionState>(read_char(transaction, transaction_column::state))
            : core::TransactionState::failed;
    const char *state_name =
        has_transaction ? core::transaction_state_name(state).data() : "missing";
    if (has_entry != core::transaction_has_entry(state))
        ereport(ERROR,
                errcode_jq(has_entry ? core::sqlstate_ledger_conflict
                                     : core::sqlstate_ledger_entry_missing),
                errmsg("ledger transaction \"%s\" is %s, but %s", text_to_cstring(transaction_id),
                       state_name, has_entry ? "has an entry" : "has no entry"),
                errdetail("An entry exists exactly when its transaction is APPLIED or RECONCILED."),
                errhint("Write effects by faultline.apply_ledger() or apply_and_complete()."));
    if (has_entry && !same_effect(entry, transaction))
        ereport(ERROR, errcode_jq(core::sqlstate_ledger_conflict),
                errmsg("entry of ledger transaction \"%s\" has other content than its intent",
                       text_to_cstring(transaction_id)),
                errdetail("Job, accounts, amount and asset must be the same."),
                errhint("Write effects by faultline.apply_ledger() or apply_and_complete()."));
    ExecDropSingleTupleTableSlot(transaction);
    ExecDropSingleTupleTableSlot(entry);
    table_close(entries, AccessShareLock);
    table_close(transactions, AccessShareLock);
}

} // namespace

} // namespace faultline

FAULTLINE_FUNCTION(faultline_ledger_append_only) {
    using namespace faultline;
    TriggerData *trigger = require_trigger(fcinfo, "ledger_append_only");
    const char *verb = TRIGGER_FIRED_BY_TRUNCATE(trigger->tg_event) ? "emptied"
                       : TRIGGER_FIRED_BY_DELETE(trigger->tg_event) ? "removed"
                                                                    : "changed";
    raise_append_only(psprintf("Rows of \"%s\" cannot be %s.",
                               RelationGetRelationName(trigger->tg_relation), verb));
}

FAULTLINE_FUNCTION(faultline_ledger_transaction_step) {
    using namespace faultline;
    TriggerData *trigger = require_trigger(fcinfo, "ledger_transaction_step");
    TupleDesc description = RelationGetDescr(trigger->tg_relation);
    HeapTuple before = trigger->tg_trigtuple;
    HeapTuple after = trigger->tg_newtuple;
    for (AttrNumber column : content_columns)
        require_unchanged(before, after, description, column);
    for (AttrNumber column : written_once_columns)
        if (!heap_attisnull(before, column, description))
            require_unchanged(before, after, description, column);
    core::TransactionState from = state_of(before, description);
    core::TransactionState to = state_of(after, description);
    if (from != to && !core::transaction_step_allowed(from, to))
        raise_transaction_step(from, to);
    return PointerGetDatum(after);
}

FAULTLINE_FUNCTION(faultline_ledger_entry_agrees) {
    using namespace faultline;
    TriggerData *trigger = require_trigger(fcinfo, "ledger_entry_agrees");
    // A subscriber copies one table after the other; what it copies was judged where it was
    // written.
    if (IsLogicalWorker())
        return PointerGetDatum(nullptr);
    bool is_entry = RelationGetRelid(trigger->tg_relation) == relation_ids().ledger_entries;
    HeapTuple row =
        TRIGGER_FIRED_BY_UPDATE(trigger->tg_event) ? trigger->tg_newtuple : trigger->tg_trigtuple;
    bool is_null;
    Datum id = heap_getattr(row,
                            is_entry ? static_cast<int>(entry_column::transaction_id)
                                     : static_cast<int>(transaction_column::transaction_id),
                            RelationGetDescr(trigger->tg_relation), &is_null);
    require_agreement(DatumGetTextPP(id));
    return PointerGetDatum(nullptr);
}
