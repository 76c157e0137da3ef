// Owns `faultline check`.
#include <fmt/core.h>

#include "commands.hpp"
#include "table.hpp"

namespace faultline::cli {

ExitCode run_check(client::Connection &connection) {
    const auto violations = client::Api(connection).check_invariants();
    if (violations.empty()) {
        fmt::print("invariants checked: 0 violations\n");
        return exit_ok;
    }
    std::vector<std::vector<std::string>> rows;
    for (const client::InvariantViolation &violation : violations) {
        rows.push_back({violation.invariant, violation.subject, violation.detail});
    }
    fmt::print("{}\ninvariants checked: {} violations\n",
               format_table({"invariant", "subject", "detail"}, rows), violations.size());
    return exit_findings;
}

} // namespace faultline::cli
