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

void insert_row(Table &table, TupleTableSlot *row);

// Changes the row version at `tid`.  With `wait` false, a version that another transaction has
// locked or is changing gives TM_BeingModified at once.
TM_Result update_row(Table &table, ItemPointer tid, TupleTableSlot *row, bool wait);
TM_Result delete_row(Table &table, ItemPointer tid);

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
};
static_assert(std::is_trivially_destructible_v<RowBatch>);

void start_batch(RowBatch &batch, Table *table);
TupleTableSlot *batch_slot(RowBatch &batch); // the slot for the next row
void add_to_batch(RowBatch &batch);          // after RowWriter::finish() on it
void flush_batch(RowBatch &batch);

} // namespace faultline
