// What an SQLSTATE means to a client.
#include <catch2/catch.hpp>

#include "core/sqlstate.hpp"
#include "faultline/error.hpp"

using namespace faultline::client;
namespace core = faultline::core;

namespace {

Error error_of(std::string sqlstate) {
    ErrorFields fields;
    fields.sqlstate = std::move(sqlstate);
    fields.message = "it went wrong";
    return Error(std::move(fields));
}

} // namespace

TEST_CASE("Faultline's SQLSTATEs map to codes", "[client][error]") {
    CHECK(error_code(core::sqlstate_stale_lease) == ErrorCode::stale_lease);
    CHECK(error_code(core::sqlstate_unknown_job) == ErrorCode::unknown_job);
    CHECK(error_code(core::sqlstate_idempotency_conflict) == ErrorCode::idempotency_conflict);
    CHECK(error_code(core::sqlstate_cancel_requested) == ErrorCode::cancel_requested);
    CHECK(error_code(core::sqlstate_unknown_queue) == ErrorCode::unknown_queue);
    CHECK(error_code(core::sqlstate_illegal_transition) == ErrorCode::illegal_transition);
    CHECK(error_code(core::sqlstate_ledger_conflict) == ErrorCode::ledger_conflict);
    CHECK(error_code(core::sqlstate_ledger_entry_missing) == ErrorCode::ledger_entry_missing);
    CHECK(error_code(core::sqlstate_append_only) == ErrorCode::append_only);
    CHECK(error_code(core::sqlstate_queue_full) == ErrorCode::queue_full);
    CHECK(error_code(core::sqlstate_not_adopted) == ErrorCode::not_adopted);
    CHECK(error_code(core::sqlstate_same_transaction) == ErrorCode::same_transaction);
    CHECK(error_code(core::sqlstate_transaction_failed) == ErrorCode::transaction_failed);
    CHECK(error_code(core::sqlstate_insufficient_funds) == ErrorCode::insufficient_funds);
    CHECK(error_code(core::sqlstate_account_closed) == ErrorCode::account_closed);
    CHECK(error_code("JQ999") == ErrorCode::server);
    CHECK(error_code("22023") == ErrorCode::server);
}

TEST_CASE("only what can pass by itself is worth trying again", "[client][error]") {
    for (const char *state : {"08006", "40001", "40P01", "53300", "57P01", "57P03", "25006"}) {
        INFO(state);
        CHECK(error_of(state).retryable());
    }
    for (const char *state : {"JQ001", "JQ003", "JQ005", "22023", "23505", "42501", "57014"}) {
        INFO(state);
        CHECK_FALSE(error_of(state).retryable());
    }
}

TEST_CASE("a lost connection is retryable whatever the SQLSTATE", "[client][error]") {
    ErrorFields fields;
    fields.message = "server closed the connection";
    fields.connection_lost = true;
    fields.in_doubt = true;
    const Error error(fields);
    CHECK(error.code() == ErrorCode::connection_lost);
    CHECK(error.retryable());
    CHECK(error.in_doubt());
}

TEST_CASE("an error tells everything the server said", "[client][error]") {
    ErrorFields fields;
    fields.sqlstate = "JQ005";
    fields.message = "queue \"odrers\" does not exist";
    fields.detail = "The nearest name is \"orders\".";
    fields.hint = "Create it with faultline.create_queue().";
    const Error error(fields);
    CHECK(std::string(error.what()) ==
          "queue \"odrers\" does not exist (SQLSTATE JQ005); The nearest name is \"orders\". "
          "Hint: Create it with faultline.create_queue().");
    CHECK(error.code() == ErrorCode::unknown_queue);
    CHECK(error.detail() == fields.detail);
    CHECK(error.hint() == fields.hint);
}

TEST_CASE("this library's own refusals are no server errors", "[client][error]") {
    const Error error = protocol_error("no");
    CHECK(error.code() == ErrorCode::protocol);
    CHECK_FALSE(error.retryable());
    CHECK_FALSE(error.in_doubt());
}
