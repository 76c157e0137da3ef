// apply_and_complete_many(): ends many jobs with the effects they declared, in one call.
//
// Everything that is locked is locked in order, kind by kind: jobs, transactions, accounts; so two
// calls cannot deadlock, also over the same few busy accounts.  Each account's row is written once,
// however many entries move it.  A job whose effect is refused stays as it is; the others go on.
#include "access.hpp"
#include "clock.hpp"
#include "debug_point.hpp"
#include "errors.hpp"
#include "held_job.hpp"
#include "storage/accounts.hpp"
#include "storage/columns.hpp"
#include "transaction.hpp"

namespace faultline {

namespace {

struct Ending {
    bool held; // by this caller, and not refused: the job ends now
    bool declares;
    bool existed;             // its entry was there before
    ItemPointerData position; // of the job's locked row
    ItemPointerData transaction_position;
    int32 attempt;
    Intent intent; // what it declared; lives as long as the call
};

struct Batch {
    ManyJobs jobs;
    Ending *endings; // by position in jobs.items
    const Elements *results;
    LiveJobs live;
    Archive archive;
    MemoryContext memory; // of the call
};

core::Verdict &verdict_of(Batch &batch, int i) {
    return batch.jobs.verdicts[batch.jobs.items[i].input_index];
}

// What to say of a job that this caller does not hold.
core::Verdict verdict_not_held(Batch &batch, const ManyJobs::Item &item) {
    JobTrace trace = trace_job(item.job_id, item.lease_token);
    if (!trace.known)
        return core::Verdict::unknown_job;
    require_access(queue_of_job(trace.queue_id), AccessLevel::worker);
    Ledger &ledger = batch.archive.ledger;
    if (trace.declares_effect && find_transaction_of_job(ledger, item.job_id, trace.generation) &&
        core::transaction_has_entry(found_state(ledger)))
        return core::Verdict::exists;
    return trace.succeeded_with_token ? core::Verdict::already_succeeded
                                      : core::Verdict::stale_lease;
}

core::Verdict hold_job(Batch &batch, int i) {
    const ManyJobs::Item &item = batch.jobs.items[i];
    if (claim_is_hidden(item.lease_token))
        return core::Verdict::same_transaction;
    if (!lock_held_job(batch.live, item.job_id, item.lease_token))
        return verdict_not_held(batch, item);
    TupleTableSlot *row = batch.live.by_id.slot;
    Ending &ending = batch.endings[i];
    ending.held = true;
    ending.declares = declares_effect(row);
    ending.position = row->tts_tid;
    ending.attempt = read_int32(row, live_column::attempt);
    if (!ending.declares)
        return core::Verdict::succeeded;
    require_transaction_of_job(batch.archive.ledger, item.job_id,
                               read_int32(row, live_column::generation));
    ending.transaction_position = batch.archive.ledger.found->tts_tid;
    MemoryContext caller = MemoryContextSwitchTo(batch.memory);
    ending.intent = copy_found_intent(batch.archive.ledger);
    MemoryContextSwitchTo(caller);
    return core::Verdict::applied;
}

core::Verdict repeated(core::Verdict first) {
    switch (first) {
    case core::Verdict::applied:
        return core::Verdict::exists;
    case core::Verdict::succeeded:
        return core::Verdict::already_succeeded;
    default:
        return first;
    }
}

void hold_jobs(Batch &batch) {
    MemoryContext row_memory = create_row_memory();
    for (int i = 0; i < batch.jobs.count; i++) {
        CHECK_FOR_INTERRUPTS();
        if (!repeats_previous(batch.jobs, i))
            verdict_of(batch, i) = in_row_memory(row_memory, [&] { return hold_job(batch, i); });
    }
    MemoryContextDelete(row_memory);
}

int compare_endings(const void *a, const void *b) {
    return compare_bytes((*static_cast<Ending *const *>(a))->intent.transaction_id,
                         (*static_cast<Ending *const *>(b))->intent.transaction_id);
}

// Locks the transactions of the held jobs; one that has its entry is not applied again.
void hold_transactions(Batch &batch) {
    auto **declared = static_cast<Ending **>(palloc(sizeof(Ending *) * (batch.jobs.count + 1)));
    int count = 0;
    for (int i = 0; i < batch.jobs.count; i++)
        if (batch.endings[i].held && batch.endings[i].declares)
            declared[count++] = &batch.endings[i];
    qsort(declared, count, sizeof(Ending *), compare_endings);
    Ledger &ledger = batch.archive.ledger;
    MemoryContext row_memory = create_row_memory();
    for (int i = 0; i < count; i++) {
        CHECK_FOR_INTERRUPTS();
        in_row_memory(row_memory, [&] {
            load_transaction(ledger, &declared[i]->transaction_position);
            lock_transaction(ledger);
            declared[i]->transaction_position = ledger.found->tts_tid;
            declared[i]->existed = core::transaction_has_entry(found_state(ledger));
            // Its verdict is given below, where the state is looked at again.
            declared[i]->held = found_state(ledger) != core::TransactionState::failed;
        });
    }
    MemoryContextDelete(row_memory);
}

HeldAccounts hold_all_accounts(Batch &batch) {
    auto *effects = static_cast<Effect *>(palloc(sizeof(Effect) * (batch.jobs.count + 1)));
    int count = 0;
    for (int i = 0; i < batch.jobs.count; i++) {
        const Ending &ending = batch.endings[i];
        if (ending.held && ending.declares && !ending.existed)
            effects[count++] = ending.intent.effect;
    }
    return hold_accounts(effects, count, batch.archive.now);
}

core::Verdict verdict_of_refusal(Refusal refusal) {
    switch (refusal) {
    case Refusal::insufficient_funds:
        return core::Verdict::insufficient_funds;
    case Refusal::account_closed:
        return core::Verdict::account_closed;
    case Refusal::unknown_account:
        return core::Verdict::unknown_account;
    case Refusal::out_of_range:
    case Refusal::none:
        break;
    }
    return core::Verdict::out_of_range;
}

void finish_held_job(Batch &batch, int i) {
    LiveJobs &live = batch.live;
    if (!table_tuple_fetch_row_version(live.table.relation, &batch.endings[i].position, SnapshotAny,
                                       live.by_id.slot))
        elog(ERROR, "locked job " INT64_FORMAT " has gone", batch.jobs.items[i].job_id);
    int input_index = batch.jobs.items[i].input_index;
    bool no_result = batch.results->values == nullptr || batch.results->nulls[input_index];
    finish_job(live.table, batch.archive, live.by_id.slot,
               {.state = core::JobState::succeeded,
                .result = no_result ? 0 : batch.results->values[input_index],
                .result_is_null = no_result,
                .note = nullptr},
               false);
}

core::Verdict end_job(Batch &batch, HeldAccounts &accounts, int i) {
    Ending &ending = batch.endings[i];
    if (!ending.held)
        return core::Verdict::transaction_failed;
    Ledger &ledger = batch.archive.ledger;
    if (ending.declares && !ending.existed) {
        Movement movement = move_amount(accounts, ending.intent.effect);
        if (movement.refusal != Refusal::none)
            return verdict_of_refusal(movement.refusal);
        load_transaction(ledger, &ending.transaction_position);
        move_transaction(ledger, core::TransactionState::applied, {});
        insert_entry(ledger, ending.intent, ending.attempt);
        debug_point(DebugPoint::apply_after_entry);
    }
    finish_held_job(batch, i);
    if (!ending.declares)
        return core::Verdict::succeeded;
    return ending.existed ? core::Verdict::exists : core::Verdict::applied;
}

// Jobs that were held have the verdict applied or succeeded so far.
void end_jobs(Batch &batch, HeldAccounts &accounts) {
    MemoryContext row_memory = create_row_memory();
    for (int i = 0; i < batch.jobs.count; i++) {
        CHECK_FOR_INTERRUPTS();
        core::Verdict &verdict = verdict_of(batch, i);
        if (repeats_previous(batch.jobs, i))
            verdict = repeated(verdict_of(batch, i - 1));
        else if (verdict == core::Verdict::applied || verdict == core::Verdict::succeeded)
            verdict = in_row_memory(row_memory, [&] { return end_job(batch, accounts, i); });
    }
    MemoryContextDelete(row_memory);
}

} // namespace

} // namespace faultline

FAULTLINE_FUNCTION(faultline_apply_and_complete_many) {
    using namespace faultline;
    Batch batch = {};
    batch.jobs = read_many_jobs(fcinfo, 0, 1);
    Elements results = read_results(fcinfo, 2, batch.jobs);
    batch.results = &results;
    batch.memory = CurrentMemoryContext;
    batch.endings = static_cast<Ending *>(palloc0(sizeof(Ending) * (batch.jobs.count + 1)));
    begin_verb("faultline.apply_and_complete_many()");
    batch.archive = open_archive(clock_now());
    batch.live = open_live_jobs();
    hold_jobs(batch);
    hold_transactions(batch);
    HeldAccounts accounts = hold_all_accounts(batch);
    end_jobs(batch, accounts);
    store_accounts(accounts);
    close_live_jobs(batch.live);
    close_archive(batch.archive);
    end_verb();
    return_verdicts(fcinfo, batch.jobs);
    return static_cast<Datum>(0);
}
