// apply_ledger() and apply_and_complete(): the effect of a job, at most once, for ever.
//
// An id that has its entry is answered "exists" to everybody, lease or no lease, so that the answer
// never depends on timing.  Otherwise the entry is written under the job's row lock by the holder
// of the current lease, together with the transaction's new state.  Three layers keep a second
// entry out: the transaction's state and the unique indexes of ledger_entries each keep out every
// call, the lease every call but a repeated one of its holder.
#include "clock.hpp"
#include "debug_point.hpp"
#include "errors.hpp"
#include "held_job.hpp"
#include "intent.hpp"
#include "posting.hpp"
#include "result.hpp"
#include "storage/columns.hpp"
#include "transaction.hpp"

namespace faultline {

namespace {

struct Application {
    int64 job_id;
    int64 lease_token;
    Intent asked; // null fields: as declared
    bool complete;
    Datum result;
    bool result_is_null;
};

struct Applied {
    bool existed;
    Entry entry;
};

enum : int {
    job_id_argument,
    lease_token_argument,
    transaction_id_argument,
    debit_argument,
    credit_argument,
    amount_argument,
    asset_argument,
    metadata_argument,
    result_argument,
};

Application read_application(FunctionCallInfo fcinfo) {
    Application application = {};
    application.job_id = required_int64(fcinfo, job_id_argument, "job_id");
    application.lease_token = required_int64(fcinfo, lease_token_argument, "lease_token");
    Intent &asked = application.asked;
    asked.job_id = application.job_id;
    asked.transaction_id = optional_text(fcinfo, transaction_id_argument, "transaction_id",
                                         core::derived_transaction_id_bytes_max);
    asked.effect.debit = optional_text(fcinfo, debit_argument, "debit", core::account_bytes_max);
    asked.effect.credit = optional_text(fcinfo, credit_argument, "credit", core::account_bytes_max);
    asked.effect.asset = optional_text(fcinfo, asset_argument, "asset", core::asset_bytes_max);
    if (!PG_ARGISNULL(amount_argument)) {
        asked.effect.amount = PG_GETARG_INT64(amount_argument);
        check_amount(asked.effect.amount);
    }
    if (!PG_ARGISNULL(metadata_argument)) {
        check_metadata_size(toast_raw_datum_size(PG_GETARG_DATUM(metadata_argument)));
        asked.metadata = PG_GETARG_JSONB_P(metadata_argument);
    }
    return application;
}

// True when the transaction in ledger.found says what is asked for and has its entry.
bool answer_exists(Ledger &ledger, const Application &application, Applied *applied) {
    Intent stored = found_intent(ledger);
    require_same_content(stored, application.asked);
    if (!core::transaction_has_entry(found_state(ledger)) ||
        debug_point_skips(DebugPoint::layer_state))
        return false;
    *applied = {.existed = true, .entry = find_entry(stored.transaction_id)};
    return true;
}

// The transaction that is meant, the one named or the one declared, has its entry.
bool exists_already(Ledger &ledger, const Application &application, int32 generation,
                    Applied *applied) {
    const text *id = application.asked.transaction_id;
    bool found = id != nullptr ? find_transaction(ledger, id)
                               : find_transaction_of_job(ledger, application.job_id, generation);
    return found && answer_exists(ledger, application, applied);
}

[[noreturn]] void raise_other_transaction(int64 job_id, const char *has, const text *asked) {
    ereport(ERROR, errcode_jq(core::sqlstate_ledger_conflict),
            errmsg("job " INT64_FORMAT " has another ledger transaction", job_id),
            errdetail("%s, given was \"%s\".", has, text_to_cstring(asked)),
            errhint("A job has one effect. Leave transaction_id null for the declared one."));
}

// A worker cannot apply another effect than the one its job was enqueued with.
void require_declared_id(Ledger &ledger, const Application &application) {
    const text *asked = application.asked.transaction_id;
    const text *declared = found_intent(ledger).transaction_id;
    if (asked == nullptr || same_text(asked, declared))
        return;
    const char *has = psprintf("It declared \"%s\"", text_to_cstring(declared));
    // The id that it had before it was redriven?
    if (find_transaction(ledger, asked)) {
        require_same_content(found_intent(ledger), application.asked);
        if (found_state(ledger) == core::TransactionState::failed)
            raise_transaction_failed(ledger);
    }
    raise_other_transaction(application.job_id, has, asked);
}

// Writes the effect of the transaction in ledger.found, unless it has its entry.
Applied apply_found(Ledger &ledger, TupleTableSlot *row, const Application &application) {
    lock_transaction(ledger);
    Applied applied = {};
    if (answer_exists(ledger, application, &applied))
        return applied;
    if (found_state(ledger) == core::TransactionState::failed)
        raise_transaction_failed(ledger);
    // Before the accounts, for which this may have to wait, so that transaction_status() waits,
    // too; and before the entry, whose trigger judges both.
    if (found_state(ledger) == core::TransactionState::init)
        move_transaction(ledger, core::TransactionState::applied,
                         {.failure_reason = nullptr, .metadata = application.asked.metadata});
    debug_point(DebugPoint::apply_after_state);
    return {.existed = false,
            .entry = post(ledger, found_intent(ledger), read_int32(row, live_column::attempt))};
}

Applied apply_declared(Ledger &ledger, TupleTableSlot *row, const Application &application) {
    require_transaction_of_job(ledger, application.job_id,
                               read_int32(row, live_column::generation));
    require_declared_id(ledger, application);
    return apply_found(ledger, row, application);
}

void require_everything(const Intent &asked) {
    if (asked.transaction_id == nullptr || asked.effect.debit == nullptr ||
        asked.effect.credit == nullptr || asked.effect.amount == 0 || asked.effect.asset == nullptr)
        ereport(ERROR, errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
                errmsg("transaction_id, debit, credit, amount and asset must not be null"),
                errdetail("Job " INT64_FORMAT " was enqueued without a ledger intent, so there is "
                          "nothing declared that a null could stand for.",
                          asked.job_id),
                errhint("Pass all of them, or declare the effect at enqueue(ledger => ...)."));
    check_text_length(asked.transaction_id, "transaction_id", core::transaction_id_bytes_max);
    check_effect(asked.effect);
}

Applied apply_undeclared(Ledger &ledger, TupleTableSlot *row, const Application &application) {
    require_everything(application.asked);
    Intent intent = application.asked;
    intent.generation = read_int32(row, live_column::generation);
    intent.queue_id = read_int32(row, live_column::queue_id);
    if (!find_transaction(ledger, intent.transaction_id)) {
        if (job_has_entry(intent.job_id) && !debug_point_skips(DebugPoint::layer_state))
            raise_other_transaction(intent.job_id, "It has an entry of another one",
                                    intent.transaction_id);
        if (insert_intent(ledger, intent, core::TransactionState::applied))
            return {.existed = false,
                    .entry = post(ledger, intent, read_int32(row, live_column::attempt))};
    }
    // Somebody else's, or written by other means.
    require_same_content(found_intent(ledger), application.asked);
    if (!same_text(found_intent(ledger).transaction_id, intent.transaction_id))
        raise_other_transaction(
            intent.job_id,
            psprintf("It has \"%s\"", text_to_cstring(found_intent(ledger).transaction_id)),
            intent.transaction_id);
    return apply_found(ledger, row, application);
}

// The queue, and the generation, of a job that is not live any more, or never was.
JobTrace trace_for_apply(Ledger &ledger, const Application &application) {
    JobTrace trace = trace_job(application.job_id, application.lease_token);
    // Its history may have aged out, its transaction has not.
    const text *id = application.asked.transaction_id;
    if (!trace.known && id != nullptr && find_transaction(ledger, id)) {
        trace.queue_id = found_intent(ledger).queue_id;
        trace.generation = found_intent(ledger).generation;
    }
    QueuePolicy policy;
    if (!find_queue_by_id(trace.queue_id, &policy))
        raise_unknown_job(application.job_id);
    require_access(policy, AccessLevel::worker);
    return trace;
}

Applied apply_effect(LiveJobs &live, Ledger &ledger, const Application &application) {
    if (claim_is_hidden(application.lease_token))
        raise_same_transaction(application.job_id);
    TupleTableSlot *row = live.by_id.slot;
    int32 generation;
    if (find_live_job(live, application.job_id)) {
        require_access(queue_of_job(read_int32(row, live_column::queue_id)), AccessLevel::worker);
        generation = read_int32(row, live_column::generation);
    } else {
        generation = trace_for_apply(ledger, application).generation;
    }
    Applied applied = {};
    if (exists_already(ledger, application, generation, &applied))
        return applied;
    if (lock_held_job(live, application.job_id, application.lease_token))
        return declares_effect(row) ? apply_declared(ledger, row, application)
                                    : apply_undeclared(ledger, row, application);
    // Whoever held the job while we waited may have applied it.
    if (exists_already(ledger, application, generation, &applied))
        return applied;
    raise_lost_lease(application.job_id, trace_job(application.job_id, application.lease_token));
}

void complete_applied(LiveJobs &live, Archive &archive, const Application &application,
                      const Applied &applied) {
    // A new entry was written under the job's lock.  One that existed says nothing about the job:
    // it ends here only if this caller holds it.
    if (applied.existed && !lock_held_job(live, application.job_id, application.lease_token))
        return;
    finish_job(live.table, archive, live.by_id.slot,
               {.state = core::JobState::succeeded,
                .result = application.result,
                .result_is_null = application.result_is_null,
                .note = nullptr},
               false);
    debug_point(DebugPoint::apply_after_complete);
}

Datum run(FunctionCallInfo fcinfo, const char *signature, const Application &application) {
    begin_verb(signature);
    Archive archive = open_archive(clock_now());
    LiveJobs live = open_live_jobs();
    Applied applied = apply_effect(live, archive.ledger, application);
    if (application.complete)
        complete_applied(live, archive, application, applied);
    close_live_jobs(live);
    close_archive(archive);
    end_verb();
    core::Verdict verdict = applied.existed ? core::Verdict::exists : core::Verdict::applied;
    Datum values[] = {verdict_datum(verdict), Int64GetDatum(applied.entry.entry_id),
                      TimestampTzGetDatum(applied.entry.created_at)};
    bool nulls[] = {false, false, false};
    add_result_row(start_result(fcinfo), values, nulls, lengthof(values));
    return static_cast<Datum>(0);
}

} // namespace

} // namespace faultline

FAULTLINE_FUNCTION(faultline_apply_ledger) {
    using namespace faultline;
    return run(fcinfo, "faultline.apply_ledger()", read_application(fcinfo));
}

FAULTLINE_FUNCTION(faultline_apply_and_complete) {
    using namespace faultline;
    Application application = read_application(fcinfo);
    application.complete = true;
    application.result_is_null = PG_ARGISNULL(result_argument);
    application.result = application.result_is_null ? 0 : PG_GETARG_DATUM(result_argument);
    return run(fcinfo, "faultline.apply_and_complete()", application);
}
