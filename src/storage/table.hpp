// Direct row access: one table opened for writing, with its indexes.  No SPI, no planner; the same
// table access method and executor functions that PostgreSQL's logical replication apply uses.
// User triggers and rules on these tables do not fire.
#pragma once

#include "../pg.hpp"

namespace faultline {

struct Table {
    Relation relation;
    EState *estate;
    ResultRelInfo *result;
    TupleTableSlot *write_slot; // for rows to be stored; lives as long as the table is open
};
static_assert(std::is_trivially_destructible_v<Table>);

// Opens under RowExclusiveLock, held until the transaction ends.  `speculative` prepares the
// indexes for insert_unless_conflict().
Table open_table(Oid relation, bool speculative = false);
Table open_table(Relation relation, bool speculative = false); // takes the open relation over
void close_table(Table &table);

// A row being written: values and nulls of the write slot.  All columns start as null, or as a
// copy of `from`, whose buffers must stay pinned until the row is stored.
class RowWriter {
  public:
    explicit RowWriter(TupleTableSlot *slot);
    RowWriter(TupleTableSlot *slot, TupleTableSlot *from);

    void set(AttrNumber column, Datum value);
    void set_null(AttrNumber column);
    void set_nullable(AttrNumber column, Datum value, bool is_null);
    TupleTableSlot *finish();

  private:
    TupleTableSlot *slot_;
};

struct Column {
    Datum value;
    bool is_null;
};
Column read_column(TupleTableSlot *slot, AttrNumber column);
inline int64 read_int64(TupleTableSlot *slot, AttrNumber column) {
    return DatumGetInt64(read_column(slot, column).value);
}
inline int32 read_int32(TupleTableSlot *slot, AttrNumber column) {
    return DatumGetInt32(read_column(slot, column).value);
}
inline char read_char(TupleTableSlot *slot, AttrNumber column) {
    return DatumGetChar(read_column(slot, column).value);
}
// A value that stays readable when the row's own table has let it go: fetched from TOAST, and
// copied into the current memory context when `column` is a varlena.
Column read_durable(TupleTableSlot *slot, AttrNumber column);

// Columns that a row takes over from a row of another table.
struct ColumnPair {
    AttrNumber to;
    AttrNumber from;
};
template <size_t count>
void copy_columns(RowWriter &writer, TupleTableSlot *from, const ColumnPair (&pairs)[count]) {
    for (const ColumnPair &pair : pairs) {
        Column column = read_column(from, pair.from);
        writer.set_nullable(pair.to, column.value, column.is_null);
    }
}

// False when a lock on the row version, if there is one, is surely another transaction's.  A
// version that this transaction made of a row it had locked inherits the lock; with subtransactions
// the lockers are a multixact, of which this does not ask the members.
bool may_be_locked_by_us(TupleTableSlot *row);

// At REPEATABLE READ a row that the snapshot cannot see must not be answered from: raises 40001.
void check_visible_or_own(Table &table, TupleTableSlot *slot);

inline bool same_text(const text *left, const text *right) {
    return VARSIZE_ANY_EXHDR(left) == VARSIZE_ANY_EXHDR(right) &&
           memcmp(VARDATA_ANY(left), VARDATA_ANY(right), VARSIZE_ANY_EXHDR(left)) == 0;
}
// The order of the bytes, as COLLATE "C" has it.
inline int compare_bytes(const text *left, const text *right) {
    auto left_bytes = VARSIZE_ANY_EXHDR(left);
    auto right_bytes = VARSIZE_ANY_EXHDR(right);
    int order = memcmp(VARDATA_ANY(left), VARDATA_ANY(right), Min(left_bytes, right_bytes));
    if (order != 0 || left_bytes == right_bytes)
        return order;
    return left_bytes < right_bytes ? -1 : 1;
}
inline const text *read_text(TupleTableSlot *slot, AttrNumber column) {
    return DatumGetTextPP(read_column(slot, column).value);
}

void insert_row(Table &table, TupleTableSlot *row);
// The same with the table's AFTER triggers, foreign keys among them.  BEFORE triggers and CHECKs
// stay out: the caller has verified the row.
void insert_row_with_triggers(Table &table, TupleTableSlot *row);

// Inserts into a table opened as speculative, unless a unique index has an equal key already: then
// false, and `conflict` is that row's position.  Waits for a transaction in progress that inserts
// or removes such a row.  The caller reads what is there and, when it has gone meanwhile, tries
// again.
bool insert_unless_conflict(Table &table, TupleTableSlot *row, ItemPointer conflict);
// Loads the row of a conflict.  Raises 40001 when the caller's snapshot is too old to see it. False
// when it has gone, or the position holds another row for which is_same() is false.
template <typename IsSame>
bool read_conflict(Table &table, ItemPointer conflict, TupleTableSlot *slot, IsSame is_same) {
    if (!table_tuple_fetch_row_version(table.relation, conflict, SnapshotAny, slot) || !is_same())
        return false;
    check_visible_or_own(table, slot);
    return true;
}

// Changes the row version at `tid`.  With `wait` false, a version that another transaction has
// locked or is changing gives TM_BeingModified at once.
TM_Result update_row(Table &table, ItemPointer tid, TupleTableSlot *row, bool wait);
TM_Result delete_row(Table &table, ItemPointer tid);
// Changes a row that the caller has locked, with the table's AFTER triggers.
void update_locked_row_with_triggers(Table &table, ItemPointer tid, TupleTableSlot *row);

// Locks the newest version of the row at `tid` and loads it into `slot`.  Raises 40001 under
// REPEATABLE READ and SERIALIZABLE when the row has changed since the snapshot.
TM_Result lock_newest_row(Table &table, ItemPointer tid, TupleTableSlot *slot,
                          LockWaitPolicy wait_policy);

// Raises 40001: the caller's snapshot is too old to decide.
[[noreturn]] void raise_serialization_failure();

// Rows to insert, stored many at a time (one buffer and one WAL record for several).
struct RowBatch {
    static constexpr int rows_max = 128;
    static constexpr Size bytes_max = 256 * 1024;

    Table *table;
    MemoryContext memory;
    TupleTableSlot *slots[rows_max];
    int count;
    Size bytes;
    // Called for each row once it is stored and has its position; may be null.
    void (*stored)(Table &table, TupleTableSlot *row, const void *shared);
    const void *shared;
};
static_assert(std::is_trivially_destructible_v<RowBatch>);

void start_batch(RowBatch &batch, Table *table, decltype(RowBatch::stored) stored = nullptr,
                 const void *shared = nullptr);
TupleTableSlot *batch_slot(RowBatch &batch); // the slot for the next row
void add_to_batch(RowBatch &batch);          // after RowWriter::finish() on it
void flush_batch(RowBatch &batch);

} // namespace faultline
