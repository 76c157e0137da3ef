// Debug points: places where tests make a session fail, wait or die.  Nothing happens at one unless
// faultline.lab is on and faultline.debug_points names it.
#pragma once

#include "pg.hpp"

#include "../core/debug_points.hpp"

namespace faultline {

using core::DebugPoint;

// Key 1 of the advisory lock that the action wait waits for is hashtext() of this name, key 2 is
// hashtext() of the point's.
inline constexpr std::string_view debug_points_lock_class = "faultline.debug_points";

extern bool debug_points_armed;

void reach_debug_point(DebugPoint point);

// Costs one branch while nothing is armed.
inline void debug_point(DebugPoint point) {
    if (unlikely(debug_points_armed))
        reach_debug_point(point);
}

// True when a test has a protection left out: layer_fence, the lease token; layer_state, what the
// rows of the ledger say.
bool is_skipped(DebugPoint point);
inline bool debug_point_skips(DebugPoint point) {
    return unlikely(debug_points_armed) && is_skipped(point);
}

// Hooks of the setting.
bool check_debug_points(char **value, void **extra, GucSource source);
void assign_debug_points(const char *value, void *extra);

} // namespace faultline
