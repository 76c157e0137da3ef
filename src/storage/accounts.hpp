// The rows of ledger accounts: opening on first use, and moving balances within their bounds.
#pragma once

#include "ledger.hpp"

namespace faultline {

// Raises 22023 unless the asset is known.
void require_asset(const text *asset);

// An account as this call has locked it.
struct HeldAccount {
    const text *account;
    const text *asset;
    bool known; // false: it is not open, and its asset does not open accounts on first use
    bool closed;
    bool maintained;
    bool has_minimum;
    bool has_maximum;
    int64 minimum;
    int64 maximum;
    int64 balance; // of a maintained one, with what was moved so far
    int64 entries; // moved so far
    ItemPointerData position;
};

// All accounts of some effects, each once, in the order in which they are locked.
struct HeldAccounts {
    Table table;
    TupleTableSlot *row;
    HeldAccount *accounts;
    int count;
};
static_assert(std::is_trivially_destructible_v<HeldAccounts>);

// Locks the accounts that the effects name, opening them where their asset allows it.
HeldAccounts hold_accounts(const Effect *effects, int count, TimestampTz now);
// Stores the balances that were moved.
void store_accounts(HeldAccounts &held);

enum class Refusal { none, insufficient_funds, account_closed, unknown_account, out_of_range };

// Moves the amount between two held accounts, or says which of them refuses, and why; then nothing
// has moved.
struct Movement {
    Refusal refusal;
    const HeldAccount *account;
    int64 change;
};
Movement move_amount(HeldAccounts &held, const Effect &effect);

// Raises JQ014 when a bound would break, JQ015 for a closed account, 22003 when a balance would not
// fit a bigint, 22023 for an unknown account.
[[noreturn]] void raise_refusal(const Movement &movement);

} // namespace faultline
