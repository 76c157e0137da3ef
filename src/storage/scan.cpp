// Owns index scans.  Locks: AccessShareLock on each index while it is scanned.
#include "scan.hpp"

namespace faultline {

Finder open_finder(Relation table, Oid index_oid, Snapshot snapshot, int key_count) {
    Relation index = index_open(index_oid, AccessShareLock);
    IndexScanDesc scan = begin_index_scan(table, index, snapshot, key_count);
    return Finder{table, index, scan, table_slot_create(table, nullptr), CurrentMemoryContext};
}

void start_search(Finder &finder, ScanKey keys) {
    MemoryContext caller = MemoryContextSwitchTo(finder.memory);
    index_rescan(finder.scan, keys, finder.scan->numberOfKeys, nullptr, 0);
    MemoryContextSwitchTo(caller);
}

bool next_row(Finder &finder) {
    MemoryContext caller = MemoryContextSwitchTo(finder.memory);
    bool found = index_getnext_slot(finder.scan, ForwardScanDirection, finder.slot);
    MemoryContextSwitchTo(caller);
    return found;
}

Step next_row_within(Finder &finder, int64 *entries_left) {
    MemoryContext caller = MemoryContextSwitchTo(finder.memory);
    Step step = Step::bound;
    while (step == Step::bound && *entries_left > 0) {
        --*entries_left;
        if (index_getnext_tid(finder.scan, ForwardScanDirection) == nullptr)
            step = Step::end;
        else if (index_fetch_heap(finder.scan, finder.slot))
            step = Step::row;
    }
    MemoryContextSwitchTo(caller);
    return step;
}

void close_finder(Finder &finder) {
    index_endscan(finder.scan);
    ExecDropSingleTupleTableSlot(finder.slot);
    index_close(finder.index, AccessShareLock);
}

bool load_newest(Relation table, Oid index, ScanKey keys, int key_count, TupleTableSlot *slot) {
    Snapshot snapshot = RegisterSnapshot(GetLatestSnapshot());
    Finder finder = open_finder(table, index, snapshot, key_count);
    start_search(finder, keys);
    bool found = next_row(finder);
    if (found)
        ExecCopySlot(slot, finder.slot);
    close_finder(finder);
    UnregisterSnapshot(snapshot);
    return found;
}

void row_from_key(ScanKey key, ScanKeyData (&members)[2], AttrNumber index_column, KeyPart first,
                  KeyPart second) {
    const KeyPart parts[] = {first, second};
    for (int i = 0; i < 2; i++)
        ScanKeyEntryInitialize(&members[i], SK_ROW_MEMBER | (i == 1 ? SK_ROW_END : 0),
                               static_cast<AttrNumber>(index_column + i),
                               BTGreaterEqualStrategyNumber, InvalidOid, InvalidOid,
                               parts[i].compare, parts[i].value);
    MemSet(key, 0, sizeof(*key));
    key->sk_flags = SK_ROW_HEADER;
    key->sk_attno = index_column;
    key->sk_strategy = BTGreaterEqualStrategyNumber;
    key->sk_argument = PointerGetDatum(members);
}

void text_key(ScanKey key, AttrNumber index_column, const text *value) {
    ScanKeyInit(key, index_column, BTEqualStrategyNumber, F_TEXTEQ, PointerGetDatum(value));
    key->sk_collation = C_COLLATION_OID;
}

Oid index_on_column(Relation table, AttrNumber column) {
    List *indexes = RelationGetIndexList(table);
    Oid found = InvalidOid;
    for (int i = 0; i < list_length(indexes) && !OidIsValid(found); i++) {
        Relation index = index_open(list_nth_oid(indexes, i), AccessShareLock);
        if (index->rd_index->indisvalid && index->rd_rel->relam == BTREE_AM_OID &&
            index->rd_index->indkey.values[0] == column &&
            heap_attisnull(index->rd_indextuple, Anum_pg_index_indpred, nullptr))
            found = RelationGetRelid(index);
        index_close(index, AccessShareLock);
    }
    list_free(indexes);
    if (!OidIsValid(found))
        ereport(ERROR, errcode(ERRCODE_UNDEFINED_OBJECT),
                errmsg("table \"%s\" has no index on its column %d", RelationGetRelationName(table),
                       column),
                errhint("Attach the index again: REINDEX or CREATE INDEX as on its parent."));
    return found;
}

} // namespace faultline
