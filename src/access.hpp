// Who may do what on which queue.
#pragma once

#include "policy.hpp"

namespace faultline {

// True when the user owns the extension or was granted the level on the queue.
bool has_access(const QueuePolicy &policy, AccessLevel level, Oid user);
inline bool has_access(const QueuePolicy &policy, AccessLevel level) {
    return has_access(policy, level, GetUserId());
}

void register_access_callbacks();

} // namespace faultline
