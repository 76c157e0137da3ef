// Owns what happens at a debug point, and the plan of this session: an action for each point.
#include "debug_point.hpp"

#include "arguments.hpp"
#include "settings.hpp"

#include <csignal>
#include <cstdlib>

namespace faultline {

bool debug_points_armed = false;

namespace {

core::DebugPlan plan = {};

int32 hash_of(std::string_view name) {
    return static_cast<int32>(hash_bytes(reinterpret_cast<const unsigned char *>(name.data()),
                                         static_cast<int>(name.size())));
}

// The lock of pg_advisory_lock(hashtext('faultline.debug_points'), hashtext('POINT')), shared, so
// that those who wait at one point go on together.
void wait_for_release(DebugPoint point) {
    constexpr int of_two_keys = 2; // as the server marks advisory locks of two integers
    LOCKTAG lock;
    SET_LOCKTAG_ADVISORY(lock, MyDatabaseId, hash_of(debug_points_lock_class),
                         hash_of(core::debug_point_name(point)), of_two_keys);
    LockAcquire(&lock, ShareLock, false, false);
    LockRelease(&lock, ShareLock, false);
}

// In slices, so that a cancel request is heard where the session may hear one.
void sleep_a_moment() {
    constexpr int slice_milliseconds = 10;
    constexpr int microseconds_per_millisecond = 1000;
    for (int slept = 0; slept < core::debug_sleep_milliseconds; slept += slice_milliseconds) {
        CHECK_FOR_INTERRUPTS();
        pg_usleep(slice_milliseconds * microseconds_per_millisecond);
    }
}

void raise_debug_error(DebugPoint point) {
    ereport(ERROR, errcode(ERRCODE_EXTERNAL_ROUTINE_EXCEPTION),
            errmsg("debug point \"%s\" was reached", core::debug_point_name(point).data()),
            errdetail("faultline.debug_points makes it an error."),
            errhint("It is for tests only: RESET faultline.debug_points."));
}

// The session does not notice before it next talks to its client.
void drop_connection() {
    if (MyProcPort != nullptr)
        shutdown(MyProcPort->sock, SHUT_RDWR);
}

void explain(const core::DebugPlanCheck &check) {
    auto length = static_cast<int>(check.word.size());
    const char *word = check.word.data();
    switch (check.problem) {
    case core::DebugPlanProblem::none:
        break;
    case core::DebugPlanProblem::no_assignment:
        GUC_check_errdetail("It is a list of point=action, separated by commas.");
        break;
    case core::DebugPlanProblem::unknown_point:
        GUC_check_errdetail("There is no debug point \"%.*s\".", length, word);
        GUC_check_errhint("Points: %s.", core::debug_points_listed);
        break;
    case core::DebugPlanProblem::unknown_action:
        GUC_check_errdetail("There is no action \"%.*s\".", length, word);
        GUC_check_errhint("Actions: %s.", core::debug_actions_listed);
        break;
    case core::DebugPlanProblem::named_twice:
        GUC_check_errdetail("Debug point \"%.*s\" is named twice.", length, word);
        break;
    case core::DebugPlanProblem::illegal_action:
        GUC_check_errdetail(
            "\"%.*s\" cannot be: after the commit nothing can fail or wait, and only "
            "a layer can be skipped.",
            length, word);
        GUC_check_errhint(
            "Actions at transaction_committed: sleep, stop, kill, abort, drop_connection; at "
            "layer_fence and layer_state: skip.");
        break;
    }
}

} // namespace

void reach_debug_point(DebugPoint point) {
    // A reload may have switched it off under a session that is armed.
    if (!settings::lab)
        return;
    switch (plan[static_cast<std::size_t>(point)]) {
    case core::DebugAction::none:
    case core::DebugAction::skip:
        break;
    case core::DebugAction::error:
        raise_debug_error(point);
        break;
    case core::DebugAction::wait:
        wait_for_release(point);
        break;
    case core::DebugAction::sleep:
        sleep_a_moment();
        break;
    case core::DebugAction::inject:
        run_injection_point(psprintf("faultline-%s", core::debug_point_name(point).data()));
        break;
    case core::DebugAction::stop:
        std::raise(SIGSTOP);
        break;
    case core::DebugAction::kill:
        std::raise(SIGKILL);
        break;
    case core::DebugAction::exit:
        proc_exit(1);
    case core::DebugAction::abort:
        std::abort();
    case core::DebugAction::drop_connection:
        drop_connection();
        break;
    }
}

bool is_skipped(DebugPoint point) {
    return settings::lab && plan[static_cast<std::size_t>(point)] == core::DebugAction::skip;
}

bool check_debug_points(char **value, void **, GucSource) {
    if (*value == nullptr)
        return true;
    core::DebugPlan parsed;
    core::DebugPlanCheck check = core::parse_debug_plan(*value, parsed);
    if (check.problem != core::DebugPlanProblem::none) {
        explain(check);
        return false;
    }
    if (!has_injection_points && core::has_action(parsed, core::DebugAction::inject)) {
        GUC_check_errcode(ERRCODE_FEATURE_NOT_SUPPORTED);
        GUC_check_errdetail("This server was built without injection points.");
        GUC_check_errhint("PostgreSQL 17 and later have them when configured with "
                          "--enable-injection-points.");
        return false;
    }
    // A parallel worker takes over its leader's settings in any order.
    if (!settings::lab && !InitializingParallelWorker && parsed != core::DebugPlan{}) {
        GUC_check_errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE);
        GUC_check_errdetail("faultline.lab is off.");
        GUC_check_errhint("It is for tests only: set faultline.lab = on in postgresql.conf, above "
                          "faultline.debug_points.");
        return false;
    }
    return true;
}

void assign_debug_points(const char *value, void *) {
    core::parse_debug_plan(value == nullptr ? std::string_view() : std::string_view(value), plan);
    debug_points_armed = plan != core::DebugPlan{};
}

} // namespace faultline

FAULTLINE_FUNCTION(faultline_reach_debug_point) {
    using namespace faultline;
    const text *name = required_text(fcinfo, 0, "name");
    if (!debug_points_armed)
        PG_RETURN_VOID();
    int position = core::debug_point_position(
        {VARDATA_ANY(name), static_cast<size_t>(VARSIZE_ANY_EXHDR(name))});
    if (position < 0)
        ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                errmsg("there is no debug point \"%s\"", text_to_cstring(name)),
                errdetail("Points: %s.", core::debug_points_listed),
                errhint("Add it to core/debug_points.hpp."));
    debug_point(static_cast<DebugPoint>(position));
    PG_RETURN_VOID();
}
