// Owns the writing of effects.  Needs the job's row and the transaction's row locked; locks
// accounts.
#include "posting.hpp"

#include "debug_point.hpp"
#include "errors.hpp"
#include "storage/accounts.hpp"
#include "storage/columns.hpp"

namespace faultline {

namespace {

[[noreturn]] void raise_other_content(const Intent &stored, const char *field,
                                      const char *stored_value, const char *asked_value) {
    ereport(ERROR, errcode_jq(core::sqlstate_ledger_conflict),
            errmsg("ledger transaction \"%s\" exists with other content",
                   text_to_cstring(stored.transaction_id)),
            errdetail("Its %s is %s, given was %s.", field, stored_value, asked_value),
            errhint("A transaction_id names one effect for ever. Repeat a call unchanged, or use "
                    "another id for another effect."));
}

void require_same_text(const Intent &stored, const char *field, const text *there,
                       const text *asked) {
    if (asked == nullptr || same_text(there, asked))
        return;
    raise_other_content(stored, field, quote_literal_cstr(text_to_cstring(there)),
                        quote_literal_cstr(text_to_cstring(asked)));
}

} // namespace

void require_same_content(const Intent &stored, const Intent &asked) {
    // First, so that nobody learns the content of another job's transaction.
    if (stored.job_id != asked.job_id)
        raise_other_content(
            stored, "job",
            stored.job_id == 0 ? "none (a reversal)" : psprintf(INT64_FORMAT, stored.job_id),
            asked.job_id == 0 ? "none (a reversal)" : psprintf(INT64_FORMAT, asked.job_id));
    require_same_text(stored, "debit", stored.effect.debit, asked.effect.debit);
    require_same_text(stored, "credit", stored.effect.credit, asked.effect.credit);
    if (asked.effect.amount != 0 && asked.effect.amount != stored.effect.amount)
        raise_other_content(stored, "amount", psprintf(INT64_FORMAT, stored.effect.amount),
                            psprintf(INT64_FORMAT, asked.effect.amount));
    require_same_text(stored, "asset", stored.effect.asset, asked.effect.asset);
}

void raise_transaction_failed(const Ledger &ledger) {
    Column reason = read_column(ledger.found, transaction_column::failure_reason);
    ereport(ERROR, errcode_jq(core::sqlstate_transaction_failed),
            errmsg("ledger transaction \"%s\" has failed",
                   text_to_cstring(found_intent(ledger).transaction_id)),
            errdetail("Reason: %s", reason.is_null ? "unknown" : TextDatumGetCString(reason.value)),
            errhint("A failed transaction stays failed, so that what was reported as failed never "
                    "happens later. A redriven job has a new transaction_id: use the one that "
                    "claim() returned."));
}

Entry post(Ledger &ledger, const Intent &intent, int32 attempt) {
    HeldAccounts held = hold_accounts(&intent.effect, 1, ledger.now);
    Movement movement = move_amount(held, intent.effect);
    if (movement.refusal != Refusal::none)
        raise_refusal(movement);
    store_accounts(held);
    debug_point(DebugPoint::apply_before_entry);
    Entry entry = insert_entry(ledger, intent, attempt);
    debug_point(DebugPoint::apply_after_entry);
    return entry;
}

} // namespace faultline
