// What a session keeps for a queue when no memory is shared.
#pragma once

#include "storage/relations.hpp"

namespace faultline {

// A session works for few queues: when another one takes the place, what was kept is forgotten.
template <typename Value> class PerQueue {
  public:
    // A value that was not there begins as `Value{}`.
    Value &of(int32 queue_id) {
        Place &place = places_[static_cast<uint32>(queue_id) % lengthof(places_)];
        Oid live_jobs = relation_ids().live_jobs;
        if (place.live_jobs != live_jobs || place.queue_id != queue_id)
            place = {.live_jobs = live_jobs, .queue_id = queue_id, .value = {}};
        return place.value;
    }

  private:
    struct Place {
        Oid live_jobs; // tells an extension from the one made after it
        int32 queue_id;
        Value value;
    };
    Place places_[8];
};

} // namespace faultline
