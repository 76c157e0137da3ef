// Owns the choice of the partition for a new row.  Locks: RowExclusiveLock on parent and
// partition; taken in this order, as maintenance takes its own.
#include "partition.hpp"

#include "relations.hpp"

namespace faultline {

namespace {

Oid partition_for(Relation parent, TimestampTz at, bool *is_default) {
    PartitionKey key = RelationGetPartitionKey(parent);
    PartitionDesc partitions = RelationGetPartitionDesc(parent, true);
    PartitionBoundInfo bounds = partitions->boundinfo;
    int chosen = -1;
    if (partitions->nparts > 0) {
        bool is_equal;
        Datum value = TimestampTzGetDatum(at);
        int offset = partition_range_datum_bsearch(key->partsupfunc, key->partcollation, bounds, 1,
                                                   &value, &is_equal);
        chosen = bounds->indexes[offset + 1];
        *is_default = chosen < 0;
        if (chosen < 0)
            chosen = bounds->default_index;
    }
    if (chosen < 0)
        ereport(ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                errmsg("table \"%s\" has no partition for this day, nor a default one",
                       RelationGetRelationName(parent)),
                errhint("Run SELECT * FROM faultline.maintain(), which makes both."));
    return partitions->oids[chosen];
}

// Rows are written by column number, so a partition must have its parent's columns in its order.
void check_same_columns(Relation parent, Relation partition) {
    TupleDesc expected = RelationGetDescr(parent);
    TupleDesc found = RelationGetDescr(partition);
    bool same = expected->natts == found->natts;
    for (int i = 0; same && i < expected->natts; i++)
        same = TupleDescAttr(expected, i)->atttypid == TupleDescAttr(found, i)->atttypid &&
               !TupleDescAttr(found, i)->attisdropped;
    if (!same)
        ereport(ERROR, errcode(ERRCODE_DATATYPE_MISMATCH),
                errmsg("partition \"%s\" does not have the columns of \"%s\" in their order",
                       RelationGetRelationName(partition), RelationGetRelationName(parent)),
                errhint("Detach it, and let faultline.maintain() make the partition."));
}

} // namespace

Table open_day_partition(Oid parent_oid, TimestampTz at) {
    Relation parent = open_relation(parent_oid, RowExclusiveLock);
    for (;;) {
        CHECK_FOR_INTERRUPTS();
        bool is_default = false;
        Oid chosen = partition_for(parent, at, &is_default);
        Relation partition = table_open(chosen, RowExclusiveLock);
        // While we waited for the default partition's lock, maintenance may have made the day's
        // own partition; a row for that day must not enter the default one any more.
        if (is_default && partition_for(parent, at, &is_default) != chosen) {
            table_close(partition, RowExclusiveLock);
            continue;
        }
        check_same_columns(parent, partition);
        table_close(parent, NoLock);
        return open_table(partition);
    }
}

} // namespace faultline
