// Where the extension's relations are: their OIDs in this database.
#pragma once

#include "../pg.hpp"

namespace faultline {

struct RelationIds {
    Oid queues;
    Oid queues_pkey;
    Oid queues_name;
    Oid live_jobs;
    Oid live_jobs_pkey;
    Oid live_jobs_order;
    Oid finished_jobs;
    Oid ended_attempts;
    Oid failed_jobs;
    Oid failed_jobs_pkey;
    Oid failed_jobs_queue;
    Oid idempotency_keys;
    Oid idempotency_keys_pkey;
    Oid queue_access;
    Oid instance;
    Oid virtual_clock;
    Oid job_id_seq;
    Oid ledger_assets;
    Oid ledger_assets_pkey;
    Oid ledger_accounts;
    Oid ledger_accounts_pkey;
    Oid ledger_transactions;
    Oid ledger_transactions_pkey;
    Oid ledger_transactions_generation;
    Oid ledger_entries;
    Oid ledger_entries_transaction;
    Oid ledger_entries_job;
    Oid ledger_entry_id_seq;
    Oid job_events;
    Oid event_id_seq;
};

// Looks the OIDs up once and again after any of them changed; raises 55000 when one is missing.
const RelationIds &relation_ids();
// The OIDs known last, without any look-up; for invalidation callbacks, which may not do any.
const RelationIds &relation_ids_or_none();

// Opens one of the tables; with 42P01 when the extension was dropped while this call waited for it.
Relation open_relation(Oid relation, LOCKMODE lock);
// The same for one of the sequences; for a call that draws numbers before it has opened a table.
void lock_sequence(Oid sequence);

// Called once per process, from _PG_init.
void register_relation_callbacks();

} // namespace faultline
