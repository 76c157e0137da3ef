// What a worker knows about its leases, judged on times given by the test.
#include <catch2/catch.hpp>

#include "lease_book.hpp"

using namespace faultline::client;

namespace {

const SteadyTime start = std::chrono::steady_clock::now();

Job job_with(std::int64_t job_id, std::int64_t lease_token) {
    Job job;
    job.job_id = job_id;
    job.lease_token = lease_token;
    job.lease_remaining = Milliseconds(30'000);
    return job;
}

std::vector<VerdictRow> one_verdict(std::int64_t job_id, Verdict verdict) {
    return {{job_id, verdict}};
}

} // namespace

TEST_CASE("a held lease is good until its end", "[client][lease_book]") {
    LeaseBook book(std::nullopt);
    book.hold(job_with(1, 11), start);
    CHECK(book.interruption(1, start) == Interruption::none);
    CHECK(book.interruption(1, start + Milliseconds(29'999)) == Interruption::none);
    CHECK(book.interruption(1, start + Milliseconds(30'000)) == Interruption::lease_lost);
    CHECK(book.interruption(2, start) == Interruption::lease_lost);
}

TEST_CASE("a renewal counts from when it was asked for", "[client][lease_book]") {
    LeaseBook book(std::nullopt);
    book.hold(job_with(1, 11), start);
    book.renewed(book.renewable(), one_verdict(1, Verdict::extended), start + Milliseconds(10'000));
    CHECK(book.interruption(1, start + Milliseconds(39'999)) == Interruption::none);
    CHECK(book.interruption(1, start + Milliseconds(40'000)) == Interruption::lease_lost);
}

TEST_CASE("lost and cancelled leases are told and asked for no more", "[client][lease_book]") {
    LeaseBook book(std::nullopt);
    book.hold(job_with(1, 11), start);
    book.hold(job_with(2, 22), start);
    book.hold(job_with(3, 33), start);
    book.renewed(
        book.renewable(),
        {{1, Verdict::stale_lease}, {2, Verdict::cancel_requested}, {3, Verdict::extended}}, start);
    CHECK(book.interruption(1, start) == Interruption::lease_lost);
    CHECK(book.interruption(2, start) == Interruption::cancel_requested);
    CHECK(book.interruption(3, start) == Interruption::none);
    REQUIRE(book.renewable().size() == 1);
    CHECK(book.renewable().front().job_id == 3);
    CHECK(book.renewable().front().lease_token == 33);
}

TEST_CASE("a cancelled job's lease still ends", "[client][lease_book]") {
    LeaseBook book(std::nullopt);
    book.hold(job_with(1, 11), start);
    book.renewed(book.renewable(), one_verdict(1, Verdict::cancel_requested), start);
    CHECK(book.interruption(1, start + Milliseconds(30'000)) == Interruption::lease_lost);
}

TEST_CASE("a verdict about an earlier claim does not touch the present one",
          "[client][lease_book]") {
    LeaseBook book(std::nullopt);
    book.hold(job_with(1, 11), start);
    const std::vector<Lease> asked = book.renewable();
    book.drop(1);
    book.renewed(asked, one_verdict(1, Verdict::stale_lease), start);
    CHECK(book.renewable().empty());
    book.hold(job_with(1, 12), start);
    book.renewed(asked, one_verdict(1, Verdict::stale_lease), start);
    CHECK(book.interruption(1, start) == Interruption::none);
}

TEST_CASE("waiting ends at once when a lease is due, and for good when closed",
          "[client][lease_book]") {
    LeaseBook book(Milliseconds(1));
    book.hold(job_with(1, 11), start - Milliseconds(1000));
    CHECK(book.wait_until_due());
    book.close();
    CHECK_FALSE(book.wait_until_due());
    CHECK_FALSE(book.wait_for(Milliseconds(60'000)));
}
