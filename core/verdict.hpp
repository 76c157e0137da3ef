// The words the verbs answer with; the contract spells them once, here.
#pragma once

#include <string_view>

namespace faultline::core {

enum class Verdict {
    succeeded,
    already_succeeded,
    retrying,
    failed,
    cancelled,
    cancel_requested,
    extended,
    already_finished,
    queued,
    not_failed,
    locked,
    stale_lease,
    unknown_job,
    same_transaction,
    ledger_entry_missing,
    effect_applied,
    ledger_conflict,
    applied,
    exists,
    insufficient_funds,
    account_closed,
    unknown_account,
    out_of_range,
    transaction_failed,
    claimed,
};

constexpr std::string_view verdict_name(Verdict verdict) {
    switch (verdict) {
    case Verdict::succeeded:
        return "succeeded";
    case Verdict::already_succeeded:
        return "already_succeeded";
    case Verdict::retrying:
        return "retrying";
    case Verdict::failed:
        return "failed";
    case Verdict::cancelled:
        return "cancelled";
    case Verdict::cancel_requested:
        return "cancel_requested";
    case Verdict::extended:
        return "extended";
    case Verdict::already_finished:
        return "already_finished";
    case Verdict::queued:
        return "queued";
    case Verdict::not_failed:
        return "not_failed";
    case Verdict::locked:
        return "locked";
    case Verdict::stale_lease:
        return "stale_lease";
    case Verdict::unknown_job:
        return "unknown_job";
    case Verdict::same_transaction:
        return "same_transaction";
    case Verdict::ledger_entry_missing:
        return "ledger_entry_missing";
    case Verdict::effect_applied:
        return "effect_applied";
    case Verdict::ledger_conflict:
        return "ledger_conflict";
    case Verdict::applied:
        return "applied";
    case Verdict::exists:
        return "exists";
    case Verdict::insufficient_funds:
        return "insufficient_funds";
    case Verdict::account_closed:
        return "account_closed";
    case Verdict::unknown_account:
        return "unknown_account";
    case Verdict::out_of_range:
        return "out_of_range";
    case Verdict::transaction_failed:
        return "transaction_failed";
    case Verdict::claimed:
        return "claimed";
    }
    return "unknown";
}

} // namespace faultline::core
