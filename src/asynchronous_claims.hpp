// faultline.asynchronous_claims: the commit of claims, and of nothing else, does not wait for the
// disk.
#pragma once

namespace faultline {

// Around all that a claim writes, and nothing but that.
void begin_claim_writes();
void end_claim_writes();

// Transaction events, in this order; the last one also after an abort.
void choose_commit_flush(); // before the commit
void check_commit_flush();  // after it
void forget_claim_writes();

} // namespace faultline
