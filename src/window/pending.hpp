// What a transaction has in hand for the ready windows until it ends: jobs that it made wait, which
// nobody may be told of before they are committed, and hints that it took, which go back if it
// fails.
#pragma once

#include "window.hpp"

namespace faultline {

// The row was written by this transaction and its job waits: told at commit.
void note_waiting_job(Relation live_jobs, TupleTableSlot *row, TimestampTz now);

// Whether this transaction made a job of the queue wait: the window does not know it yet.
bool has_waiting_jobs(int32 queue_id);

// drop_queue(): the window goes with the queue.
void note_dropped_queue(int32 queue_id);

// Takes hints and remembers them: until give_back_taken(), or until the transaction commits, they
// are this transaction's.  `first` is where the memory of the first one is.
bool take_and_remember(WindowSlot *slot, const QueueRows &rows, TimestampTz now,
                       core::ReadyHint *hints, uint32 wanted, TakenHints *taken, int *first);
// The job was not claimed: somebody else may find it free, or it is not due any more.
void give_back_taken(int position, bool due);

// A refill under way ends with the transaction, or the subtransaction, that fails.  One that is
// finished did not see the jobs that this very transaction has taken away: if it fails, the window
// starts over.
void remember_refill(const RefillStart &start);
void finish_own_refill();

// A look at the rows of a queue counts only if the transaction that took it is committed.
void remember_look(const QueueRows &rows);

// Called when a transaction or a subtransaction ends.
void pending_hints_on_commit_or_prepare();
void pending_hints_on_abort();
void pending_hints_on_subcommit(SubTransactionId ended, SubTransactionId parent);
void pending_hints_on_subabort(SubTransactionId ended);

} // namespace faultline
