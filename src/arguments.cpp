// Owns the checks of arguments and their messages.
#include "arguments.hpp"

#include "../core/queue_name.hpp"

namespace faultline {

namespace {

std::string_view text_view(const text *value) {
    return {VARDATA_ANY(value), static_cast<size_t>(VARSIZE_ANY_EXHDR(value))};
}

[[noreturn]] void raise_null(const char *name) {
    ereport(ERROR, errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("%s must not be null", name),
            errdetail("A null stands for \"the default\" only where there is one."),
            errhint("Pass a value for %s.", name));
}

const char *describe_microseconds(int64 microseconds) {
    Interval interval = {};
    interval.time = microseconds;
    return DatumGetCString(DirectFunctionCall1(interval_out, IntervalPGetDatum(&interval)));
}

} // namespace

const text *required_text(FunctionCallInfo fcinfo, int index, const char *name) {
    if (PG_ARGISNULL(index))
        raise_null(name);
    return PG_GETARG_TEXT_PP(index);
}

const text *optional_text(FunctionCallInfo fcinfo, int index, const char *name, int bytes_max) {
    if (PG_ARGISNULL(index))
        return nullptr;
    const text *value = PG_GETARG_TEXT_PP(index);
    check_text_length(value, name, bytes_max);
    return value;
}

Datum required_datum(FunctionCallInfo fcinfo, int index, const char *name) {
    if (PG_ARGISNULL(index))
        raise_null(name);
    return PG_GETARG_DATUM(index);
}

int64 required_int64(FunctionCallInfo fcinfo, int index, const char *name) {
    return DatumGetInt64(required_datum(fcinfo, index, name));
}

int32 bounded_int32(FunctionCallInfo fcinfo, int index, const char *name, int32 fallback,
                    int32 minimum, int32 maximum) {
    if (PG_ARGISNULL(index))
        return fallback;
    int32 value = PG_GETARG_INT32(index);
    if (value < minimum || value > maximum)
        ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("%s is out of range", name),
                errdetail("%s is %d.", name, value),
                errhint("Use a value from %d to %d.", minimum, maximum));
    return value;
}

void check_queue_name(const text *name) {
    if (core::queue_name_valid(text_view(name)))
        return;
    ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("invalid queue name"),
            errdetail("The name has %d bytes, or characters other than A-Z a-z 0-9 _ . : -",
                      static_cast<int>(VARSIZE_ANY_EXHDR(name))),
            errhint("Use 1 to %d of these characters.", core::queue_name_bytes_max));
}

void check_text_length(const text *value, const char *name, int bytes_max) {
    auto bytes = static_cast<int>(VARSIZE_ANY_EXHDR(value));
    if (bytes >= 1 && bytes <= bytes_max)
        return;
    ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
            errmsg("%s has an invalid length", name), errdetail("%s has %d bytes.", name, bytes),
            errhint("Use 1 to %d bytes.", bytes_max));
}

bool interval_to_microseconds(const Interval *interval, int64 *microseconds) {
    int64 days = static_cast<int64>(interval->month) * DAYS_PER_MONTH + interval->day;
    int64 from_days;
    return !pg_mul_s64_overflow(days, core::microseconds_per_day, &from_days) &&
           !pg_add_s64_overflow(from_days, interval->time, microseconds);
}

int64 checked_interval(const Interval *interval, const char *name, int64 minimum, int64 maximum) {
    int64 microseconds = 0;
    if (interval_to_microseconds(interval, &microseconds) && microseconds >= minimum &&
        microseconds <= maximum)
        return microseconds;
    ereport(
        ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("%s is out of range", name),
        errdetail("%s is %s.", name,
                  DatumGetCString(DirectFunctionCall1(interval_out, IntervalPGetDatum(interval)))),
        errhint("Use an interval from %s to %s.", describe_microseconds(minimum),
                describe_microseconds(maximum)));
}

int64 bounded_interval(FunctionCallInfo fcinfo, int index, const char *name, int64 fallback,
                       int64 minimum, int64 maximum) {
    if (PG_ARGISNULL(index))
        return fallback;
    return checked_interval(PG_GETARG_INTERVAL_P(index), name, minimum, maximum);
}

TimestampTz add_microseconds(TimestampTz now, int64 microseconds) {
    TimestampTz sum;
    if (pg_add_s64_overflow(now, microseconds, &sum) || !IS_VALID_TIMESTAMP(sum))
        ereport(ERROR, errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
                errmsg("timestamp out of range"),
                errdetail("The present time plus the interval lies beyond the last timestamp."),
                errhint("Use a shorter interval."));
    return sum;
}

TimestampTz run_time(FunctionCallInfo fcinfo, int run_at_index, int delay_index, TimestampTz now) {
    if (!PG_ARGISNULL(run_at_index) && !PG_ARGISNULL(delay_index))
        ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                errmsg("run_at and delay cannot be given together"),
                errdetail("Both say when the job may run."), errhint("Leave one of them out."));
    if (!PG_ARGISNULL(run_at_index)) {
        TimestampTz run_at = PG_GETARG_TIMESTAMPTZ(run_at_index);
        int64 ahead;
        if (TIMESTAMP_NOT_FINITE(run_at) ||
            (run_at > now &&
             (pg_sub_s64_overflow(run_at, now, &ahead) || ahead > core::delay_microseconds_max)))
            ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                    errmsg("run_at is out of range"),
                    errdetail("run_at is %s.", timestamptz_to_str(run_at)),
                    errhint("Use a finite time at most ten years ahead."));
        return run_at;
    }
    return add_microseconds(
        now, bounded_interval(fcinfo, delay_index, "delay", 0, 0, core::delay_microseconds_max));
}

Elements required_array(FunctionCallInfo fcinfo, int index, const char *name, Oid element_type,
                        bool allow_null_elements) {
    ArrayType *array = DatumGetArrayTypeP(required_datum(fcinfo, index, name));
    if (ARR_NDIM(array) > 1)
        ereport(ERROR, errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
                errmsg("%s must be a one-dimensional array", name),
                errdetail("It has %d dimensions.", ARR_NDIM(array)),
                errhint("Pass one element for each job."));
    int16 length;
    bool by_value;
    char alignment;
    get_typlenbyvalalign(element_type, &length, &by_value, &alignment);
    Elements elements;
    deconstruct_array(array, element_type, length, by_value, alignment, &elements.values,
                      &elements.nulls, &elements.count);
    if (elements.count > core::batch_jobs_max)
        ereport(ERROR, errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
                errmsg("%s has too many elements", name),
                errdetail("It has %d elements.", elements.count),
                errhint("Pass at most %d elements in one call.", core::batch_jobs_max));
    for (int i = 0; i < elements.count && !allow_null_elements; i++)
        if (elements.nulls[i])
            ereport(ERROR, errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
                    errmsg("%s must not contain nulls", name),
                    errdetail("Element %d is null.", i + 1),
                    errhint("Pass one value for each job."));
    return elements;
}

int64 *sorted_ids(const Elements &ids) {
    auto *sorted = static_cast<int64 *>(palloc(sizeof(int64) * (ids.count + 1)));
    for (int i = 0; i < ids.count; i++)
        sorted[i] = DatumGetInt64(ids.values[i]);
    qsort(sorted, ids.count, sizeof(int64), [](const void *a, const void *b) {
        int64 left = *static_cast<const int64 *>(a);
        int64 right = *static_cast<const int64 *>(b);
        return left < right ? -1 : left > right;
    });
    return sorted;
}

void check_same_length(const Elements &first, const char *first_name, const Elements &second,
                       const char *second_name) {
    if (first.count != second.count)
        ereport(ERROR, errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
                errmsg("%s and %s must have the same length", first_name, second_name),
                errdetail("%s has %d elements, %s has %d.", first_name, first.count, second_name,
                          second.count),
                errhint("Pass one element of each for each job."));
}

} // namespace faultline
