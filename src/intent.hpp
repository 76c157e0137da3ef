// What callers say about the effect of a job: checked arguments, and the jsonb form of an intent.
#pragma once

#include "arguments.hpp"
#include "storage/ledger.hpp"

namespace faultline {

// Raise 22023 with the bound that is broken.
void check_metadata_size(Size bytes);
void check_amount(int64 amount);
void check_effect(const Effect &effect);

// {"transaction_id": ..., "debit": ..., "credit": ..., "amount": ..., "asset": ..., "metadata":
// {...}} as given to enqueue(); all but metadata are required, others refused.  `position` names
// the element of an array in errors, 0 for none.  The job's part of the intent is left empty.
Intent intent_from_json(Datum json, int position);

// The same form, without metadata: what a claim hands to the worker.
Datum intent_to_json(const Intent &intent);

// Adds what makes two intents the same to a request's fingerprint.
void append_intent(StringInfo fingerprint, const Intent &intent);

} // namespace faultline
