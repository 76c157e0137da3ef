// Owns the memory through which sessions tell the background worker when the next lease ends.
#include "worker_state.hpp"

namespace faultline {

namespace {

constexpr int launcher_restart_seconds = 1;

WorkerState *shared_state = nullptr;
Size shared_bytes() { return worker_state_bytes(worker_databases_max); }

void attach_memory(void *memory, bool is_new) {
    shared_state = static_cast<WorkerState *>(memory);
    if (is_new)
        init_worker_state(shared_state, worker_databases_max, true);
}

DatabaseSlot *own_slot_found = nullptr;

bool is_own(DatabaseSlot *slot) { return pg_atomic_read_u32(&slot->database_id) == MyDatabaseId; }

// The slot of this session's database; null when the launcher knows none.  A launcher that starts
// gives slots anew, and begins by looking at the rows.
DatabaseSlot *own_slot() {
    if (shared_state == nullptr)
        return nullptr;
    if (own_slot_found != nullptr && is_own(own_slot_found))
        return own_slot_found;
    own_slot_found = nullptr;
    for (int i = 0; i < shared_state->slot_count && own_slot_found == nullptr; i++)
        if (is_own(&shared_state->slots[i]))
            own_slot_found = &shared_state->slots[i];
    return own_slot_found;
}

} // namespace

const SharedSegment worker_state_segment = {
    .name = "faultline workers", .bytes = shared_bytes, .attach = attach_memory};

Size worker_state_bytes(int slot_count) {
    return add_size(offsetof(WorkerState, slots), mul_size(sizeof(DatabaseSlot), slot_count));
}

void init_worker_state(WorkerState *state, int slot_count, bool told_by_sessions) {
    pg_atomic_init_u32(&state->launcher_pid, 0);
    pg_atomic_init_u32(&state->others_wait, 0);
    pg_atomic_init_u64(&state->refused_since, 0);
    state->told_by_sessions = told_by_sessions;
    state->slot_count = slot_count;
    for (int i = 0; i < slot_count; i++) {
        DatabaseSlot &slot = state->slots[i];
        pg_atomic_init_u32(&slot.database_id, InvalidOid);
        pg_atomic_init_u32(&slot.pass_end, static_cast<uint32>(PassEnd::none));
        pg_atomic_init_u64(&slot.lease_end, static_cast<uint64>(no_time));
        pg_atomic_init_u64(&slot.next_look, static_cast<uint64>(no_time));
        pg_atomic_init_u64(&slot.latch, 0);
        pg_atomic_init_u64(&slot.full_look_at, 0);
        pg_atomic_init_u64(&slot.full_look_microseconds, 0);
    }
}

WorkerState *shared_worker_state() { return shared_state; }

TimestampTz read_time(pg_atomic_uint64 *word) {
    return static_cast<TimestampTz>(pg_atomic_read_u64(word));
}

void write_time(pg_atomic_uint64 *word, TimestampTz time) {
    pg_atomic_write_u64(word, static_cast<uint64>(time));
}

TimestampTz exchange_time(pg_atomic_uint64 *word, TimestampTz time) {
    return static_cast<TimestampTz>(pg_atomic_exchange_u64(word, static_cast<uint64>(time)));
}

void lower_time(pg_atomic_uint64 *word, TimestampTz time) {
    uint64 seen = pg_atomic_read_u64(word);
    while (static_cast<TimestampTz>(seen) > time &&
           !pg_atomic_compare_exchange_u64(word, &seen, static_cast<uint64>(time))) {
    }
}

// It starts when recovery has ended, so on a standby not before its promotion, and comes back
// however it ended.
void describe_launcher(BackgroundWorker *launcher, Oid database) {
    *launcher = {};
    strlcpy(launcher->bgw_name, "faultline launcher", sizeof(launcher->bgw_name));
    strlcpy(launcher->bgw_type, "faultline launcher", sizeof(launcher->bgw_type));
    strlcpy(launcher->bgw_library_name, "faultline", sizeof(launcher->bgw_library_name));
    strlcpy(launcher->bgw_function_name, "faultline_launcher_main",
            sizeof(launcher->bgw_function_name));
    launcher->bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
    launcher->bgw_start_time = BgWorkerStart_RecoveryFinished;
    launcher->bgw_restart_time = launcher_restart_seconds;
    launcher->bgw_main_arg = ObjectIdGetDatum(database);
}

void publish_lease_end(TimestampTz lease_end) {
    DatabaseSlot *slot = own_slot();
    if (slot == nullptr)
        return;
    lower_time(&slot->lease_end, lease_end);
    // Whoever looks writes next_look first and reads lease_end then, so one of us sees the other.
    pg_memory_barrier();
    if (lease_end < read_time(&slot->next_look)) {
        auto *latch = reinterpret_cast<Latch *>(pg_atomic_read_u64(&slot->latch));
        if (latch != nullptr)
            SetLatch(latch);
    }
}

} // namespace faultline
