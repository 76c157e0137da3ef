// Finding rows: index look-ups by key, and walks over a partitioned table by job.
#pragma once

#include "../pg.hpp"

namespace faultline {

// One index scan over one table, reusable for many keys.
struct Finder {
    Relation table;
    Relation index;
    IndexScanDesc scan;
    TupleTableSlot *slot; // the row found last
    // What the index keeps for the scan, some of it only once rows are read, lives as long.
    MemoryContext memory;
};
static_assert(std::is_trivially_destructible_v<Finder>);

// `snapshot` must be registered or active for as long as the finder is open.
Finder open_finder(Relation table, Oid index, Snapshot snapshot, int key_count);
// As many keys as the finder was opened with.
void start_search(Finder &finder, ScanKey keys);
bool next_row(Finder &finder); // loads the next row into finder.slot
// The same, but stops when `entries_left` index entries were looked at, those of rows that are gone
// included.
enum class Step { row, end, bound };
Step next_row_within(Finder &finder, int64 *entries_left);
void close_finder(Finder &finder);

// Loads the first row that the index has for the keys: as committed now, whatever the isolation
// level, or as the transaction wrote it itself.
bool load_newest(Relation table, Oid index, ScanKey keys, int key_count, TupleTableSlot *slot);

inline void int64_key(ScanKey key, AttrNumber index_column, int64 value) {
    ScanKeyInit(key, index_column, BTEqualStrategyNumber, F_INT8EQ, Int64GetDatum(value));
}
inline void int32_key(ScanKey key, AttrNumber index_column, int32 value) {
    ScanKeyInit(key, index_column, BTEqualStrategyNumber, F_INT4EQ, Int32GetDatum(value));
}
// Rows from (first, second) on, in index columns `index_column` and the one after it, compared as
// one.  `compare` are the comparison functions of their types; `members` must live as long as the
// search.
struct KeyPart {
    Oid compare;
    Datum value;
};
void row_from_key(ScanKey key, ScanKeyData (&members)[2], AttrNumber index_column, KeyPart first,
                  KeyPart second);
// For columns declared COLLATE "C".
void text_key(ScanKey key, AttrNumber index_column, const text *value);

// The index of `table` whose first column is `column`; raises when a DBA dropped it.
Oid index_on_column(Relation table, AttrNumber column);

// Calls visit(TupleTableSlot *) for the rows of a small table, newest committed state (and the
// transaction's own), until it returns false.
template <typename Visit> void visit_all_rows(Oid table_oid, Visit visit) {
    Relation table = table_open(table_oid, AccessShareLock);
    Snapshot snapshot = RegisterSnapshot(GetLatestSnapshot());
    TableScanDesc scan = table_beginscan(table, snapshot, 0, nullptr);
    TupleTableSlot *slot = table_slot_create(table, nullptr);
    while (table_scan_getnextslot(scan, ForwardScanDirection, slot)) {
        CHECK_FOR_INTERRUPTS();
        if (!visit(slot))
            break;
    }
    ExecDropSingleTupleTableSlot(slot);
    table_endscan(scan);
    UnregisterSnapshot(snapshot);
    table_close(table, AccessShareLock);
}

// Calls visit(TupleTableSlot *) for every row of the job in all partitions of `parent`, until it
// returns false.  Column 1 of the parent is the job's id.
template <typename Visit>
void visit_rows_of_job(Oid parent_oid, int64 job_id, Snapshot snapshot, Visit visit) {
    Relation parent = table_open(parent_oid, AccessShareLock);
    PartitionDesc partitions = RelationGetPartitionDesc(parent, true);
    bool go_on = true;
    for (int i = 0; go_on && i < partitions->nparts; i++) {
        CHECK_FOR_INTERRUPTS();
        Relation partition = table_open(partitions->oids[i], AccessShareLock);
        Finder finder = open_finder(partition, index_on_column(partition, 1), snapshot, 1);
        ScanKeyData key;
        int64_key(&key, 1, job_id);
        start_search(finder, &key);
        while (go_on && next_row(finder))
            go_on = visit(finder.slot);
        close_finder(finder);
        table_close(partition, AccessShareLock);
    }
    table_close(parent, AccessShareLock);
}

} // namespace faultline
