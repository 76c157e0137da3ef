// Owns the backend's cache of relation OIDs.  DROP and CREATE EXTENSION give new ones; PostgreSQL
// then sends relation-cache messages for the old, which empty the cache.
#include "relations.hpp"

namespace faultline {

namespace {

RelationIds cached_ids;
bool cached_ids_valid = false;
bool changed_meanwhile = false; // a relation changed while the OIDs were looked up

Oid require_relation(Oid schema, const char *name) {
    Oid relation = OidIsValid(schema) ? get_relname_relid(name, schema) : InvalidOid;
    if (!OidIsValid(relation))
        ereport(ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                errmsg("relation \"faultline.%s\" does not exist", name),
                errdetail("The extension is not installed in this database, or only partly."),
                errhint("Run CREATE EXTENSION faultline, or ALTER EXTENSION faultline UPDATE."));
    return relation;
}

void forget_relation(Datum, Oid relation) {
    changed_meanwhile = true;
    if (!cached_ids_valid)
        return;
    if (!OidIsValid(relation)) {
        cached_ids_valid = false;
        return;
    }
    const auto *ids = reinterpret_cast<const Oid *>(&cached_ids);
    for (size_t i = 0; i < sizeof(RelationIds) / sizeof(Oid); i++)
        if (ids[i] == relation)
            cached_ids_valid = false;
}

[[noreturn]] void raise_dropped() {
    ereport(ERROR, errcode(ERRCODE_UNDEFINED_TABLE),
            errmsg("the tables of faultline do not exist any more"),
            errdetail("The extension was dropped while this call waited for one of them."),
            errhint("If it was created anew, call again."));
}

} // namespace

const RelationIds &relation_ids() {
    if (cached_ids_valid)
        return cached_ids;
    changed_meanwhile = false;
    Oid schema = get_namespace_oid("faultline", true);
    RelationIds ids = {
        .queues = require_relation(schema, "queues"),
        .queues_pkey = require_relation(schema, "queues_pkey"),
        .queues_name = require_relation(schema, "queues_name"),
        .live_jobs = require_relation(schema, "live_jobs"),
        .live_jobs_pkey = require_relation(schema, "live_jobs_pkey"),
        .live_jobs_order = require_relation(schema, "live_jobs_order"),
        .finished_jobs = require_relation(schema, "finished_jobs"),
        .ended_attempts = require_relation(schema, "ended_attempts"),
        .failed_jobs = require_relation(schema, "failed_jobs"),
        .failed_jobs_pkey = require_relation(schema, "failed_jobs_pkey"),
        .failed_jobs_queue = require_relation(schema, "failed_jobs_queue"),
        .idempotency_keys = require_relation(schema, "idempotency_keys"),
        .idempotency_keys_pkey = require_relation(schema, "idempotency_keys_pkey"),
        .queue_access = require_relation(schema, "queue_access"),
        .instance = require_relation(schema, "instance"),
        .virtual_clock = require_relation(schema, "virtual_clock"),
        .job_id_seq = require_relation(schema, "job_id_seq"),
        .ledger_assets = require_relation(schema, "ledger_assets"),
        .ledger_assets_pkey = require_relation(schema, "ledger_assets_pkey"),
        .ledger_accounts = require_relation(schema, "ledger_accounts"),
        .ledger_accounts_pkey = require_relation(schema, "ledger_accounts_pkey"),
        .ledger_transactions = require_relation(schema, "ledger_transactions"),
        .ledger_transactions_pkey = require_relation(schema, "ledger_transactions_pkey"),
        .ledger_transactions_generation =
            require_relation(schema, "ledger_transactions_generation"),
        .ledger_entries = require_relation(schema, "ledger_entries"),
        .ledger_entries_transaction = require_relation(schema, "ledger_entries_transaction"),
        .ledger_entries_job = require_relation(schema, "ledger_entries_job"),
        .ledger_entry_id_seq = require_relation(schema, "ledger_entry_id_seq"),
        .job_events = require_relation(schema, "job_events"),
        .event_id_seq = require_relation(schema, "event_id_seq"),
    };
    cached_ids = ids;
    cached_ids_valid = !changed_meanwhile;
    return cached_ids;
}

const RelationIds &relation_ids_or_none() { return cached_ids; }

Relation open_relation(Oid relation, LOCKMODE lock) {
    Relation opened = try_table_open(relation, lock);
    if (opened == nullptr)
        raise_dropped();
    return opened;
}

void lock_sequence(Oid sequence) {
    // nextval() takes the same lock, but calls it an internal error when nothing is there.
    LockRelationOid(sequence, RowExclusiveLock);
    if (!SearchSysCacheExists1(RELOID, ObjectIdGetDatum(sequence)))
        raise_dropped();
}

void register_relation_callbacks() { CacheRegisterRelcacheCallback(forget_relation, 0); }

} // namespace faultline
