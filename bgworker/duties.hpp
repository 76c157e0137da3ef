// The duties of one database: when each is due, how it went, and writing that down.
#pragma once

#include "attempt.hpp"

#include "worker_state.hpp"

namespace faultline {

struct Duty {
    char name[NAMEDATALEN];
    int64 every_microseconds;
    bool expires_leases;
    int rows;             // of the next batch; 0: as many as are configured
    TimestampTz next_at;  // on the waiting clock, unless it is failing
    TimestampTz retry_at; // on the waiting clock, while it is failing
    int failures_in_row;
    char error[attempt_error_bytes_max]; // of the last failure
    // What is not written down yet.
    int64 runs;
    int64 done;
    int64 failures;
    TimestampTz started_at;   // on the clock of the database; 0: not since it was written down
    TimestampTz succeeded_at; // the same
    bool written;             // in a transaction that may still fail
};

struct Duties {
    static constexpr int count_max = 32;
    DatabaseSlot *slot;
    bool told_by_sessions; // the slot knows when the next lease ends
    int count;
    Duty list[count_max];
    bool outcome_changed;   // a duty began or ceased to fail
    bool something_done;    // since the worker came
    TimestampTz written_at; // on the waiting clock
    TimestampTz write_not_before;
};

// Reads which duties there are; false when that failed.
bool load_duties(Duties &duties);
// Does what is due, each duty in a transaction of its own.  False when the worker is to stop.
bool run_due_duties(Duties &duties);
// When the next one is due.
TimestampTz next_due(const Duties &duties);
// Writes down how they went, if it is time to; `leaving`: all that is known.
void write_down(Duties &duties, bool leaving);

} // namespace faultline
