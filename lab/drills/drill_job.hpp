// Owns what the job of a drill is: the ledger entry that it declares, and what its worker does for
// it.
#pragma once

#include "faultline/api.hpp"

#include <string>

namespace faultline::lab {

// A worker of this kind of job first calls a receiver outside, which knows jobs by transaction id.
inline constexpr const char *job_with_charge = "charge";

inline constexpr const char *drill_asset = "faultline_drill";
inline constexpr const char *drill_payer = "drill:payer";
inline constexpr const char *drill_payee = "drill:payee";
// The ledger entry of the job.
std::string effect_declaration(const std::string &transaction_id);
// Commits by itself, as a call to another system would; returns how often it was called for the
// job.
int charge_outside(client::Connection &connection, const client::Job &job);
// Applies the entry and, in the same transaction, writes a row of the application's, into a table
// without a unique constraint: there a second effect would show. The caller commits.
client::Applied apply_with_own_row(client::Connection &connection, const client::Job &job,
                                   bool completes);

} // namespace faultline::lab
