// Owns the seeks in the index of order.  Locks: as scan.hpp.
#include "order.hpp"

#include "relations.hpp"

namespace faultline {

namespace {

constexpr int order_key_count = 2; // queue and priority

void seek(Finder &order, int32 queue_id, StrategyNumber strategy, RegProcedure compare,
          int16 priority) {
    ScanKeyData keys[order_key_count];
    int32_key(&keys[0], 1, queue_id);
    ScanKeyInit(&keys[1], 2, strategy, compare, Int16GetDatum(priority));
    start_search(order, keys);
}

} // namespace

Finder open_order(Relation live_jobs, Snapshot snapshot) {
    return open_finder(live_jobs, relation_ids().live_jobs_order, snapshot, order_key_count);
}

void seek_priority(Finder &order, int32 queue_id, int16 priority) {
    seek(order, queue_id, BTGreaterEqualStrategyNumber, F_INT2GE, priority);
}

void seek_next_priority(Finder &order, int32 queue_id, int16 priority) {
    seek(order, queue_id, BTGreaterStrategyNumber, F_INT2GT, priority);
}

} // namespace faultline
