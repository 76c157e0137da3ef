// Owns what the benchmark knows of each queue that it measures: the SQL of its verbs.
// A peer is data, so that both run through the very same client loop.
#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <vector>

namespace faultline::bench {

struct Peer {
    const char *name;
    std::vector<const char *> setup; // run once, in the template database
    // Run in each copy of the template, or nullptr.
    const char *after_copy;
    const char *enqueue_one;   // $1 payload
    const char *enqueue_many;  // $1 jsonb[] of payloads
    const char *claim;         // $1 worker, $2 max_jobs; the first columns are id [, token]
    bool has_lease_token;      // claim returns a token and complete wants it
    const char *complete_one;  // $1 id [, $2 token]
    const char *complete_many; // $1 bigint[] of ids [, $2 bigint[] of tokens]
    // What the last column of each row that complete_* returns must say; nullptr: it returns no
    // rows, and the count of updated rows confirms it.
    const char *success_verdict;
    const char *count_unfinished; // one row: jobs that are queued or running
    const char *hot_table;        // the table whose updates are counted
};

inline constexpr std::size_t peer_count = 2;
const std::array<Peer, peer_count> &peers();
const Peer &textbook();

// The 97-byte JSON document that every job carries.
inline constexpr const char *payload = R"({"order":"ord_0000184467","customer":"cus_48216",)"
                                       R"("amount":129900,"currency":"EUR","sku":"A-1043"})";
static_assert(std::char_traits<char>::length(payload) == 97);

} // namespace faultline::bench
