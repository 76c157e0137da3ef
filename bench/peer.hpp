// Owns what the benchmarks know of each queue that they measure: the SQL of its verbs. A peer is
// data, described once, so that in every scenario all run through the very same client code.
#pragma once

#include "faultline/connection.hpp"

#include <string>
#include <vector>

namespace faultline::bench {

// How a completion says how many jobs it ended.
enum class Confirmation {
    affected_rows, // as the count of its command tag
    verdicts,      // a row each, "succeeded" in the last column
    count,         // one row with a number
    whole_batch,   // says nothing of single jobs
};

struct Peer {
    std::string name;
    std::string note;   // what a reader of its figures must know
    std::string schema; // holds its tables; peers with the same schema are variants of one queue
    bool keeps_finished = true;

    // One row, one column: NULL when the peer can be measured here, else what is missing.
    std::string missing;
    std::vector<std::string> setup; // run once, in the template database
    // Instead of setup: the package that bench/peers/statements.mjs installs, and whose statements
    // it records.
    std::string package;
    // Where that can be measured, in the lifecycle, the package's own client does the work.
    bool runs_own_client = false;
    std::vector<std::string> after_copy; // run in each copy of the template
    std::string session;                 // run by each connection

    std::string enqueue_one;  // $1 payload
    std::string enqueue_many; // $1 jsonb[] of payloads
    // Instead, both take $1 json: an array of documents {"data": payload}.
    bool enqueues_documents = false;
    // $1 worker, $2 max_jobs, or :max_jobs as a constant; the first columns are id, token
    std::string claim;
    std::string id_type = "bigint"; // of ids
    std::string complete_one;       // $1 id, $2 token
    std::string complete_many;      // arrays of them
    Confirmation confirmation = Confirmation::affected_rows;
    // When not empty: completes and claims at once. $1 worker, $2 max_jobs, $3 ids, $4 tokens; the
    // columns are id, token, verdict: "claimed" for new jobs.
    std::string turn;
    // When not empty: one reader takes whole batches, which this statement cuts now and then.
    std::string tick;

    std::string enqueue_scheduled; // $1 count: jobs before all others in order, due in an hour
    std::string long_lease;        // makes claims hold for an hour, where that is not so anyway
    std::string count_unfinished;  // one row: jobs that are queued or running
    std::string hot_table;         // the table whose updates are counted
};

Peer textbook();
Peer faultline();

// All that are described, in the order in which they are printed.
std::vector<Peer> all_peers();

// The peers of these names that can be measured here, installed in the template database. Throws
// for a name that is not known. Says in `absent` which are missing and why.
std::vector<Peer> install_peers(const std::vector<std::string> &names, const std::string &database,
                                std::string &absent);

std::string notes_of(const std::vector<Peer> &peers);
// Runs the peer's preparation of a fresh copy of the template.
void prepare_copy(const Peer &peer, const std::string &database);

// The 97-byte JSON document that every job carries.
inline constexpr const char *payload = R"({"order":"ord_0000184467","customer":"cus_48216",)"
                                       R"("amount":129900,"currency":"EUR","sku":"A-1043"})";
static_assert(std::char_traits<char>::length(payload) == 97);

} // namespace faultline::bench
