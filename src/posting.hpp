// Writing an effect: the one way in which an entry comes to exist.
#pragma once

#include "storage/ledger.hpp"

namespace faultline {

// Raises JQ007 when a transaction that is there already says something else than is asked for.
// Fields that are null, or an amount of 0, were not asked for.
void require_same_content(const Intent &stored, const Intent &asked);

// JQ013: the transaction has failed for ever.
[[noreturn]] void raise_transaction_failed(const Ledger &ledger);

// Moves the balances and writes the entry.  The transaction's row is the caller's: it becomes
// APPLIED in the same commit.
Entry post(Ledger &ledger, const Intent &intent, int32 attempt);

} // namespace faultline
