// Owns the list of debug points: named places in the server library where a test makes a session
// fail, wait or die.  A new point is one line here and debug_point(DebugPoint::NAME) in src/, or
// for duty_NAME a branch of faultline.run_duty().  Also how the setting spells points and actions.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace faultline::core {

// A line each: make lint reads them.
// clang-format off
#define FAULTLINE_DEBUG_POINTS(point)                                                              \
    point(enqueue_after_insert)                                                                    \
    point(claim_after_taking)                                                                      \
    point(claim_after_update)                                                                      \
    point(complete_after_delete)                                                                   \
    point(complete_after_archive)                                                                  \
    point(fail_before_settle)                                                                      \
    point(settle_before_update)                                                                    \
    point(expire_between_rows)                                                                     \
    point(expire_after_lock)                                                                       \
    point(look_after_memory)                                                                       \
    point(extend_before_memory)                                                                    \
    point(extend_after_memory)                                                                     \
    point(extend_after_update)                                                                     \
    point(release_after_update)                                                                    \
    point(redrive_after_insert)                                                                    \
    point(cancel_after_update)                                                                     \
    point(apply_before_entry)                                                                      \
    point(apply_after_entry)                                                                       \
    point(apply_after_state)                                                                       \
    point(apply_after_complete)                                                                    \
    point(layer_fence)                                                                             \
    point(layer_state)                                                                             \
    point(refill_before_snapshot)                                                                  \
    point(refill_before_merge)                                                                     \
    point(transaction_pre_commit)                                                                  \
    point(transaction_committed)                                                                   \
    point(count_after_snapshot)                                                                    \
    point(duty_expire_leases)                                                                      \
    point(duty_reconcile)                                                                          \
    point(duty_expire_keys)                                                                        \
    point(duty_create_partitions)                                                                  \
    point(duty_drop_partitions)                                                                    \
    point(duty_delete_finished)                                                                    \
    point(duty_sweep_windows)                                                                      \
    point(duty_audit)                                                                              \
    point(duty_count_jobs)
// clang-format on

#define FAULTLINE_DEBUG_ACTIONS(action)                                                            \
    action(error) action(wait) action(sleep) action(inject) action(stop) action(kill) action(exit) \
        action(abort) action(drop_connection) action(skip)

#define FAULTLINE_AS_MEMBER(name) name,
#define FAULTLINE_AS_WORD(name) std::string_view(#name),
#define FAULTLINE_AS_TEXT(name) ", " #name

enum class DebugPoint : std::uint8_t { FAULTLINE_DEBUG_POINTS(FAULTLINE_AS_MEMBER) };
enum class DebugAction : std::uint8_t { none, FAULTLINE_DEBUG_ACTIONS(FAULTLINE_AS_MEMBER) };

// In the order of the enums; that of the actions begins with the first one after none.
inline constexpr std::array debug_point_names = {FAULTLINE_DEBUG_POINTS(FAULTLINE_AS_WORD)};
inline constexpr std::array debug_action_names = {FAULTLINE_DEBUG_ACTIONS(FAULTLINE_AS_WORD)};

// For messages.
inline constexpr const char *debug_points_listed = &(FAULTLINE_DEBUG_POINTS(FAULTLINE_AS_TEXT))[2];
inline constexpr const char *debug_actions_listed =
    &(FAULTLINE_DEBUG_ACTIONS(FAULTLINE_AS_TEXT))[2];

#undef FAULTLINE_AS_MEMBER
#undef FAULTLINE_AS_WORD
#undef FAULTLINE_AS_TEXT

// What the action sleep takes.
inline constexpr int debug_sleep_milliseconds = 100;

inline constexpr std::size_t debug_point_count = debug_point_names.size();

using DebugPlan = std::array<DebugAction, debug_point_count>;

constexpr bool has_action(const DebugPlan &plan, DebugAction action) {
    for (DebugAction planned : plan)
        if (planned == action)
            return true;
    return false;
}

constexpr std::string_view debug_point_name(DebugPoint point) {
    return debug_point_names[static_cast<std::size_t>(point)];
}

template <std::size_t Count>
constexpr int position_of(const std::array<std::string_view, Count> &names, std::string_view name) {
    for (std::size_t i = 0; i < Count; i++)
        if (names[i] == name)
            return static_cast<int>(i);
    return -1;
}

// -1 for an unknown name.
constexpr int debug_point_position(std::string_view name) {
    return position_of(debug_point_names, name);
}

// A protection that can be left out, to show that the others hold without it.
constexpr bool is_layer(DebugPoint point) {
    return point == DebugPoint::layer_fence || point == DebugPoint::layer_state;
}

// After the commit record a session can neither raise, nor wait for a lock, nor leave in order.
constexpr bool legal_at(DebugPoint point, DebugAction action) {
    if (is_layer(point) || action == DebugAction::skip)
        return is_layer(point) && action == DebugAction::skip;
    return point != DebugPoint::transaction_committed || action == DebugAction::sleep ||
           action == DebugAction::stop || action == DebugAction::kill ||
           action == DebugAction::abort || action == DebugAction::drop_connection;
}

enum class DebugPlanProblem {
    none,
    no_assignment,
    unknown_point,
    unknown_action,
    named_twice,
    illegal_action,
};

struct DebugPlanCheck {
    DebugPlanProblem problem;
    std::string_view word; // what the problem is with
};

constexpr std::string_view without_blanks(std::string_view text) {
    while (!text.empty() && (text.front() == ' ' || text.front() == '\t' || text.front() == '\n'))
        text.remove_prefix(1);
    while (!text.empty() && (text.back() == ' ' || text.back() == '\t' || text.back() == '\n'))
        text.remove_suffix(1);
    return text;
}

// Cuts the text up to the mark, or all of it, off the front of the rest.
constexpr std::string_view cut(std::string_view &rest, char mark) {
    std::size_t length = 0;
    while (length < rest.size() && rest[length] != mark)
        length++;
    std::string_view first(rest.data(), length);
    rest.remove_prefix(length < rest.size() ? length + 1 : length);
    return without_blanks(first);
}

constexpr DebugPlanCheck parse_assignment(std::string_view assignment, DebugPlan &plan) {
    std::string_view rest = assignment;
    std::string_view point_name = cut(rest, '=');
    std::string_view action_name = without_blanks(rest);
    if (point_name.empty() || action_name.empty())
        return {DebugPlanProblem::no_assignment, assignment};
    int point = debug_point_position(point_name);
    if (point < 0)
        return {DebugPlanProblem::unknown_point, point_name};
    int position = position_of(debug_action_names, action_name);
    if (position < 0)
        return {DebugPlanProblem::unknown_action, action_name};
    auto action = static_cast<DebugAction>(position + 1);
    if (!legal_at(static_cast<DebugPoint>(point), action))
        return {DebugPlanProblem::illegal_action, assignment};
    DebugAction &planned = plan[static_cast<std::size_t>(point)];
    if (planned != DebugAction::none)
        return {DebugPlanProblem::named_twice, point_name};
    planned = action;
    return {DebugPlanProblem::none, {}};
}

// Reads "point=action, point=action"; blank text is an empty plan.
constexpr DebugPlanCheck parse_debug_plan(std::string_view text, DebugPlan &plan) {
    plan = {};
    std::string_view rest = without_blanks(text);
    if (!rest.empty() && rest.back() == ',')
        return {DebugPlanProblem::no_assignment, {}};
    while (!rest.empty()) {
        DebugPlanCheck check = parse_assignment(cut(rest, ','), plan);
        if (check.problem != DebugPlanProblem::none)
            return check;
    }
    return {DebugPlanProblem::none, {}};
}

} // namespace faultline::core
