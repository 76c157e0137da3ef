// Owns the rows of job_events: append-only, each with a number of its own, so that no two
// transactions ever wait for each other here.
#include "events.hpp"

#include "../clock.hpp"
#include "../row_memory.hpp"
#include "columns.hpp"
#include "relations.hpp"

namespace faultline {

namespace {

constexpr ColumnPair event_from_live[] = {
    {event_column::job_id, live_column::job_id},
    {event_column::lease_token, live_column::lease_token},
    {event_column::queue_id, live_column::queue_id},
    {event_column::attempt, live_column::attempt},
    {event_column::generation, live_column::generation},
};

Datum state_datum(core::JobState state) { return CharGetDatum(static_cast<char>(state)); }

void insert_event(TupleTableSlot *live_row, std::optional<core::JobState> from, core::JobState to) {
    Table events = open_table(relation_ids().job_events);
    RowWriter writer(events.write_slot);
    copy_columns(writer, live_row, event_from_live);
    writer.set(event_column::event_id,
               Int64GetDatum(nextval_internal(relation_ids().event_id_seq, false)));
    writer.set(event_column::at, TimestampTzGetDatum(clock_now()));
    if (from.has_value())
        writer.set(event_column::from_state, state_datum(*from));
    writer.set(event_column::to_state, state_datum(to));
    insert_row(events, writer.finish());
    close_table(events);
}

} // namespace

// What opening the table allocates is not the caller's, who may be in a loop over many jobs.
void record_event(TupleTableSlot *live_row, std::optional<core::JobState> from, core::JobState to) {
    MemoryContext event_memory = create_row_memory();
    MemoryContext caller = MemoryContextSwitchTo(event_memory);
    insert_event(live_row, from, to);
    MemoryContextSwitchTo(caller);
    MemoryContextDelete(event_memory);
}

} // namespace faultline
