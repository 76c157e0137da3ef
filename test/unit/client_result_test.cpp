// Typed reading of answers: nothing unreadable passes as a value.
#include <limits>

#include <catch2/catch.hpp>

#include "faultline/api.hpp"
#include "faultline/error.hpp"
#include "faultline/job.hpp"
#include "made_result.hpp"

using namespace faultline::client;

namespace {

using Cells = std::vector<std::optional<std::string>>;

const std::vector<std::string> claimed_columns = {
    "job_id",         "queue",       "kind",
    "payload",        "headers",     "attempt",
    "max_attempts",   "lease_token", "lease_expires_at",
    "enqueued_at",    "last_error",  "progress",
    "transaction_id", "debit",       "credit",
    "amount",         "asset",       "lease_remaining_seconds"};

const Cells full_row = {"41",
                        "orders",
                        "order",
                        R"({"order_id": "A"})",
                        R"({"load": "x"})",
                        "2",
                        "20",
                        "9223372036854775807",
                        "2025-03-14 10:00:30+00",
                        "2025-03-14 09:59:00+00",
                        "boom",
                        R"({"step": 3})",
                        "payment-A",
                        "customer:ada",
                        "shop",
                        "4611686018427387904",
                        "EUR",
                        "29.9999"};

} // namespace

TEST_CASE("numbers, booleans and texts are read as what they are", "[client][result]") {
    const Result result = made_result(
        {"big", "small", "real", "flag", "text"},
        {{"-9223372036854775808", "2147483647", "0.25", "t", "a"}, {"1", "2", "3", "f", ""}});
    CHECK(result.row_count() == 2);
    CHECK(result.bigint(0, 0) == std::numeric_limits<std::int64_t>::min());
    CHECK(result.integer(0, 1) == std::numeric_limits<std::int32_t>::max());
    CHECK(result.number(0, 2) == 0.25);
    CHECK(result.boolean(0, 3));
    CHECK_FALSE(result.boolean(1, 3));
    CHECK(result.text(1, 4).empty());
    CHECK(result.column_index("flag") == 3);
    CHECK(result.column_name(4) == "text");
}

TEST_CASE("what cannot be read is an error and never a zero", "[client][result]") {
    const Result result = made_result({"value"}, {{"12x"}, {"99999999999"}, {""}, {std::nullopt}});
    CHECK_THROWS_AS(result.bigint(0, 0), Error);
    CHECK_THROWS_AS(result.integer(1, 0), Error);
    CHECK_THROWS_AS(result.bigint(2, 0), Error);
    CHECK_THROWS_AS(result.bigint(3, 0), Error);
    CHECK_THROWS_AS(result.text(3, 0), Error);
    CHECK_THROWS_AS(result.boolean(0, 0), Error);
    CHECK_FALSE(result.optional_text(3, 0).has_value());
}

TEST_CASE("places outside the answer are errors", "[client][result]") {
    const Result result = made_result({"value"}, {{"1"}});
    CHECK_THROWS_AS(result.text(1, 0), Error);
    CHECK_THROWS_AS(result.text(-1, 0), Error);
    CHECK_THROWS_AS(result.text(0, 1), Error);
    CHECK_THROWS_WITH(result.column_index("nope"), Catch::Contains("\"nope\" is missing"));
}

TEST_CASE("a claimed row becomes a job", "[client][job]") {
    const std::vector<Job> jobs = jobs_from(made_result(claimed_columns, {full_row}));
    REQUIRE(jobs.size() == 1);
    const Job &job = jobs.front();
    CHECK(job.job_id == 41);
    CHECK(job.queue == "orders");
    CHECK(job.kind == "order");
    CHECK(job.payload == R"({"order_id": "A"})");
    CHECK(job.headers == R"({"load": "x"})");
    CHECK(job.attempt == 2);
    CHECK(job.max_attempts == 20);
    CHECK(job.lease_token == std::numeric_limits<std::int64_t>::max());
    CHECK(job.lease_remaining == Milliseconds(29'999));
    CHECK(job.last_error == "boom");
    CHECK(job.progress == R"({"step": 3})");
    REQUIRE(job.effect.has_value());
    CHECK(job.effect->transaction_id == "payment-A");
    CHECK(job.effect->debit == "customer:ada");
    CHECK(job.effect->credit == "shop");
    CHECK(job.effect->amount == std::int64_t{1} << 62);
    CHECK(job.effect->asset == "EUR");
    CHECK_FALSE(job.effect->metadata.has_value());
}

TEST_CASE("the optional parts of a job may be absent", "[client][job]") {
    Cells row = full_row;
    for (const std::size_t column : {2U, 4U, 10U, 11U, 12U, 13U, 14U, 15U, 16U}) {
        row[column] = std::nullopt;
    }
    const std::vector<Job> jobs = jobs_from(made_result(claimed_columns, {row, full_row}));
    REQUIRE(jobs.size() == 2);
    CHECK_FALSE(jobs[0].kind.has_value());
    CHECK_FALSE(jobs[0].headers.has_value());
    CHECK_FALSE(jobs[0].last_error.has_value());
    CHECK_FALSE(jobs[0].progress.has_value());
    CHECK_FALSE(jobs[0].effect.has_value());
    CHECK(jobs[1].kind.has_value());
}

TEST_CASE("an ended lease leaves nothing, not less than nothing", "[client][job]") {
    Cells row = full_row;
    row.back() = "-3.5";
    CHECK(jobs_from(made_result(claimed_columns, {row})).front().lease_remaining ==
          Milliseconds(0));
}

TEST_CASE("a job without its token is refused", "[client][job]") {
    Cells row = full_row;
    row[7] = std::nullopt;
    CHECK_THROWS_WITH(jobs_from(made_result(claimed_columns, {row})),
                      Catch::Contains("lease_token"));
    CHECK_THROWS_WITH(jobs_from(made_result({"job_id"}, {})), Catch::Contains("missing"));
    CHECK(jobs_from(made_result(claimed_columns, {})).empty());
}

TEST_CASE("half an effect is no effect, but an error", "[client][job]") {
    const std::size_t column = GENERATE(13U, 14U, 15U, 16U);
    Cells row = full_row;
    row[column] = std::nullopt;
    CHECK_THROWS_AS(jobs_from(made_result(claimed_columns, {row})), Error);
}

TEST_CASE("every word of the server has its verdict, and others are errors", "[client][verdict]") {
    for (const Verdict verdict : {Verdict::succeeded,
                                  Verdict::already_succeeded,
                                  Verdict::retrying,
                                  Verdict::failed,
                                  Verdict::cancelled,
                                  Verdict::cancel_requested,
                                  Verdict::extended,
                                  Verdict::already_finished,
                                  Verdict::queued,
                                  Verdict::not_failed,
                                  Verdict::locked,
                                  Verdict::stale_lease,
                                  Verdict::unknown_job,
                                  Verdict::same_transaction,
                                  Verdict::ledger_entry_missing,
                                  Verdict::effect_applied,
                                  Verdict::ledger_conflict,
                                  Verdict::applied,
                                  Verdict::exists,
                                  Verdict::insufficient_funds,
                                  Verdict::account_closed,
                                  Verdict::unknown_account,
                                  Verdict::out_of_range,
                                  Verdict::transaction_failed}) {
        CHECK(verdict_from(faultline::core::verdict_name(verdict)) == verdict);
    }
    CHECK_THROWS_AS(verdict_from("unknown"), Error);
    CHECK_THROWS_AS(verdict_from(""), Error);
    for (const auto state : faultline::core::transaction_states) {
        CHECK(ledger_state_from(faultline::core::transaction_state_name(state)) == state);
    }
    CHECK_THROWS_AS(ledger_state_from("init"), Error);
}
