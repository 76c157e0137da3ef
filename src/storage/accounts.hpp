// The rows of ledger accounts: opening on first use, and moving balances within their bounds.
#pragma once

#include "ledger.hpp"

namespace faultline {

// Raises 22023 unless the asset is known.
void require_asset(const text *asset);

// Moves the amount from the debit account to the credit account: locks both, in the order of their
// names, and changes the balances that are maintained.  An account is opened on first use where its
// asset allows.  Raises JQ014 when a bound would break, JQ015 for a closed account, 22003 when a
// balance would not fit a bigint, 22023 for an unknown account or asset.
void move_balances(const Effect &effect, TimestampTz now);

} // namespace faultline
