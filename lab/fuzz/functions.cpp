// Implements reading the catalog and writing calls.
#include "functions.hpp"

#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sstream>
#include <string_view>

namespace faultline::fuzz {

namespace {

constexpr const char *query = R"(
    SELECT p.proname, p.prokind = 'p', p.pronargs - p.pronargdefaults,
           array_to_string((p.proargnames)[1:p.pronargs], '|'),
           array_to_string(ARRAY(SELECT format_type(t, NULL)
                                   FROM unnest(p.proargtypes) WITH ORDINALITY u (t, place)
                                  ORDER BY place), '|')
      FROM pg_catalog.pg_proc p
     WHERE p.pronamespace = 'faultline'::regnamespace AND p.prorettype <> 'trigger'::regtype
       AND has_function_privilege(p.oid, 'EXECUTE')
     ORDER BY p.proname)";

// Their work grows with the tables, or with the number of queues.
constexpr std::array heavy_names{"check_invariants",
                                 "maintain",
                                 "metrics",
                                 "health",
                                 "status",
                                 "audit_round",
                                 "create_partitions",
                                 "reconcile",
                                 "maintain_as_owner",
                                 "run_duty",
                                 "audit_windows",
                                 "grant_access",
                                 "revoke_access",
                                 "drop_queue",
                                 "drop_queue_as_owner"};

std::vector<std::string> parts_of(std::string_view list) {
    std::vector<std::string> parts;
    std::istringstream stream{std::string(list)};
    for (std::string part; std::getline(stream, part, '|');)
        parts.push_back(part);
    return parts;
}

} // namespace

std::vector<Function> read_functions(simulator::Session &session) {
    const client::Result rows = session.execute(query);
    std::vector<Function> functions;
    for (int row = 0; row < rows.row_count(); ++row) {
        Function function{.name = std::string(rows.text(row, 0)),
                          .is_procedure = rows.text(row, 1) == "t",
                          .required_count = static_cast<std::size_t>(rows.bigint(row, 2)),
                          .arguments = {},
                          .is_heavy = false};
        const std::vector<std::string> names = parts_of(rows.optional_text(row, 3).value_or(""));
        const std::vector<std::string> types = parts_of(rows.text(row, 4));
        for (std::size_t i = 0; i < types.size(); ++i)
            function.arguments.push_back({.name = names.at(i), .type = types[i]});
        function.is_heavy = std::ranges::find(heavy_names, function.name) != heavy_names.end();
        functions.push_back(std::move(function));
    }
    return functions;
}

std::string call_of(const Choice &choice, const Function &function, const Known &known) {
    // From nonsense to calls in which at most one thing is wrong.
    constexpr std::array right_per_mille{0, 500, 900, 1000};
    const int right = right_per_mille[static_cast<std::size_t>(choice.below("right", 4))];
    std::vector<std::string> arguments;
    for (std::size_t i = 0; i < function.arguments.size(); ++i) {
        const Argument &argument = function.arguments[i];
        // Without an order to wait for, a call that waits would wait for ever.
        const bool optional = i >= function.required_count && argument.name != "max_wait";
        if (!optional || choice.chance(argument.name + " given", 500))
            arguments.push_back(
                fmt::format("{} => {}", argument.name, expression(choice, argument, known, right)));
    }
    return fmt::format("faultline.{}({})", function.name, fmt::join(arguments, ", "));
}

} // namespace faultline::fuzz
