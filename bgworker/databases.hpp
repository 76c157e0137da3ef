// The databases of the server as the launcher knows them.
#pragma once

#include "worker.hpp"

namespace faultline {

struct Database {
    Oid oid; // InvalidOid: free
    NameData name_data;
    const char *name;
    int slot;                       // in WorkerState, and in Launcher::databases
    bool listed;                    // it exists and is to be served
    BackgroundWorkerHandle *worker; // null: none
    TimestampTz due_at;             // when it is looked at next, unless a lease ends earlier
    int failures;                   // workers that died, in a row
    PassEnd told;                   // how its worker left last
};

struct Launcher {
    Oid only_database; // InvalidOid: all
    WorkerState *state;
    dsm_handle memory;   // of the state, if it is the launcher's own
    Database *databases; // one for each slot of the state
    int running;         // workers
    bool told_too_many;
};

Launcher *create_launcher(Oid only_database);

// Reads which databases there are, and gives new ones a slot.
void list_databases(Launcher &launcher);

// A launcher for one database that is not there any more, or not with the extension.
bool launcher_is_superfluous(const Launcher &launcher);

} // namespace faultline
