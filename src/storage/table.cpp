// Owns opening, reading and writing of single rows.  Locks: RowExclusiveLock on the table, until
// the transaction ends; row locks by the table access method.
#include "table.hpp"

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
    ExecOpenIndices(result, speculative);
    TupleTableSlot *slot =
        ExecInitExtraTupleSlot(estate, RelationGetDescr(relation), table_slot_callbacks(relation));
    return Table{relation, estate, result, slot};
}

Table open_table(Oid relation, bool speculative) {
    return open_table(table_open(relation, RowExclusiveLock), speculative);
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

void insert_row(Table &table, TupleTableSlot *row) {
    table_tuple_insert(table.relation, row, GetCurrentCommandId(true), 0, nullptr);
    if (table.result->ri_NumIndices > 0)
        list_free(insert_index_entries(table.result, row, table.estate, false, false, nullptr, NIL,
                                       false));
    ResetPerTupleExprContext(table.estate);
}

TM_Result update_row(Table &table, ItemPointer tid, TupleTableSlot *row, bool wait) {
    TM_FailureData failure;
    LockTupleMode lock_mode;
    IndexUpdate index_update;
    TM_Result outcome =
        table_tuple_update(table.relation, tid, row, GetCurrentCommandId(true), GetActiveSnapshot(),
                           InvalidSnapshot, wait, &failure, &lock_mode, &index_update);
    if (outcome == TM_Ok && table.result->ri_NumIndices > 0 && index_update_needed(index_update))
        list_free(insert_index_entries(table.result, row, table.estate, true, false, nullptr, NIL,
                                       index_update_only_summarizing(index_update)));
    ResetPerTupleExprContext(table.estate);
    return outcome;
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

void start_batch(RowBatch &batch, Table *table) {
    batch.table = table;
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
    table_multi_insert(table.relation, batch.slots, batch.count, GetCurrentCommandId(true), 0,
                       nullptr);
    MemoryContextSwitchTo(caller);
    for (int i = 0; i < batch.count; i++) {
        if (table.result->ri_NumIndices > 0)
            list_free(insert_index_entries(table.result, batch.slots[i], table.estate, false, false,
                                           nullptr, NIL, false));
        ExecClearTuple(batch.slots[i]);
    }
    ResetPerTupleExprContext(table.estate);
    MemoryContextReset(batch.memory);
    batch.count = 0;
    batch.bytes = 0;
}

} // namespace faultline
