// Owns what the ledger benchmark knows of each way to end a job: its SQL and its accounts.
#pragma once

#include <string>
#include <vector>

namespace faultline::bench {

struct AccountSet {
    const char *name;   // as printed
    const char *prefix; // the accounts are called prefix0, prefix1 and so on
    int count;
    bool balance_maintained;
};

// Whose calls end the jobs.
enum class Side { complete_alone, call_by_call, as_batch, by_hand };

struct Way {
    Side side;
    AccountSet accounts;
    std::string enqueue; // $1 jobs
    std::string claim;   // $1 worker, $2 max_jobs; returns id, token, debit, credit, amount
    // Both return how many jobs they ended. $1 id, $2 token, $3 debit, $4 credit, $5 amount; of
    // many: arrays, in ascending order of id. Without end_one the way is measured in batches only.
    std::string end_one;
    std::string end_many;
    std::string count_ended; // one row: jobs that ended with everything that belongs to it
    // One row: true when the maintained balances agree with the entries.
    std::string balances_agree;
};

// Everything that all ways need, in the template database.
const std::vector<std::string> &ledger_setup();
// Run in each copy of the template.
inline constexpr const char *ledger_after_copy = "SELECT faultline.adopt()";

// complete() alone first: the others are compared with it.
const std::vector<Way> &ledger_ways();

} // namespace faultline::bench
