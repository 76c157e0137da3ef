// Owns the launcher's list of databases, and their slots in the memory shared with workers and
// sessions.
#include "databases.hpp"

#include "clock.hpp"
#include "settings.hpp"

namespace faultline {

namespace {

bool is_to_be_served(const Launcher &launcher, Form_pg_database row) {
    if (!row->datallowconn || row->datistemplate)
        return false;
    if (OidIsValid(launcher.only_database))
        return row->oid == launcher.only_database;
    return settings::database_is_named(NameStr(row->datname));
}

Database *find_database(Launcher &launcher, Oid oid) {
    for (int i = 0; i < launcher.state->slot_count; i++)
        if (launcher.databases[i].oid == oid)
            return &launcher.databases[i];
    return nullptr;
}

// A new database is looked at at once.
Database *add_database(Launcher &launcher, Oid oid) {
    Database *database = find_database(launcher, InvalidOid);
    if (database == nullptr)
        return nullptr;
    *database = {};
    database->oid = oid;
    database->slot = static_cast<int>(database - launcher.databases);
    DatabaseSlot &slot = launcher.state->slots[database->slot];
    write_time(&slot.lease_end, no_time);
    write_time(&slot.next_look, 0);
    pg_atomic_write_u64(&slot.latch, reinterpret_cast<uint64>(MyLatch));
    write_time(&slot.full_look_at, 0);
    write_time(&slot.full_look_microseconds, 0);
    pg_atomic_write_u32(&slot.database_id, oid);
    return database;
}

void list_database(Launcher &launcher, Form_pg_database row) {
    if (!is_to_be_served(launcher, row))
        return;
    Database *database = find_database(launcher, row->oid);
    if (database == nullptr)
        database = add_database(launcher, row->oid);
    if (database == nullptr) {
        if (!launcher.told_too_many)
            ereport(LOG, errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
                    errmsg("the background worker of faultline serves at most %d databases",
                           launcher.state->slot_count),
                    errhint("Name those to be served in faultline.databases."));
        launcher.told_too_many = true;
        return;
    }
    database->name_data = row->datname;
    database->name = NameStr(database->name_data);
    database->listed = true;
}

void free_database(Launcher &launcher, Database &database) {
    pg_atomic_write_u32(&launcher.state->slots[database.slot].database_id, InvalidOid);
    database = {};
}

} // namespace

Launcher *create_launcher(Oid only_database) {
    MemoryContextSwitchTo(TopMemoryContext);
    auto *launcher = static_cast<Launcher *>(palloc0(sizeof(Launcher)));
    launcher->only_database = only_database;
    launcher->memory = DSM_HANDLE_INVALID;
    if (OidIsValid(only_database)) {
        CurrentResourceOwner = ResourceOwnerCreate(nullptr, "faultline launcher");
        dsm_segment *segment = dsm_create(worker_state_bytes(1), 0);
        dsm_pin_mapping(segment);
        launcher->memory = dsm_segment_handle(segment);
        launcher->state = static_cast<WorkerState *>(dsm_segment_address(segment));
        init_worker_state(launcher->state, 1, false);
    } else {
        launcher->state = shared_worker_state();
    }
    Size bytes = mul_size(sizeof(Database), launcher->state->slot_count);
    launcher->databases = static_cast<Database *>(palloc0(bytes));
    // What a launcher before us knew is learnt again by looking.
    for (int i = 0; i < launcher->state->slot_count; i++)
        pg_atomic_write_u32(&launcher->state->slots[i].database_id, InvalidOid);
    return launcher;
}

void list_databases(Launcher &launcher) {
    for (int i = 0; i < launcher.state->slot_count; i++)
        launcher.databases[i].listed = false;
    StartTransactionCommand();
    Relation table = table_open(DatabaseRelationId, AccessShareLock);
    TableScanDesc scan = table_beginscan_catalog(table, 0, nullptr);
    HeapTuple row;
    while ((row = heap_getnext(scan, ForwardScanDirection)) != nullptr)
        list_database(launcher, reinterpret_cast<Form_pg_database>(GETSTRUCT(row)));
    table_endscan(scan);
    table_close(table, AccessShareLock);
    CommitTransactionCommand();
    MemoryContextSwitchTo(TopMemoryContext);
    for (int i = 0; i < launcher.state->slot_count; i++) {
        Database &database = launcher.databases[i];
        if (OidIsValid(database.oid) && !database.listed && database.worker == nullptr)
            free_database(launcher, database);
    }
}

bool launcher_is_superfluous(const Launcher &launcher) {
    if (!OidIsValid(launcher.only_database) || launcher.running > 0)
        return false;
    const Database &database = launcher.databases[0];
    return !database.listed || database.told == PassEnd::no_extension;
}

} // namespace faultline
