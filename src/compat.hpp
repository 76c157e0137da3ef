// Every difference between PostgreSQL versions, 15 to 18.  No other file asks for the version.
#pragma once

#if PG_VERSION_NUM < 150000
#error "Faultline needs PostgreSQL 15 or later"
#endif

#if PG_VERSION_NUM >= 160000
extern "C" {
#include "parser/parse_relation.h"
#include "varatt.h"
}
#endif

#if PG_VERSION_NUM >= 170000
extern "C" {
#include "utils/injection_point.h"
}
#endif

namespace faultline {

// Tells whether a row update must also insert index entries (it was not a HOT update).
#if PG_VERSION_NUM >= 160000
using IndexUpdate = TU_UpdateIndexes;
inline bool index_update_needed(IndexUpdate update) { return update != TU_None; }
inline bool index_update_only_summarizing(IndexUpdate update) { return update == TU_Summarizing; }
#else
using IndexUpdate = bool;
inline bool index_update_needed(IndexUpdate update) { return update; }
inline bool index_update_only_summarizing(IndexUpdate) { return false; }
#endif

inline List *insert_index_entries(ResultRelInfo *result, TupleTableSlot *slot, EState *estate,
                                  bool is_update, bool no_duplicate_error, bool *conflict,
                                  List *arbiters, bool only_summarizing) {
#if PG_VERSION_NUM >= 160000
    return ExecInsertIndexTuples(result, slot, estate, is_update, no_duplicate_error, conflict,
                                 arbiters, only_summarizing);
#else
    (void)only_summarizing;
    return ExecInsertIndexTuples(result, slot, estate, is_update, no_duplicate_error, conflict,
                                 arbiters);
#endif
}

inline bool no_index_conflict(ResultRelInfo *result, TupleTableSlot *slot, EState *estate,
                              ItemPointer conflict) {
#if PG_VERSION_NUM >= 180000
    ItemPointerData self;
    ItemPointerSetInvalid(&self);
    return ExecCheckIndexConstraints(result, slot, estate, conflict, &self, NIL);
#else
    return ExecCheckIndexConstraints(result, slot, estate, conflict, NIL);
#endif
}

inline IndexScanDesc begin_index_scan(Relation table, Relation index, Snapshot snapshot,
                                      int key_count) {
#if PG_VERSION_NUM >= 180000
    return index_beginscan(table, index, snapshot, nullptr, key_count, 0);
#else
    return index_beginscan(table, index, snapshot, key_count, 0);
#endif
}

// Executor state with one target relation and no permission checks of its own.  From 16 on the
// columns of an update are looked up with the permissions, so the relation needs an entry there.
inline void init_range_table(EState *estate, RangeTblEntry *entry) {
#if PG_VERSION_NUM >= 160000
    List *permissions = NIL;
    addRTEPermissionInfo(&permissions, entry);
#if PG_VERSION_NUM >= 180000
    ExecInitRangeTable(estate, list_make1(entry), permissions, bms_make_singleton(1));
#else
    ExecInitRangeTable(estate, list_make1(entry), permissions);
#endif
#else
    ExecInitRangeTable(estate, list_make1(entry));
#endif
}

// Tells the files of a table apart: another one after VACUUM FULL, CLUSTER or TRUNCATE.
#if PG_VERSION_NUM >= 160000
using FileNumber = RelFileNumber;
inline FileNumber file_number(Relation table) { return table->rd_locator.relNumber; }
#else
using FileNumber = Oid;
inline FileNumber file_number(Relation table) { return table->rd_node.relNode; }
#endif

// What a process of ours that sleeps shows in pg_stat_activity.wait_event.
inline uint32 wait_event_of(const char *name) {
#if PG_VERSION_NUM >= 170000
    return WaitEventExtensionNew(name);
#else
    (void)name;
    return PG_WAIT_EXTENSION;
#endif
}

// What is attached to a point by the server's own means, by its name.
#if PG_VERSION_NUM >= 170000 && defined(USE_INJECTION_POINTS)
inline constexpr bool has_injection_points = true;
inline void run_injection_point(const char *name) {
#if PG_VERSION_NUM >= 180000
    INJECTION_POINT(name, nullptr);
#else
    INJECTION_POINT(name);
#endif
}
#else
inline constexpr bool has_injection_points = false;
inline void run_injection_point(const char *) {}
#endif

} // namespace faultline
