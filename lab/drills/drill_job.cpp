// Implements the work for a job of a drill.
#include "drill_job.hpp"

#include <fmt/format.h>

namespace faultline::lab {

using client::Api;
using client::Connection;
using client::Parameter;

std::string effect_declaration(const std::string &transaction_id) {
    return fmt::format(R"({{"transaction_id": "{}", "debit": "{}", "credit": "{}", "amount": 1, )"
                       R"("asset": "{}"}})",
                       transaction_id, drill_payer, drill_payee, drill_asset);
}

int charge_outside(Connection &connection, const client::Job &job) {
    return connection
        .execute("INSERT INTO faultline_drill.charges AS c VALUES ($1, 1)"
                 " ON CONFLICT (transaction_id) DO UPDATE SET calls = c.calls + 1 RETURNING calls",
                 {Parameter(job.effect->transaction_id)})
        .integer(0, 0);
}

client::Applied apply_with_own_row(Connection &connection, const client::Job &job, bool completes) {
    const client::Lease lease{job.job_id, job.lease_token};
    const client::Applied applied =
        completes ? Api(connection).apply_and_complete(lease) : Api(connection).apply_ledger(lease);
    if (applied.verdict == client::Verdict::applied)
        connection.execute("INSERT INTO faultline_drill.effects VALUES ($1, $2)",
                           {Parameter(job.job_id), Parameter(job.effect->transaction_id)});
    return applied;
}

} // namespace faultline::lab
