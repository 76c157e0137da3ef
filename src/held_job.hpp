// What complete(), fail(), extend() and release() share: a worker's call about a job it holds.
#pragma once

#include "arguments.hpp"
#include "row_memory.hpp"
#include "settle.hpp"
#include "storage/trace.hpp"

namespace faultline {

// The fencing rule on one row version, with faultline.strict_lease in mind.
bool lease_in_force(TupleTableSlot *row, int64 lease_token);

// Finds the job, checks that the caller may work on its queue, locks its row and checks the lease
// under that lock.  True: live.by_id.slot is the locked row, running under this very lease.
bool lock_held_job(LiveJobs &live, int64 job_id, int64 lease_token);

// True when the job was claimed in this very transaction, which nobody else can see, and the
// settings do not allow to end it there.
bool claim_is_hidden(int64 lease_token);
[[noreturn]] void raise_same_transaction(int64 job_id);

// Cuts an error text to what is kept.
const text *bounded_error(const text *error);

// The jobs of a call for many, in the order in which their rows are locked: by id, so that two
// calls for the same jobs cannot deadlock.
struct ManyJobs {
    struct Item {
        int64 job_id;
        int64 lease_token;
        int input_index;
    };
    Item *items;             // sorted by job_id
    core::Verdict *verdicts; // by input position
    int count;
};
ManyJobs read_many_jobs(FunctionCallInfo fcinfo, int ids_index, int tokens_index);
// The optional array of results beside them; without values when it is null.
Elements read_results(FunctionCallInfo fcinfo, int results_index, const ManyJobs &jobs);
// True when the item repeats the one before it.
bool repeats_previous(const ManyJobs &jobs, int position);
// Fills in the verdicts: act(item) for each job, and for a repeated item what repeat(verdict)
// makes of the first one's.
template <typename Act, typename Repeat> void act_on_each(ManyJobs &jobs, Act act, Repeat repeat) {
    MemoryContext row_memory = create_row_memory();
    for (int i = 0; i < jobs.count; i++) {
        CHECK_FOR_INTERRUPTS();
        core::Verdict &verdict = jobs.verdicts[jobs.items[i].input_index];
        if (repeats_previous(jobs, i))
            verdict = repeat(jobs.verdicts[jobs.items[i - 1].input_index]);
        else
            verdict = in_row_memory(row_memory, [&] { return act(jobs.items[i]); });
    }
    MemoryContextDelete(row_memory);
}
inline core::Verdict same_verdict(core::Verdict verdict) { return verdict; }
// Rows (job_id, verdict) in input order.
void add_verdict_rows(ReturnSetInfo *result, const ManyJobs &jobs);
void return_verdicts(FunctionCallInfo fcinfo, const ManyJobs &jobs);

} // namespace faultline
