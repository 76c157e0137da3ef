// A transaction of the worker, done as the owner of the extension; an error ends the transaction
// and nothing else.
#pragma once

#include "pg.hpp"

namespace faultline {

inline constexpr int attempt_error_bytes_max = 1024;

struct Attempt {
    const char *activity;                // as pg_stat_activity shows it
    int milliseconds_max;                // then it is cancelled
    bool cancelled_by_stop;              // out: the worker was asked to leave
    bool cut_off;                        // out: its time was over, or somebody cancelled it
    char error[attempt_error_bytes_max]; // out: why it failed
};

// Connected to SPI, under a snapshot.  Not to be called but by attempt().
void begin_attempt(const Attempt &attempt);
void commit_attempt();
void abandon_attempt(Attempt &attempt);

// Runs act() and commits; false, with the error in the log, when that failed.
template <typename Act> bool run_attempt(Attempt &attempt, Act act) {
    MemoryContext caller_memory = CurrentMemoryContext;
    volatile bool done = false;
    PG_TRY();
    {
        begin_attempt(attempt);
        act();
        commit_attempt();
        done = true;
    }
    PG_CATCH();
    {
        MemoryContextSwitchTo(caller_memory);
        abandon_attempt(attempt);
    }
    PG_END_TRY();
    MemoryContextSwitchTo(caller_memory);
    return done;
}

// Runs a statement with these parameters; a null pointer to text stands for null.
void run_statement(const char *statement, int count, const Oid *types, Datum *values,
                   const char *nulls);

// Set by SIGTERM: the worker cancels what it does, and leaves.
extern volatile sig_atomic_t stop_requested;
void handle_stop_request(SIGNAL_ARGS);

} // namespace faultline
