// Owns opening, reading and writing of single rows.  Locks: RowExclusiveLock on the table, until
// the transaction ends; row locks by the table access method.
#include "table.hpp"

#include "relations.hpp"

namespace faultline {

Table open_table(Relation relation, bool speculative) {
    EState *estate = CreateExecutorState();
    RangeTblEntry *entry = makeNode(RangeTblEntry);
    entry->rtekind = RTE_RELATION;
    entry->relid = RelationGetRelid(relation);
    entry->relkind = relation->rd_rel->relkind;
    entry->rellockmode = RowExclusiveLock;
    init_range_table(estate, entry);
    ResultRelInfo *result = makeNode(ResultRelInfo);
    InitResultRelInfo(result, relation, 1, nullptr, 0);
    // Where triggers look for the relation they fire on.
    estate->es_opened_result_relations = list_make1(result);
    ExecOpenIndices(result, speculative);
    TupleTableSlot *slot =
        ExecInitExtraTupleSlot(estate, RelationGetDescr(relation), table_slot_callbacks(relation));
    return Table{relation, estate, result, slot};
}

Table open_table(Oid relation, bool speculative) {
    return open_table(open_relation(relation, RowExclusiveLock), speculative);
}

void close_table(Table &table) {
    ExecResetTupleTable(table.estate->es_tupleTable, false);
    ExecCloseIndices(table.result);
    FreeExecutorState(table.estate);
    table_close(table.relation, NoLock);
}

RowWriter::RowWriter(TupleTableSlot *slot) : slot_(slot) {
    ExecClearTuple(slot);
    int count = slot->tts_tupleDescriptor->natts;
    memset(slot->tts_values, 0, sizeof(Datum) * count);
    memset(slot->tts_isnull, true, sizeof(bool) * count);
}

RowWriter::RowWriter(TupleTableSlot *slot, TupleTableSlot *from) : slot_(slot) {
    ExecClearTuple(slot);
    slot_getallattrs(from);
    int count = slot->tts_tupleDescriptor->natts;
    memcpy(slot->tts_values, from->tts_values, sizeof(Datum) * count);
    memcpy(slot->tts_isnull, from->tts_isnull, sizeof(bool) * count);
}

void RowWriter::set(AttrNumber column, Datum value) {
    slot_->tts_values[column - 1] = value;
    slot_->tts_isnull[column - 1] = false;
}

void RowWriter::set_null(AttrNumber column) {
    slot_->tts_values[column - 1] = 0;
    slot_->tts_isnull[column - 1] = true;
}

void RowWriter::set_nullable(AttrNumber column, Datum value, bool is_null) {
    if (is_null)
        set_null(column);
    else
        set(column, value);
}

TupleTableSlot *RowWriter::finish() {
    ExecStoreVirtualTuple(slot_);
    // Direct access skips the executor, so NOT NULL is checked here.
    TupleDesc description = slot_->tts_tupleDescriptor;
    for (int i = 0; i < description->natts; i++) {
        Form_pg_attribute attribute = TupleDescAttr(description, i);
        if (attribute->attnotnull && slot_->tts_isnull[i])
            elog(ERROR, "column \"%s\" must not be null", NameStr(attribute->attname));
    }
    return slot_;
}

Column read_column(TupleTableSlot *slot, AttrNumber column) {
    bool is_null;
    Datum value = slot_getattr(slot, column, &is_null);
    return Column{value, is_null};
}

Column read_durable(TupleTableSlot *slot, AttrNumber column) {
    Column read = read_column(slot, column);
    if (!read.is_null) {
        auto *stored = reinterpret_cast<struct varlena *>(DatumGetPointer(read.value));
        if (VARATT_IS_EXTERNAL(stored))
            read.value = PointerGetDatum(detoast_external_attr(stored));
    }
    return read;
}

bool may_be_locked_by_us(TupleTableSlot *row) {
    bool should_free;
    HeapTupleHeader header = ExecFetchSlotHeapTuple(row, false, &should_free)->t_data;
    if (header->t_infomask & HEAP_XMAX_INVALID)
        return false;
    return (header->t_infomask & HEAP_XMAX_IS_MULTI) ||
           TransactionIdIsCurrentTransactionId(HeapTupleHeaderGetRawXmax(header));
}

namespace {

// Index entries of an inserted row; the list of indexes whose uniqueness is checked at commit.
List *insert_into_indexes(Table &table, TupleTableSlot *row) {
    if (table.result->ri_NumIndices == 0)
        return NIL;
    return insert_index_entries(table.result, row, table.estate, false, false, nullptr, NIL, false);
}

// False when another transaction won the race at the last moment.
bool insert_speculatively(Table &table, TupleTableSlot *row) {
    bool conflict = false;
    TransactionId transaction = GetCurrentTransactionId();
    uint32 token = SpeculativeInsertionLockAcquire(transaction);
    table_tuple_insert_speculative(table.relation, row, GetCurrentCommandId(true), 0, nullptr,
                                   token);
    list_free(
        insert_index_entries(table.result, row, table.estate, false, true, &conflict, NIL, false));
    table_tuple_complete_speculative(table.relation, row, token, !conflict);
    SpeculativeInsertionLockRelease(transaction);
    ResetPerTupleExprContext(table.estate);
    return !conflict;
}

} // namespace

void insert_row_with_triggers(Table &table, TupleTableSlot *row) {
    AfterTriggerBeginQuery();
    table_tuple_insert(table.relation, row, GetCurrentCommandId(true), 0, nullptr);
    List *recheck = insert_into_indexes(table, row);
    ExecARInsertTriggers(table.estate, table.result, row, recheck, nullptr);
    list_free(recheck);
    AfterTriggerEndQuery(table.estate);
    ResetPerTupleExprContext(table.estate);
}

bool insert_unless_conflict(Table &table, TupleTableSlot *row, ItemPointer conflict) {
    for (;;) {
        CHECK_FOR_INTERRUPTS();
        ItemPointerSetInvalid(conflict);
        if (!no_index_conflict(table.result, row, table.estate, conflict))
            return false;
        if (insert_speculatively(table, row))
            return true;
    }
}

void check_visible_or_own(Table &table, TupleTableSlot *slot) {
    if (!IsolationUsesXactSnapshot() ||
        table_tuple_satisfies_snapshot(table.relation, slot, GetActiveSnapshot()))
        return;
    bool is_null;
    Datum inserted_by = slot_getsysattr(slot, MinTransactionIdAttributeNumber, &is_null);
    if (!TransactionIdIsCurrentTransactionId(DatumGetTransactionId(inserted_by)))
        raise_serialization_failure();
}

void insert_row(Table &table, TupleTableSlot *row) {
    table_tuple_insert(table.relation, row, GetCurrentCommandId(true), 0, nullptr);
    list_free(insert_into_indexes(table, row));
    ResetPerTupleExprContext(table.estate);
}

namespace {

// `recheck` becomes the list of indexes whose uniqueness is checked at commit.
TM_Result update_with_indexes(Table &table, ItemPointer tid, TupleTableSlot *row, bool wait,
                              List **recheck) {
    TM_FailureData failure;
    LockTupleMode lock_mode;
    IndexUpdate index_update;
    *recheck = NIL;
    TM_Result outcome =
        table_tuple_update(table.relation, tid, row, GetCurrentCommandId(true), GetActiveSnapshot(),
                           InvalidSnapshot, wait, &failure, &lock_mode, &index_update);
    if (outcome == TM_Ok && table.result->ri_NumIndices > 0 && index_update_needed(index_update))
        *recheck = insert_index_entries(table.result, row, table.estate, true, false, nullptr, NIL,
                                        index_update_only_summarizing(index_update));
    return outcome;
}

} // namespace

TM_Result update_row(Table &table, ItemPointer tid, TupleTableSlot *row, bool wait) {
    List *recheck;
    TM_Result outcome = update_with_indexes(table, tid, row, wait, &recheck);
    list_free(recheck);
    ResetPerTupleExprContext(table.estate);
    return outcome;
}

void update_locked_row_with_triggers(Table &table, ItemPointer tid, TupleTableSlot *row) {
    List *recheck;
    AfterTriggerBeginQuery();
    TM_Result outcome = update_with_indexes(table, tid, row, true, &recheck);
    if (outcome != TM_Ok)
        elog(ERROR, "could not change a locked row of \"%s\": %d",
             RelationGetRelationName(table.relation), outcome);
    ExecARUpdateTriggers(table.estate, table.result, nullptr, nullptr, tid, nullptr, row, recheck,
                         nullptr, false);
    list_free(recheck);
    AfterTriggerEndQuery(table.estate);
    ResetPerTupleExprContext(table.estate);
}

TM_Result delete_row(Table &table, ItemPointer tid) {
    TM_FailureData failure;
    return table_tuple_delete(table.relation, tid, GetCurrentCommandId(true), GetActiveSnapshot(),
                              InvalidSnapshot, true, &failure, false);
}

void raise_serialization_failure() {
    ereport(ERROR, errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
            errmsg("could not serialize access due to concurrent update"),
            errdetail("The row has changed since the transaction's snapshot was taken."),
            errhint("Run the transaction again, or use READ COMMITTED for calls to Faultline."));
}

TM_Result lock_newest_row(Table &table, ItemPointer tid, TupleTableSlot *slot,
                          LockWaitPolicy wait_policy) {
    TM_FailureData failure;
    ItemPointerData start = *tid;
    bool frozen_snapshot = IsolationUsesXactSnapshot();
    TM_Result outcome =
        table_tuple_lock(table.relation, &start, GetActiveSnapshot(), slot,
                         GetCurrentCommandId(true), LockTupleNoKeyExclusive, wait_policy,
                         frozen_snapshot ? 0 : TUPLE_LOCK_FLAG_FIND_LAST_VERSION, &failure);
    if (frozen_snapshot && (outcome == TM_Updated || outcome == TM_Deleted))
        raise_serialization_failure();
    return outcome;
}

void start_batch(RowBatch &batch, Table *table, decltype(RowBatch::stored) stored,
                 const void *shared) {
    batch.table = table;
    batch.stored = stored;
    batch.shared = shared;
    batch.memory =
        AllocSetContextCreate(CurrentMemoryContext, "faultline row batch", ALLOCSET_DEFAULT_SIZES);
    memset(batch.slots, 0, sizeof(batch.slots));
    batch.count = 0;
    batch.bytes = 0;
}

TupleTableSlot *batch_slot(RowBatch &batch) {
    TupleTableSlot *&slot = batch.slots[batch.count];
    // A slot keeps its rows in the memory it was made in.
    MemoryContext caller = MemoryContextSwitchTo(batch.table->estate->es_query_cxt);
    if (slot == nullptr)
        slot = ExecInitExtraTupleSlot(batch.table->estate, RelationGetDescr(batch.table->relation),
                                      table_slot_callbacks(batch.table->relation));
    MemoryContextSwitchTo(caller);
    return slot;
}

void add_to_batch(RowBatch &batch) {
    // The row now owns its bytes: what it was made from may be unpinned or freed.
    bool should_free;
    batch.bytes += ExecFetchSlotHeapTuple(batch.slots[batch.count], true, &should_free)->t_len;
    batch.count++;
    if (batch.count == RowBatch::rows_max || batch.bytes >= RowBatch::bytes_max)
        flush_batch(batch);
}

void flush_batch(RowBatch &batch) {
    if (batch.count == 0)
        return;
    Table &table = *batch.table;
    CHECK_FOR_INTERRUPTS();
    MemoryContext caller = MemoryContextSwitchTo(batch.memory);
    // Of one row the record of an ordinary insert is smaller.
    if (batch.count == 1)
        table_tuple_insert(table.relation, batch.slots[0], GetCurrentCommandId(true), 0, nullptr);
    else
        table_multi_insert(table.relation, batch.slots, batch.count, GetCurrentCommandId(true), 0,
                           nullptr);
    MemoryContextSwitchTo(caller);
    for (int i = 0; i < batch.count; i++) {
        list_free(insert_into_indexes(table, batch.slots[i]));
        if (batch.stored != nullptr)
            batch.stored(table, batch.slots[i], batch.shared);
        ExecClearTuple(batch.slots[i]);
    }
    ResetPerTupleExprContext(table.estate);
    MemoryContextReset(batch.memory);
    batch.count = 0;
    batch.bytes = 0;
}

} // namespace faultline
