// The fast path of claim(): takes hints from the ready window of the queue and checks the row of
// each, under its lock, before anything is decided.
#include "claim_row.hpp"

#include "debug_point.hpp"
#include "row_memory.hpp"
#include "settings.hpp"
#include "storage/columns.hpp"
#include "window/hint_of_row.hpp"
#include "window/pending.hpp"
#include "window/refill.hpp"

namespace faultline {

namespace {

constexpr uint32 hints_taken_at_once = 128;
// Rows of others that one claim passes before the plain path searches on.
constexpr int held_rows_passed_max = 128;
// The background worker looks more often; this is for servers without it.
constexpr int64 look_rest_microseconds = 30 * core::microseconds_per_second;

struct WindowClaim {
    Claim &claim;
    const QueuePolicy &policy;
    Table &live_jobs;
    QueueRows rows;
    WindowSlot *window;
    Datum queue_name;
    MemoryContext row_memory;
    TupleTableSlot *row;
    BlockNumber blocks; // as the table was when last asked
    // Where the transaction remembers hints that go back when the call ends: so it meets them once.
    struct Held {
        int position;
        bool due;
    } held[held_rows_passed_max];
    int held_count;
};

// A hint may point behind the end of a table that vacuum has cut off.
bool is_inside_table(WindowClaim &by_window, const core::ReadyHint &hint) {
    if (hint.block < by_window.blocks)
        return true;
    by_window.blocks = RelationGetNumberOfBlocks(by_window.live_jobs.relation);
    return hint.block < by_window.blocks;
}

// Whether it is the row that the hint speaks of.  Another version of it may have its place.
bool is_hinted_row(TupleTableSlot *row, const QueueRows &rows, const core::ReadyHint &hint) {
    return live_state(row) == core::JobState::queued &&
           read_int32(row, live_column::queue_id) == rows.queue_id &&
           core::place_in_turn(hint_of_row(row)) == core::place_in_turn(hint);
}

// Loads the row version that the hint names, as it is now; `claimed` if nothing stands in the way
// of that.
RowClaim load_hinted_row(WindowClaim &by_window, const core::ReadyHint &hint) {
    if (!is_inside_table(by_window, hint))
        return RowClaim::gone;
    SnapshotData newest;
    InitDirtySnapshot(newest);
    ItemPointerData tid;
    ItemPointerSet(&tid, hint.block, hint.offset);
    TupleTableSlot *row = by_window.row;
    if (!table_tuple_fetch_row_version(by_window.live_jobs.relation, &tid, &newest, row) ||
        !is_hinted_row(row, by_window.rows, hint))
        return RowClaim::gone;
    // Somebody is about to insert, change or remove it, and may yet roll back.
    if (TransactionIdIsValid(newest.xmin) || TransactionIdIsValid(newest.xmax))
        return RowClaim::held;
    return RowClaim::claimed;
}

// `position` is where the transaction remembers the hint.
void claim_hint(WindowClaim &by_window, const core::ReadyHint &hint, int position) {
    Claim &claim = by_window.claim;
    bool due = hint.next_run_at <= claim.now; // unless the clock was set back
    RowClaim outcome = load_hinted_row(by_window, hint);
    if (outcome == RowClaim::claimed)
        outcome = due ? claim_row(claim, by_window.policy, by_window.queue_name,
                                  by_window.live_jobs, by_window.row)
                      : RowClaim::held;
    // One that is gone remains remembered: this very transaction may have changed its row.
    if (outcome == RowClaim::held)
        by_window.held[by_window.held_count++] = {position, due};
}

void give_back_held(WindowClaim &by_window) {
    for (int i = 0; i < by_window.held_count; i++)
        give_back_taken(by_window.held[i].position, by_window.held[i].due);
}

// Takes hints and claims their rows.  False when that is not possible any more.
bool claim_some(WindowClaim &by_window, TakenHints *taken) {
    Claim &claim = by_window.claim;
    core::ReadyHint hints[hints_taken_at_once];
    auto missing = static_cast<uint32>(claim.jobs_max - claim.jobs_claimed);
    auto held_room = static_cast<uint32>(held_rows_passed_max - by_window.held_count);
    int first;
    if (held_room == 0 ||
        !take_and_remember(by_window.window, by_window.rows, claim.now, hints,
                           Min(Min(missing, held_room), hints_taken_at_once), taken, &first))
        return false;
    debug_point(DebugPoint::claim_after_taking);
    for (uint32 i = 0; i < taken->count; i++) {
        CHECK_FOR_INTERRUPTS();
        in_row_memory(by_window.row_memory,
                      [&] { claim_hint(by_window, hints[i], first + static_cast<int>(i)); });
    }
    return true;
}

// True when enough was claimed, or all that was due and free.
bool claim_all(WindowClaim &by_window) {
    Claim &claim = by_window.claim;
    Relation live_jobs = by_window.live_jobs.relation;
    for (;;) {
        CHECK_FOR_INTERRUPTS();
        TakenHints taken = {};
        if (!claim_some(by_window, &taken))
            return false;
        bool enough = claim.jobs_claimed >= claim.jobs_max;
        bool refilled = taken.refill_wanted &&
                        refill_window(by_window.window, by_window.rows, live_jobs, claim.now);
        if (enough || (taken.count == 0 && taken.complete))
            return true;
        // Another session refills: what is beyond must be searched for.
        if (taken.count == 0 && !refilled)
            return false;
    }
}

// Jobs that nobody could tell of, and leases that have ended, are found by looking at the rows.
void look_around(WindowClaim &by_window) {
    look_at_window(
        by_window.window, by_window.rows, by_window.live_jobs.relation, by_window.claim.now,
        [](TupleTableSlot *row, void *claim) {
            note_expired_lease(*static_cast<Claim *>(claim), row);
        },
        &by_window.claim);
}

} // namespace

bool claim_by_window(Claim &claim, const QueuePolicy &policy, Table &live_jobs) {
    // An old snapshot must not be answered from rows that it cannot see.
    if (!settings::fast_path || IsolationUsesXactSnapshot() || has_waiting_jobs(policy.queue_id))
        return false;
    QueueRows rows = {policy.queue_id, file_number(live_jobs.relation)};
    WindowSlot *window = window_for_claims(rows);
    if (window == nullptr)
        return false;
    WindowClaim by_window = {.claim = claim,
                             .policy = policy,
                             .live_jobs = live_jobs,
                             .rows = rows,
                             .window = window,
                             .queue_name = CStringGetTextDatum(policy.name),
                             .row_memory = create_row_memory(),
                             .row = table_slot_create(live_jobs.relation, nullptr),
                             .blocks = 0,
                             .held = {},
                             .held_count = 0};
    if (look_is_due(window, rows, claim.now, look_rest_microseconds))
        look_around(by_window);
    int claimed_before = claim.jobs_claimed;
    bool all = claim_all(by_window);
    if (claim.jobs_claimed > claimed_before)
        note_lease_end(window, rows, claim.lease_end);
    give_back_held(by_window);
    ExecDropSingleTupleTableSlot(by_window.row);
    MemoryContextDelete(by_window.row_memory);
    return all;
}

} // namespace faultline
