// Implements the values, one list per type.
#include "garbage.hpp"

#include <fmt/format.h>
#include <map>
#include <string_view>

namespace faultline::fuzz {

namespace {

using Values = std::vector<std::string_view>;

// Of each type: at its limits, beyond what anybody means, and ordinary.
const std::map<std::string_view, Values> &garbage() {
    static const std::map<std::string_view, Values> values{
        {"bigint",
         {"0", "1", "-1", "2", "1000", "9223372036854775807", "-9223372036854775808", "4294967296",
          "4611686018427387904"}},
        {"integer", {"0", "1", "-1", "2", "100", "1001", "65536", "2147483647", "-2147483648"}},
        {"double precision",
         {"0", "1", "-1", "0.5", "'NaN'", "'Infinity'", "'-Infinity'", "1e308", "1e-308", "-0.0"}},
        {"boolean", {"true", "false"}},
        {"text",
         {"''", "' '", "'a'", "'q0'", "E'\\n\\t'", "E'\\u202Eright to left'",
          "repeat('x', 1048576)", "repeat('x', 256)", "repeat(U&'\\00FC', 255)", "'%s%n%1$s'",
          "$$'; DROP TABLE x; --$$", "'pg_catalog'", "E'\\U0010FFFF'", "'NULL'", "'\\'"}},
        {"name", {"''", "'a'", "repeat('n', 63)", "'fuzz_other'"}},
        {"interval",
         {"'0'", "'1 microsecond'", "'-1 second'", "'100 ms'", "'30 s'", "'1 hour'", "'1 month'",
          "'-1 month'", "'178000000 years'", "'-178000000 years'", "'1 month -30 days'",
          "'2147483647 days'", "'1 year 2 months 3.5 seconds'"}},
        {"timestamp with time zone",
         {"'infinity'", "'-infinity'", "now()", "'4713-01-01 00:00:00 BC'", "'294276-12-31 Z'",
          "'epoch'", "'2038-01-19 03:14:08Z'", "now() + interval '1 h'", "now() - interval '1 h'"}},
        {"date", {"'infinity'", "'-infinity'", "'5874897-12-31'", "'4713-01-01 BC'", "now()"}},
        {"jsonb",
         {"'null'", "'{}'", "'[]'", "'1'", "'1e1000'", "'\"\"'", "'{\"a\": [null, true, {}]}'",
          "(repeat('[', 3000) || repeat(']', 3000))", "to_jsonb(repeat('x', 1048576))",
          "'{\"transaction_id\": 1}'", "'[1, 2, 3]'", "'{\"\": \"\"}'", "'\"\\u202e\"'"}},
        {"regrole", {"'fuzz_other'", "0", "4294967295", "'pg_monitor'"}},
        {"regclass", {"0", "'pg_class'", "4294967295"}},
        {"tid", {"'(0,0)'", "'(0,1)'", "'(4294967295,65535)'", "'(1,1)'"}},
        {"\"char\"", {"'I'", "'A'", "''", "'q'", "'r'", "'z'"}},
        {"faultline.queues", {"NULL", "(SELECT q FROM faultline.queues q LIMIT 1)"}},
        {"bigint[]",
         {"'{}'", "'{NULL}'", "'{0,-1,9223372036854775807}'", "'{{1,2},{3,4}}'", "'[0:1]={1,2}'",
          "'{1,1,1}'", "(SELECT array_agg(i) FROM generate_series(1, 100000) i)", "'{1,NULL,2}'"}},
        {"text[]",
         {"'{}'", "'{NULL}'", "'{a,b}'", "'{\"\",\" \"}'", "'{{a},{b}}'", "'[5:6]={a,b}'",
          "array_fill('x'::text, ARRAY[10000])", "'{q0,q0}'"}},
        {"jsonb[]",
         {"'{}'", "'{NULL}'", "'{1,2,3}'", "'{{1},{2}}'", "'[-1:0]={1,2}'", "'{null,\"{}\"}'",
          "array_fill('{}'::jsonb, ARRAY[20000])", "ARRAY[to_jsonb(repeat('x', 100000))]"}},
        {"\"char\"[]", {"'{}'", "'{I,A}'", "'{NULL}'"}},
    };
    return values;
}

std::string pick(const Choice &choice, std::string_view purpose, const Values &values) {
    return std::string(
        values[static_cast<std::size_t>(choice.below(purpose, static_cast<int>(values.size())))]);
}

std::string any_value(const Choice &choice, const Argument &argument) {
    if (choice.chance(argument.name + " null", 120))
        return "NULL";
    const auto found = garbage().find(argument.type);
    return found == garbage().end() ? "NULL"
                                    : pick(choice, argument.name + " value", found->second);
}

// Two sessions' worth of transaction ids, so that they meet again.
std::string transaction_id(const Choice &choice) {
    return fmt::format("'payment {}'", choice.below("transaction id", 500));
}

// By the name of the argument; empty when the name says nothing.
std::string value_of_name(const Choice &choice, const std::string &name, const Known &known) {
    const auto one_of = [&](const auto &list, const char *purpose) -> const auto & {
        return list[static_cast<std::size_t>(
            choice.below(purpose, static_cast<int>(std::size(list))))];
    };
    if (name == "queue" || name == "name")
        return fmt::format("'{}'", one_of(known.queues, "queue"));
    if (name == "queues")
        return fmt::format("'{{{},{}}}'", one_of(known.queues, "queue"),
                           one_of(known.queues, "second queue"));
    // The same lease for the id and the token of a call.
    if (!known.leases.empty()) {
        const Known::Lease &lease = one_of(known.leases, "lease");
        const Known::Lease &other = one_of(known.leases, "second lease");
        if (name == "job_id")
            return lease.job_id;
        if (name == "lease_token")
            return lease.token;
        if (name == "job_ids")
            return fmt::format("'{{{},{}}}'", lease.job_id, other.job_id);
        if (name == "lease_tokens")
            return fmt::format("'{{{},{}}}'", lease.token, other.token);
    }
    if (name == "worker")
        return fmt::format("'worker {}'", choice.below("worker", 3));
    if (name == "idempotency_key")
        return fmt::format("'key {}'", choice.below("key", 200));
    if (name == "transaction_id" || name == "new_transaction_id")
        return transaction_id(choice);
    if (name == "ledger")
        return effect_declaration(choice.below("transaction id", 500),
                                  choice.below("amount", 3) + 1);
    if (name == "debit")
        return "'a'";
    if (name == "credit" || name == "account")
        return "'b'";
    if (name == "asset")
        return "'EUR'";
    if (name == "max_wait")
        return "'10 ms'";
    if (name == "level")
        return pick(choice, "level", {"'worker'", "'producer'", "'operator'", "'monitor'"});
    return {};
}

std::string value_of_type(const Choice &choice, const std::string &type) {
    static const std::map<std::string_view, Values> values{
        {"bigint", {"1", "10", "100"}},
        {"integer", {"1", "2", "10"}},
        {"double precision", {"2", "0.5"}},
        {"boolean", {"true", "false"}},
        {"text", {"'a text'", "'another'"}},
        {"interval", {"'1 s'", "'30 s'", "'1 day'"}},
        {"timestamp with time zone", {"now()", "now() + interval '1 s'", "NULL"}},
        {"jsonb", {R"('{"order": 1}')", "'[]'"}},
        {"jsonb[]", {"'{1,2}'"}},
        {"text[]", {"'{a,b}'"}},
    };
    const auto found = values.find(type);
    return found == values.end() ? std::string() : pick(choice, "right value", found->second);
}

} // namespace

std::string effect_declaration(int payment, int amount) {
    return fmt::format(R"('{{"transaction_id": "payment {}", "debit": "a", "credit": "b", )"
                       R"("amount": {}, "asset": "EUR"}}')",
                       payment, amount);
}

std::string expression(const Choice &choice, const Argument &argument, const Known &known,
                       int right_per_mille) {
    std::string value;
    if (choice.chance(argument.name + " right", right_per_mille)) {
        value = value_of_name(choice, argument.name, known);
        if (value.empty() || (argument.name == "ledger" && argument.type != "jsonb"))
            value = value_of_type(choice, argument.type);
    }
    if (value.empty())
        value = any_value(choice, argument);
    return fmt::format("({})::{}", value, argument.type);
}

} // namespace faultline::fuzz
