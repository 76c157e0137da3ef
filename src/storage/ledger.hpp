// The rows of ledger transactions (intents) and entries (effects).
#pragma once

#include "table.hpp"

#include "../../core/ledger.hpp"

namespace faultline {

// What an entry does, and what its intent says before.
struct Effect {
    const text *debit;
    const text *credit;
    const text *asset;
    int64 amount;
};

struct Intent {
    const text *transaction_id;
    Effect effect;
    const Jsonb *metadata; // may be null
    const text *reverses;  // the transaction that this one undoes, or null
    int64 job_id;          // 0 for a reversal
    int32 generation;
    int32 queue_id;
};
static_assert(std::is_trivially_destructible_v<Intent>);

// Tables opened when first needed.
struct Ledger {
    TimestampTz now;
    MemoryContext memory;  // of the tables: that of the call, not of one row
    Table transactions;    // speculative
    TupleTableSlot *found; // the transaction row found, met or locked last
    Table entries;
    bool transactions_open;
    bool entries_open;
};
static_assert(std::is_trivially_destructible_v<Ledger>);

Ledger open_ledger(TimestampTz now);
void close_ledger(Ledger &ledger);

// Look-ups see what is committed now, whatever the isolation level, and what the transaction wrote
// itself.  They load ledger.found.
bool find_transaction(Ledger &ledger, const text *transaction_id);
// The version at this position, found earlier under the caller's snapshot.
void load_transaction(Ledger &ledger, ItemPointer position);
bool find_transaction_of_job(Ledger &ledger, int64 job_id, int32 generation);
// The one that a job has declared; raises XX001 when there is none.
void require_transaction_of_job(Ledger &ledger, int64 job_id, int32 generation);
// The same, but waits first for a transaction in progress that writes one of this id.
bool await_transaction(Ledger &ledger, const text *transaction_id);
// Locks the newest version of the row in ledger.found.
void lock_transaction(Ledger &ledger);

core::TransactionState found_state(const Ledger &ledger);
// Points into ledger.found; without its metadata, which few need.
Intent found_intent(const Ledger &ledger);
// Stays valid when ledger.found is loaded anew, as by insert_intent().
Intent copy_found_intent(const Ledger &ledger);

// False when a transaction with this id, of this job and generation, or reversing the same one, is
// there already: it is in ledger.found then.
bool insert_intent(Ledger &ledger, const Intent &intent, core::TransactionState state);

// JQ006: the machine does not have this step.
[[noreturn]] void raise_transaction_step(core::TransactionState from, core::TransactionState to);

struct TransactionNote {
    const text *failure_reason; // for FAILED only
    const Jsonb *metadata;      // may be null; added where the intent came without
};
// Moves the locked row in ledger.found one step.  Raises JQ006 for a step that the machine does not
// have.
void move_transaction(Ledger &ledger, core::TransactionState to, const TransactionNote &note);

struct Entry {
    bool found;
    int64 entry_id;
    TimestampTz created_at;
};
Entry find_entry(const text *transaction_id);
// Under the job's lock the answer is final, because an entry is written under it, too.
Entry find_entry_of_job(int64 job_id);
inline bool job_has_entry(int64 job_id) { return find_entry_of_job(job_id).found; }

// `attempt` is the claim under which the entry is written, 0 for a reversal.
Entry insert_entry(Ledger &ledger, const Intent &intent, int32 attempt);

} // namespace faultline
