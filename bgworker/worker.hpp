// What the launcher hands to the worker of a database when it starts it.
#pragma once

#include "worker_state.hpp"

namespace faultline {

struct WorkerArguments {
    Oid database;
    int slot;
    dsm_handle memory; // DSM_HANDLE_INVALID: the memory that all processes share
};
static_assert(sizeof(WorkerArguments) <= BGW_EXTRALEN);

// Locks that show who is there, as pg_locks names them: locktype object, classid pg_database,
// objid the database (0: all), objsubid this.  Nobody waits for them.
enum class Presence : uint16 { launcher = 1, worker = 2 };
// False when somebody else has it.  Held until the process ends.
bool claim_presence(Presence presence, Oid database);
bool is_present(Presence presence, Oid database);

// True while somebody drops, renames, moves or copies the database, or waits to.
bool database_is_wanted(Oid database);

} // namespace faultline
