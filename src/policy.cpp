// Owns the backend's cache of queue policies.  Rows change rarely; a trigger on them sends a
// relation-cache message with the commit, which marks the cache as outdated in every backend.
#include "policy.hpp"

#include "access.hpp"
#include "arguments.hpp"
#include "errors.hpp"
#include "hash.hpp"
#include "storage/columns.hpp"
#include "storage/relations.hpp"
#include "storage/scan.hpp"
#include "storage/table.hpp"
#include "waiters/arrivals.hpp"
#include "window/pending.hpp"

namespace faultline {

namespace {

constexpr int name_distance_max = 4; // edits by which a name still counts as "nearest"

struct PolicyById {
    int32 queue_id;
    QueuePolicy policy;
};

MemoryContext cache_memory = nullptr;
HTAB *policies_by_name = nullptr;
HTAB *policies_by_id = nullptr;
bool cache_valid = false;

void on_relation_change(Datum, Oid relation) {
    if (cache_valid && (!OidIsValid(relation) || relation == relation_ids_or_none().queues))
        cache_valid = false;
}

// Empties the cache when a queue changed.  Policies are handed out by value, so none dangles.
void refresh_cache() {
    AcceptInvalidationMessages();
    relation_ids();
    if (cache_valid)
        return;
    if (cache_memory == nullptr)
        cache_memory = AllocSetContextCreate(CacheMemoryContext, "faultline queue policies",
                                             ALLOCSET_SMALL_SIZES);
    MemoryContextReset(cache_memory);
    policies_by_name = create_hash("faultline policies by name", cache_memory,
                                   sizeof(QueuePolicy::name), sizeof(QueuePolicy));
    policies_by_id =
        create_hash("faultline policies by id", cache_memory, sizeof(int32), sizeof(PolicyById));
    cache_valid = true;
}

int64 read_interval(TupleTableSlot *slot, AttrNumber column) {
    int64 microseconds = 0;
    interval_to_microseconds(DatumGetIntervalP(read_column(slot, column).value), &microseconds);
    return microseconds;
}

QueuePolicy policy_from_row(TupleTableSlot *row) {
    QueuePolicy policy = {};
    text_to_cstring_buffer(DatumGetTextPP(read_column(row, queue_column::name).value), policy.name,
                           sizeof(policy.name));
    policy.queue_id = read_int32(row, queue_column::queue_id);
    policy.max_attempts = read_int32(row, queue_column::max_attempts);
    policy.lease_microseconds = read_interval(row, queue_column::lease);
    if (!read_column(row, queue_column::max_runtime).is_null)
        policy.max_runtime_microseconds = read_interval(row, queue_column::max_runtime);
    if (!read_column(row, queue_column::max_backlog).is_null)
        policy.max_backlog = read_int32(row, queue_column::max_backlog);
    if (!read_column(row, queue_column::retry_budget).is_null)
        policy.retry_budget = DatumGetFloat8(read_column(row, queue_column::retry_budget).value);
    if (!read_column(row, queue_column::expected_runtime).is_null)
        policy.expected_runtime_microseconds = read_interval(row, queue_column::expected_runtime);
    policy.keep_finished_microseconds = read_interval(row, queue_column::keep_finished);
    policy.keep_keys_microseconds = read_interval(row, queue_column::keep_keys);
    policy.backoff.base_microseconds = read_interval(row, queue_column::backoff_base);
    policy.backoff.max_microseconds = read_interval(row, queue_column::backoff_max);
    policy.backoff.factor = DatumGetFloat8(read_column(row, queue_column::backoff_factor).value);
    policy.backoff.jitter = DatumGetFloat8(read_column(row, queue_column::backoff_jitter).value);
    policy.paused = !read_column(row, queue_column::paused_at).is_null;
    return policy;
}

// The newest committed row (or the transaction's own), whatever the caller's snapshot: a policy
// cached from an old snapshot would stay wrong.
bool load_policy(Oid index, ScanKey key, QueuePolicy *policy) {
    Relation table = open_relation(relation_ids().queues, AccessShareLock);
    Snapshot snapshot = RegisterSnapshot(GetLatestSnapshot());
    Finder finder = open_finder(table, index, snapshot, 1);
    start_search(finder, key);
    bool found = next_row(finder);
    if (found)
        *policy = policy_from_row(finder.slot);
    close_finder(finder);
    UnregisterSnapshot(snapshot);
    table_close(table, AccessShareLock);
    return found;
}

// The existing name that takes the fewest edits, or null.  Only for the hint of an error.
const char *nearest_queue_name(const char *wanted) {
    const char *nearest = nullptr;
    int distance_best = name_distance_max + 1;
    visit_all_rows(relation_ids().queues, [&](TupleTableSlot *row) {
        if (!read_column(row, queue_column::dropped_at).is_null)
            return true;
        char *name = TextDatumGetCString(read_column(row, queue_column::name).value);
        int distance = varstr_levenshtein_less_equal(wanted, strlen(wanted), name, strlen(name), 1,
                                                     1, 1, distance_best - 1, true);
        if (distance < distance_best) {
            distance_best = distance;
            nearest = name;
        }
        return true;
    });
    return nearest;
}

[[noreturn]] void raise_unknown_queue(const text *name) {
    const char *wanted = text_to_cstring(name);
    const char *nearest = nearest_queue_name(wanted);
    ereport(ERROR, errcode_jq(core::sqlstate_unknown_queue),
            errmsg("queue \"%s\" does not exist", wanted),
            errdetail("Queues are created explicitly, so that a mistyped name fails at once."),
            nearest != nullptr
                ? errhint("Did you mean \"%s\"? Otherwise create it: SELECT "
                          "faultline.create_queue('%s');",
                          nearest, wanted)
                : errhint("Create it first: SELECT faultline.create_queue('%s');", wanted));
}

// Raises 40001 when the transaction's snapshot misses a row of the queue.
void require_rows_visible(Oid table_oid, Oid index_on_queue, int32 queue_id) {
    Relation table = open_relation(table_oid, AccessShareLock);
    Snapshot newest = RegisterSnapshot(GetLatestSnapshot());
    Finder by_queue = open_finder(table, index_on_queue, newest, 1);
    ScanKeyData key;
    int32_key(&key, 1, queue_id);
    start_search(by_queue, &key);
    while (next_row(by_queue)) {
        CHECK_FOR_INTERRUPTS();
        if (!table_tuple_satisfies_snapshot(table, by_queue.slot, GetActiveSnapshot()))
            raise_serialization_failure();
    }
    close_finder(by_queue);
    UnregisterSnapshot(newest);
    table_close(table, AccessShareLock);
}

} // namespace

bool find_queue(const text *name, QueuePolicy *policy) {
    check_queue_name(name);
    refresh_cache();
    char key[sizeof(QueuePolicy::name)] = {};
    text_to_cstring_buffer(name, key, sizeof(key));
    auto *cached =
        static_cast<QueuePolicy *>(hash_search(policies_by_name, key, HASH_FIND, nullptr));
    if (cached != nullptr) {
        *policy = *cached;
        return true;
    }
    ScanKeyData name_key;
    text_key(&name_key, 1, name);
    if (!load_policy(relation_ids().queues_name, &name_key, policy))
        return false;
    auto *entry =
        static_cast<QueuePolicy *>(hash_search(policies_by_name, key, HASH_ENTER, nullptr));
    *entry = *policy;
    return true;
}

QueuePolicy require_queue(const text *name) {
    QueuePolicy policy;
    if (!find_queue(name, &policy))
        raise_unknown_queue(name);
    return policy;
}

bool find_queue_by_id(int32 queue_id, QueuePolicy *policy) {
    refresh_cache();
    auto *cached =
        static_cast<PolicyById *>(hash_search(policies_by_id, &queue_id, HASH_FIND, nullptr));
    if (cached != nullptr) {
        *policy = cached->policy;
        return true;
    }
    ScanKeyData id_key;
    int32_key(&id_key, 1, queue_id);
    if (!load_policy(relation_ids().queues_pkey, &id_key, policy))
        return false;
    auto *entry =
        static_cast<PolicyById *>(hash_search(policies_by_id, &queue_id, HASH_ENTER, nullptr));
    entry->policy = *policy;
    return true;
}

QueuePolicy queue_of_job(int32 queue_id) {
    QueuePolicy policy;
    if (!find_queue_by_id(queue_id, &policy))
        ereport(ERROR, errcode(ERRCODE_DATA_CORRUPTED),
                errmsg("queue number %d of a job does not exist", queue_id),
                errdetail("Queues of jobs are never removed, only marked as dropped."),
                errhint("Run SELECT * FROM faultline.check_invariants()."));
    return policy;
}

void lock_queue(int32 queue_id, LOCKMODE mode) {
    LockDatabaseObject(relation_ids().queues, queue_id, 0, mode);
}

QueuePolicy require_queue_for_enqueue(const text *name) {
    for (;;) {
        CHECK_FOR_INTERRUPTS();
        QueuePolicy before = require_queue(name);
        lock_queue(before.queue_id, RowExclusiveLock);
        // While we waited for the lock the queue may have been dropped, and made anew.
        QueuePolicy after = require_queue(name);
        if (after.queue_id == before.queue_id)
            return after;
        UnlockDatabaseObject(relation_ids().queues, before.queue_id, 0, RowExclusiveLock);
    }
}

void register_policy_callbacks() {
    CacheRegisterRelcacheCallback(on_relation_change, 0);
    register_access_callbacks();
}

} // namespace faultline

// Statement trigger on queues and queue_access.
FAULTLINE_FUNCTION(faultline_policy_changed) {
    if (!CALLED_AS_TRIGGER(fcinfo))
        ereport(ERROR, errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
                errmsg("faultline.policy_changed() can only be called as a trigger"));
    CacheInvalidateRelcacheByRelid(faultline::relation_ids().queues);
    faultline::note_policy_change();
    PG_RETURN_POINTER(nullptr);
}

// drop_queue() holds this lock: it waits for transactions that have enqueued and keeps new ones
// out until it ends.  Lock order: queue lock, job rows, key rows.
FAULTLINE_FUNCTION(faultline_lock_queue) {
    using namespace faultline;
    lock_queue(PG_GETARG_INT32(0), AccessExclusiveLock);
    note_dropped_queue(PG_GETARG_INT32(0));
    // drop_queue() deletes what its snapshot sees; a row it misses would stay behind.
    if (IsolationUsesXactSnapshot()) {
        const RelationIds &ids = relation_ids();
        require_rows_visible(ids.live_jobs, ids.live_jobs_order, PG_GETARG_INT32(0));
        require_rows_visible(ids.failed_jobs, ids.failed_jobs_queue, PG_GETARG_INT32(0));
    }
    PG_RETURN_VOID();
}

FAULTLINE_FUNCTION(faultline_require_queue_id) {
    PG_RETURN_INT32(
        faultline::require_queue(faultline::required_text(fcinfo, 0, "queue name")).queue_id);
}

FAULTLINE_FUNCTION(faultline_check_queue_name) {
    faultline::check_queue_name(faultline::required_text(fcinfo, 0, "queue name"));
    PG_RETURN_VOID();
}
