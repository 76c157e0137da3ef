// Owns the schedule of the duties of a database while its worker is there.  Several failures in a
// row make a duty wait longer and longer; the others never notice.
#include "duties.hpp"

#include "clock.hpp"
#include "expire.hpp"
#include "settings.hpp"

#include "../core/duties.hpp"
#include "../core/limits.hpp"

namespace faultline {

namespace {

// Looking, when there is nothing to do, takes at most this share of the time.
constexpr int64 rest_factor = 20;
// How often it is written down that all is well and nothing was done.
constexpr int64 quiet_write_microseconds = 30 * core::microseconds_per_second;
// After it could not be written down, for instance because the disk is full.
constexpr int64 write_retry_microseconds = 10 * core::microseconds_per_second;
// No duty is so urgent; expiry has the sessions' hints.
constexpr int64 every_microseconds_min = 100 * core::microseconds_per_millisecond;
constexpr int book_keeping_milliseconds_max = 10'000;

TimestampTz due_at(const Duties &duties, const Duty &duty) {
    TimestampTz due = duty.next_at;
    if (duty.expires_leases && duties.told_by_sessions)
        due = Min(due, read_time(&duties.slot->lease_end));
    return Max(due, duty.retry_at);
}

void read_duty(Duties &duties, HeapTuple row, TupleDesc columns) {
    if (duties.count == Duties::count_max)
        return;
    Duty &duty = duties.list[duties.count++];
    duty = {};
    bool is_null;
    char *name = TextDatumGetCString(SPI_getbinval(row, columns, 1, &is_null));
    strlcpy(duty.name, name, sizeof(duty.name));
    duty.every_microseconds =
        Max(DatumGetInt64(SPI_getbinval(row, columns, 2, &is_null)), every_microseconds_min);
    duty.failures_in_row = DatumGetInt32(SPI_getbinval(row, columns, 3, &is_null));
    duty.expires_leases = strcmp(duty.name, "expire_leases") == 0;
    int64 age = DatumGetInt64(SPI_getbinval(row, columns, 4, &is_null));
    // What a worker before us did needs not be done again at once; whose leases end we cannot know.
    if (!is_null && age >= 0 && !duty.expires_leases)
        duty.next_at = waiting_clock() + duty.every_microseconds - age;
}

// A worker that comes back does not hurry what has failed.  Expiry may have failed for a single
// job, which must not delay the others.
void continue_back_off(Duty &duty, TimestampTz now) {
    if (duty.failures_in_row > 0 && !duty.expires_leases)
        duty.retry_at = now + core::duty_back_off_milliseconds(duty.failures_in_row) / 2 *
                                  core::microseconds_per_millisecond;
}

void judge_ledger_at_once() {
    int result = SPI_execute("SET CONSTRAINTS faultline.entry_agrees IMMEDIATE", false, 0);
    if (result != SPI_OK_UTILITY)
        ereport(ERROR, errcode(ERRCODE_INTERNAL_ERROR),
                errmsg("could not set the ledger's constraint to immediate: %s",
                       SPI_result_code_string(result)));
}

int64 run_duty_now(Duty &duty, int rows) {
    static const Oid types[] = {TEXTOID, INT4OID};
    Datum values[] = {CStringGetTextDatum(duty.name), Int32GetDatum(rows)};
    duty.started_at = clock_now();
    // A deferred trigger may not fire in a restricted operation; this one of ours can fire at once.
    judge_ledger_at_once();
    run_statement("SELECT faultline.run_duty($1, $2)", lengthof(types), types, values,
                  rows > 0 ? nullptr : " n");
    bool is_null;
    int64 done =
        DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &is_null));
    duty.succeeded_at = clock_now();
    return is_null ? 0 : done;
}

void note_failure(Duties &duties, Duty &duty, const char *error) {
    duty.failures++;
    duties.outcome_changed = true;
    duty.failures_in_row = Min(duty.failures_in_row + 1, PG_INT32_MAX - 1);
    strlcpy(duty.error, error, sizeof(duty.error));
}

void note_success(Duties &duties, Duty &duty) {
    duties.outcome_changed = duties.outcome_changed || duty.failures_in_row > 0;
    duty.failures_in_row = 0;
    duty.retry_at = 0;
}

TimestampTz back_off_end(const Duty &duty, TimestampTz now) {
    return now + core::duty_back_off_milliseconds(duty.failures_in_row) *
                     core::microseconds_per_millisecond;
}

// When to look for expired leases again, after a look that the sessions' hints of the time before
// have been taken for.
void plan_expiry(Duties &duties, Duty &duty, TimestampTz now) {
    const ExpiryFindings &found = last_expiry_findings();
    TimestampTz next = now + duty.every_microseconds;
    if (!duties.told_by_sessions)
        next = Min(next, now + settings::naptime_microseconds());
    if (found.some_refused) {
        // The others' leases go on; these rows are tried again with the back-off of a failure.
        note_failure(duties, duty, found.refused_error);
        next = Min(next, back_off_end(duty, now));
    } else {
        note_success(duties, duty);
    }
    if (found.full_look_wanted_at != 0)
        next = Min(next, found.full_look_wanted_at);
    if (found.some_held)
        next = Min(next, now + settings::naptime_microseconds());
    if (!found.complete)
        next = now;
    duty.next_at = next;
    if (found.complete) {
        lower_time(&duties.slot->lease_end, found.next_end);
        duty.retry_at = now + found.look_microseconds * rest_factor;
    }
}

void plan_duty(Duties &duties, Duty &duty, int64 done, int rows, TimestampTz started) {
    TimestampTz now = waiting_clock();
    duty.done += done;
    duties.something_done = duties.something_done || done > 0;
    if (duty.expires_leases) {
        plan_expiry(duties, duty, now);
        return;
    }
    note_success(duties, duty);
    if (rows > 0 && done >= rows)
        duty.next_at = now;
    else
        duty.next_at = now + Max(duty.every_microseconds, (now - started) * rest_factor);
}

int batch_rows(const Duty &duty, const settings::DutyLimits &limits) {
    return duty.rows == 0 ? limits.rows : Min(duty.rows, limits.rows);
}

// A batch that was too large for its time is tried again, smaller, as soon as others have had as
// much.
void plan_after_failure(Duty &duty, const Attempt &attempt, int rows, TimestampTz started) {
    TimestampTz now = waiting_clock();
    bool smaller = attempt.cut_off && rows > 1;
    duty.retry_at = smaller ? now + (now - started) : back_off_end(duty, now);
    duty.next_at = duty.retry_at;
}

void run_one(Duties &duties, Duty &duty) {
    TimestampTz started = waiting_clock();
    settings::DutyLimits limits = settings::limits_of_duty(duty.name);
    int rows = batch_rows(duty, limits);
    char activity[NAMEDATALEN + 32];
    snprintf(activity, sizeof(activity), "faultline duty: %s", duty.name);
    Attempt attempt = {.activity = activity,
                       .milliseconds_max = limits.milliseconds,
                       .cancelled_by_stop = false,
                       .cut_off = false,
                       .error = ""};
    // Before the snapshot is taken: what commits from here on is told again.
    if (duty.expires_leases)
        exchange_time(&duties.slot->lease_end, no_time);
    // Changed under an error's jump.
    volatile int64 done = 0;
    bool succeeded = run_attempt(attempt, [&] { done = run_duty_now(duty, rows); });
    if (attempt.cancelled_by_stop)
        return;
    duty.runs++;
    if (limits.rows > 0)
        duty.rows = core::next_duty_rows(
            rows, limits.rows, succeeded,
            (waiting_clock() - started) / core::microseconds_per_millisecond, limits.milliseconds);
    if (succeeded) {
        plan_duty(duties, duty, done, rows, started);
        return;
    }
    note_failure(duties, duty, attempt.error);
    duty.succeeded_at = 0;
    plan_after_failure(duty, attempt, rows, started);
}

// False when somebody else writes the same row.
bool write_duty(const Duty &duty) {
    static const Oid types[] = {TEXTOID, TIMESTAMPTZOID, TIMESTAMPTZOID, INT8OID, INT8OID,
                                INT8OID, INT4OID,        TEXTOID,        INT8OID};
    bool failing = duty.failures_in_row > 0;
    Datum values[] = {
        CStringGetTextDatum(duty.name),
        TimestampTzGetDatum(duty.started_at),
        TimestampTzGetDatum(duty.succeeded_at),
        Int64GetDatum(duty.runs),
        Int64GetDatum(duty.done),
        Int64GetDatum(duty.failures),
        Int32GetDatum(duty.failures_in_row),
        CStringGetTextDatum(duty.error),
        Int64GetDatum(failing ? core::duty_back_off_milliseconds(duty.failures_in_row) : 0)};
    char nulls[lengthof(types) + 1] = "         ";
    if (duty.started_at == 0)
        nulls[1] = 'n';
    if (duty.succeeded_at == 0)
        nulls[2] = 'n';
    if (!failing)
        nulls[7] = nulls[8] = 'n';
    run_statement("SELECT faultline.record_duty($1, $2, $3, $4, $5, $6, $7, $8, "
                  "$9 * interval '1 ms')",
                  lengthof(types), types, values, nulls);
    bool is_null;
    return DatumGetBool(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &is_null));
}

void forget_written(Duty &duty) {
    duty.runs = duty.done = duty.failures = 0;
    duty.started_at = duty.succeeded_at = 0;
    duty.written = false;
}

bool is_time_to_write(const Duties &duties, bool leaving, TimestampTz now) {
    bool any_runs = false;
    bool any_done = false;
    for (int i = 0; i < duties.count; i++) {
        any_runs = any_runs || duties.list[i].runs > 0;
        any_done = any_done || duties.list[i].done > 0;
    }
    if (!any_runs || now < duties.write_not_before)
        return false;
    if (leaving || duties.outcome_changed)
        return true;
    return now - duties.written_at >=
           (any_done ? settings::naptime_microseconds() : quiet_write_microseconds);
}

} // namespace

bool load_duties(Duties &duties) {
    Attempt attempt = {.activity = "faultline: reading the duties",
                       .milliseconds_max = book_keeping_milliseconds_max,
                       .cancelled_by_stop = false,
                       .cut_off = false,
                       .error = ""};
    return run_attempt(attempt, [&] {
        run_statement("SELECT d.duty, (extract(epoch FROM d.every) * 1000000)::bigint, "
                      "coalesce(s.failures_in_row, 0), "
                      "(extract(epoch FROM faultline.clock_now() - s.last_succeeded_at) "
                      "* 1000000)::bigint FROM faultline.duties() WITH ORDINALITY "
                      "AS d (duty, every, position) LEFT JOIN faultline.duty_statistics s "
                      "USING (duty) ORDER BY d.position",
                      0, nullptr, nullptr, nullptr);
        duties.count = 0;
        TimestampTz now = waiting_clock();
        for (uint64 i = 0; i < SPI_processed; i++)
            read_duty(duties, SPI_tuptable->vals[i], SPI_tuptable->tupdesc);
        for (int i = 0; i < duties.count; i++)
            continue_back_off(duties.list[i], now);
    });
}

bool run_due_duties(Duties &duties) {
    for (int i = 0; i < duties.count && !stop_requested; i++)
        if (due_at(duties, duties.list[i]) <= waiting_clock())
            run_one(duties, duties.list[i]);
    return !stop_requested;
}

TimestampTz next_due(const Duties &duties) {
    TimestampTz next = no_time;
    for (int i = 0; i < duties.count; i++)
        next = Min(next, due_at(duties, duties.list[i]));
    return next;
}

void write_down(Duties &duties, bool leaving) {
    TimestampTz now = waiting_clock();
    if (!is_time_to_write(duties, leaving, now))
        return;
    Attempt attempt = {.activity = "faultline: writing down how the duties went",
                       .milliseconds_max = book_keeping_milliseconds_max,
                       .cancelled_by_stop = false,
                       .cut_off = false,
                       .error = ""};
    bool committed = run_attempt(attempt, [&] {
        for (int i = 0; i < duties.count; i++)
            if (duties.list[i].runs > 0)
                duties.list[i].written = write_duty(duties.list[i]);
    });
    duties.written_at = now;
    duties.outcome_changed = false;
    for (int i = 0; i < duties.count; i++) {
        if (committed && duties.list[i].written)
            forget_written(duties.list[i]);
        else
            duties.outcome_changed = duties.outcome_changed || duties.list[i].runs > 0;
    }
    if (duties.outcome_changed)
        duties.write_not_before = now + write_retry_microseconds;
}

} // namespace faultline
