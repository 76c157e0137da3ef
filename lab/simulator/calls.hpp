// Owns the statements of a run: how each call is written as SQL, and how its answer is read.
#pragma once

#include "faultline/result.hpp"
#include "history.hpp"
#include "seed_plan.hpp"

#include <string>
#include <vector>

namespace faultline::simulator {

// The virtual time at which every run begins.
inline constexpr const char *beginning_of_time = "'2030-01-01 00:00:00+00'::timestamptz";
inline constexpr const char *asset = "EUR";
inline constexpr int account_count = 4;
// Has nothing and may not go below it.
inline constexpr const char *poor_account = "poor";

std::string queue_name(int queue);

Call enqueue_call(const SeedPlan &plan, const NewJob &job);
Call enqueue_many_call(const SeedPlan &plan, const std::vector<NewJob> &jobs);
Call claim_call(int queue, const std::string &worker, int jobs_max);
Call claim_any_call(const std::string &worker, int jobs_max);
// Completes what is held, which may be nothing, and claims.
Call turn_call(int queue, const std::string &worker, const std::vector<Item> &items, int jobs_max);
// complete, release and extend take nothing but the lease.
Call lease_call(Op op, const Item &item);
Call fail_call(const Item &item, bool discard, int retry_seconds); // below 0: by back-off
Call many_call(Op op, const std::vector<Item> &items);
// An effect that the job did not declare: the label decides it, `altered` another amount.
Call apply_call(Op op, const SeedPlan &plan, const Grant &grant, const Item &item, bool altered);
Call cancel_call(const std::vector<std::int64_t> &jobs);
Call redrive_call(const std::vector<std::int64_t> &jobs, int queue);
Call queue_call(Op op, int queue);
Call reverse_call(const std::string &transaction_id);
Call status_call(const std::string &transaction_id);
Call bounded_call(Op op, int rows_max);
// Without arguments: maintain, read_jobs, commit, rollback, rollback_to.
Call plain_call(Op op);
Call begin_call(const std::string &isolation);
Call prepared_call(Op op, int transaction);

void read_answer(const Call &call, const client::Result &result, Answer &answer);

// Ends of attempts: the calls that a lease's holder makes.
bool ends_attempt(Op op);
bool is_transaction_control(Op op);
// Reads only, or ends what others began: nothing that is worth repeating.
bool is_repeatable(Op op);

} // namespace faultline::simulator
