// Queue names and the words of the contract.
#include <set>
#include <string>

#include <catch2/catch.hpp>

#include "core/job_state.hpp"
#include "core/queue_name.hpp"
#include "core/sqlstate.hpp"

using namespace faultline::core;

TEST_CASE("a queue name has 1 to 128 letters, digits and _.:-", "[core][names]") {
    CHECK(queue_name_valid("q"));
    CHECK(queue_name_valid("mail.send:eu-1_B"));
    CHECK(queue_name_valid(std::string(128, 'x')));
    CHECK_FALSE(queue_name_valid(std::string(129, 'x')));
    CHECK_FALSE(queue_name_valid(""));
    CHECK_FALSE(queue_name_valid("two words"));
    CHECK_FALSE(queue_name_valid("quote'"));
    CHECK_FALSE(queue_name_valid("a\"b"));
    CHECK_FALSE(queue_name_valid("a;DROP"));
    CHECK_FALSE(queue_name_valid("gr\xc3\xbc\xc3\x9f"));
    CHECK_FALSE(queue_name_valid(std::string("a\0b", 3)));
    CHECK_FALSE(queue_name_valid("line\n"));
}

TEST_CASE("each job state has its own name and letter", "[core][names]") {
    std::set<std::string> names;
    std::set<char> letters;
    for (const JobState state : job_states) {
        names.emplace(state_name(state));
        letters.insert(static_cast<char>(state));
    }
    CHECK(names == std::set<std::string>{"queued", "running", "succeeded", "failed", "cancelled"});
    CHECK(letters.size() == names.size());
}

TEST_CASE("the SQLSTATEs are those that the documentation promises", "[core][names]") {
    CHECK(sqlstate_stale_lease == "JQ001");
    CHECK(sqlstate_unknown_job == "JQ002");
    CHECK(sqlstate_idempotency_conflict == "JQ003");
    CHECK(sqlstate_cancel_requested == "JQ004");
    CHECK(sqlstate_unknown_queue == "JQ005");
    CHECK(sqlstate_illegal_transition == "JQ006");
    CHECK(sqlstate_same_transaction == "JQ012");
}
