// Entry of the library: what happens when PostgreSQL loads it, preloaded or on first call.
#include "pg.hpp"

#include "instance.hpp"
#include "policy.hpp"
#include "settings.hpp"
#include "shared_memory.hpp"
#include "stats/counting.hpp"
#include "storage/relations.hpp"
#include "transaction.hpp"
#include "waiters/arrivals.hpp"
#include "worker_state.hpp"

extern "C" {
PG_MODULE_MAGIC;
PGDLLEXPORT void _PG_init(void);
}

extern "C" void _PG_init(void) {
    faultline::settings::define();
    faultline::register_relation_callbacks();
    faultline::register_policy_callbacks();
    faultline::register_instance_callbacks();
    faultline::register_statistics_callbacks();
    faultline::register_transaction_callbacks();
    faultline::register_arrival_callbacks();
    // pg_upgrade wants a server that changes nothing by itself.
    if (process_shared_preload_libraries_in_progress && !IsBinaryUpgrade) {
        faultline::request_shared_memory();
        BackgroundWorker launcher;
        faultline::describe_launcher(&launcher, InvalidOid);
        RegisterBackgroundWorker(&launcher);
    }
}
