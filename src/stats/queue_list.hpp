// The queues of this database.
#pragma once

#include "../pg.hpp"

namespace faultline {

struct QueueList {
    int32 *ids;
    int count;
};

// Those that are not dropped.  visible: only those on which the caller has any level.
QueueList list_queues(bool visible);

} // namespace faultline
