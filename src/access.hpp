// Who may do what on which queue.
#pragma once

#include "policy.hpp"

namespace faultline {

// The role that owns the extension's tables.
Oid owner_of_extension();

// True when the current user owns the extension or was granted the level on the queue.  A policy
// without a name stands for all queues, those to come included.
bool has_access(const QueuePolicy &policy, AccessLevel level);

// True when the current user has any level on the queue.
bool queue_visible(const QueuePolicy &policy);

void register_access_callbacks();

} // namespace faultline
