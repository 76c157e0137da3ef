// The spelling of faultline.debug_points.
#include <string>

#include <catch2/catch.hpp>

#include "core/debug_points.hpp"

using namespace faultline::core;

namespace {

DebugPlanProblem problem_of(std::string_view text) {
    DebugPlan plan;
    return parse_debug_plan(text, plan).problem;
}

} // namespace

TEST_CASE("a plan gives each named point its action", "[core][debug]") {
    DebugPlan plan;
    plan.fill(DebugAction::abort);
    CHECK(parse_debug_plan("", plan).problem == DebugPlanProblem::none);
    CHECK(plan == DebugPlan{});
    CHECK(parse_debug_plan(" \n", plan).problem == DebugPlanProblem::none);
    CHECK(plan == DebugPlan{});

    CHECK(
        parse_debug_plan("claim_after_update=wait , complete_after_delete = kill", plan).problem ==
        DebugPlanProblem::none);
    for (std::size_t i = 0; i < debug_point_count; i++) {
        auto point = static_cast<DebugPoint>(i);
        auto expected = point == DebugPoint::claim_after_update      ? DebugAction::wait
                        : point == DebugPoint::complete_after_delete ? DebugAction::kill
                                                                     : DebugAction::none;
        CHECK(plan[i] == expected);
    }
}

TEST_CASE("a plan that is not understood names the word at fault", "[core][debug]") {
    DebugPlan plan;
    CHECK(problem_of("claim_after_update") == DebugPlanProblem::no_assignment);
    CHECK(problem_of("claim_after_update=") == DebugPlanProblem::no_assignment);
    CHECK(problem_of("=kill") == DebugPlanProblem::no_assignment);
    CHECK(problem_of("claim_after_update=kill,") == DebugPlanProblem::no_assignment);
    CHECK(problem_of(",claim_after_update=kill") == DebugPlanProblem::no_assignment);
    CHECK(problem_of(",") == DebugPlanProblem::no_assignment);
    CHECK(problem_of("claim_after_update=kill claim_after_update=wait") ==
          DebugPlanProblem::unknown_action);

    DebugPlanCheck check = parse_debug_plan("claim_after_update=kill, claim_after=kill", plan);
    CHECK(check.problem == DebugPlanProblem::unknown_point);
    CHECK(check.word == "claim_after");
    check = parse_debug_plan("claim_after_update=none", plan);
    CHECK(check.problem == DebugPlanProblem::unknown_action);
    CHECK(check.word == "none");
    check = parse_debug_plan("claim_after_update=kill,claim_after_update=kill", plan);
    CHECK(check.problem == DebugPlanProblem::named_twice);
    CHECK(check.word == "claim_after_update");
}

TEST_CASE("after the commit nothing may fail, wait or leave in order", "[core][debug]") {
    for (std::string_view action : {"error", "wait", "inject", "exit"}) {
        std::string text = "transaction_committed=" + std::string(action);
        CHECK(problem_of(text) == DebugPlanProblem::illegal_action);
        text = "transaction_pre_commit=" + std::string(action);
        CHECK(problem_of(text) == DebugPlanProblem::none);
    }
    for (std::string_view action : {"sleep", "stop", "kill", "abort", "drop_connection"})
        CHECK(problem_of("transaction_committed=" + std::string(action)) == DebugPlanProblem::none);
}
