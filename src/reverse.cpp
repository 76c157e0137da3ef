// reverse_transaction() and transaction_status(): undoing an effect by another, and the answer to a
// commit in doubt.
#include "access.hpp"
#include "clock.hpp"
#include "errors.hpp"
#include "intent.hpp"
#include "json_fields.hpp"
#include "posting.hpp"
#include "result.hpp"
#include "storage/columns.hpp"
#include "transaction.hpp"

namespace faultline {

namespace {

[[noreturn]] void raise_unknown_transaction(const text *transaction_id) {
    ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
            errmsg("ledger transaction \"%s\" does not exist", text_to_cstring(transaction_id)),
            errdetail("No job declared it and nobody has applied it."),
            errhint("Look for it in faultline.transactions."));
}

void require_access_to_found(const Ledger &ledger, AccessLevel level) {
    QueuePolicy policy = {};
    // A reversal belongs to no job; neither does what outlived its queue.
    if (!find_queue_by_id(found_intent(ledger).queue_id, &policy))
        policy = {};
    require_access(policy, level);
}

// Anyone who has to do with the queue may ask.
void require_visible(const Ledger &ledger) {
    QueuePolicy policy = {};
    if (!find_queue_by_id(found_intent(ledger).queue_id, &policy) || !queue_visible(policy))
        require_access(policy, AccessLevel::monitor);
}

// What undoes the transaction in ledger.found.
Intent reversal_of_found(const Ledger &ledger, const text *new_id, const text *reason) {
    Intent original = copy_found_intent(ledger);
    JsonbParseState *state = nullptr;
    pushJsonbValue(&state, WJB_BEGIN_OBJECT, nullptr);
    push_field(&state, "reason", json_text(reason, core::reason_bytes_max));
    Jsonb *metadata = JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, nullptr));
    return {.transaction_id = new_id,
            .effect = {.debit = original.effect.credit,
                       .credit = original.effect.debit,
                       .asset = original.effect.asset,
                       .amount = original.effect.amount},
            .metadata = metadata,
            .reverses = original.transaction_id,
            .job_id = 0,
            .generation = 0,
            .queue_id = original.queue_id};
}

void require_reversible(const Ledger &ledger) {
    core::TransactionState state = found_state(ledger);
    if (state == core::TransactionState::failed)
        raise_transaction_failed(ledger);
    if (state == core::TransactionState::init)
        ereport(ERROR, errcode_jq(core::sqlstate_illegal_transition),
                errmsg("ledger transaction \"%s\" has no effect yet",
                       text_to_cstring(found_intent(ledger).transaction_id)),
                errdetail("It is INIT, so there is nothing to undo."),
                errhint("Cancel its job: SELECT * FROM faultline.cancel('{" INT64_FORMAT "}');",
                        found_intent(ledger).job_id));
}

// The entry of the same reversal, made before; raises when something else is in the way.
Entry reversal_made_before(const Ledger &ledger, const Intent &reversal) {
    Intent there = found_intent(ledger);
    if (!same_text(there.transaction_id, reversal.transaction_id))
        ereport(ERROR, errcode_jq(core::sqlstate_ledger_conflict),
                errmsg("ledger transaction \"%s\" is reversed already",
                       text_to_cstring(reversal.reverses)),
                errdetail("Transaction \"%s\" reverses it.", text_to_cstring(there.transaction_id)),
                errhint("A transaction can be reversed once."));
    require_same_content(there, reversal);
    if (there.reverses == nullptr || !same_text(there.reverses, reversal.reverses))
        ereport(ERROR, errcode_jq(core::sqlstate_ledger_conflict),
                errmsg("ledger transaction \"%s\" exists with other content",
                       text_to_cstring(there.transaction_id)),
                errdetail("It reverses another transaction."), errhint("Use another id."));
    return find_entry(there.transaction_id);
}

} // namespace

} // namespace faultline

FAULTLINE_FUNCTION(faultline_reverse_transaction) {
    using namespace faultline;
    const text *transaction_id = required_text(fcinfo, 0, "transaction_id");
    check_text_length(transaction_id, "transaction_id", core::derived_transaction_id_bytes_max);
    const text *new_id = required_text(fcinfo, 1, "new_transaction_id");
    check_text_length(new_id, "new_transaction_id", core::transaction_id_bytes_max);
    const text *reason = required_text(fcinfo, 2, "reason");
    check_text_length(reason, "reason", core::reason_bytes_max);
    begin_verb("faultline.reverse_transaction()");
    Ledger ledger = open_ledger(clock_now());
    // Waits for a worker that applies it just now.
    if (!await_transaction(ledger, transaction_id)) {
        require_access({}, AccessLevel::operate);
        raise_unknown_transaction(transaction_id);
    }
    require_access_to_found(ledger, AccessLevel::operate);
    lock_transaction(ledger);
    require_reversible(ledger);
    Intent reversal = reversal_of_found(ledger, new_id, reason);
    Entry entry;
    if (insert_intent(ledger, reversal, core::TransactionState::applied))
        entry = post(ledger, reversal, 0);
    else
        entry = reversal_made_before(ledger, reversal);
    close_ledger(ledger);
    end_verb();
    PG_RETURN_INT64(entry.entry_id);
}

FAULTLINE_FUNCTION(faultline_transaction_status) {
    using namespace faultline;
    const text *transaction_id = required_text(fcinfo, 0, "transaction_id");
    check_text_length(transaction_id, "transaction_id", core::derived_transaction_id_bytes_max);
    begin_verb("faultline.transaction_status()");
    Ledger ledger = open_ledger(clock_now());
    ReturnSetInfo *result = start_result(fcinfo);
    if (await_transaction(ledger, transaction_id)) {
        require_visible(ledger);
        // Looked up after the state, which must not be older than it.
        Entry entry =
            core::transaction_has_entry(found_state(ledger)) ? find_entry(transaction_id) : Entry{};
        Column reason = read_column(ledger.found, transaction_column::failure_reason);
        int64 job_id = found_intent(ledger).job_id;
        Datum values[] = {name_datum(core::transaction_state_name(found_state(ledger))),
                          Int64GetDatum(entry.entry_id), Int64GetDatum(job_id), reason.value};
        bool nulls[] = {false, !entry.found, job_id == 0, reason.is_null};
        add_result_row(result, values, nulls, lengthof(values));
    }
    close_ledger(ledger);
    end_verb();
    return static_cast<Datum>(0);
}
