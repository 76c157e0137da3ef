// When a queue takes no more jobs.
#pragma once

#include <cstdint>

namespace faultline::core {

// Nothing new always fits: a repeated request is answered however full the queue is.
constexpr bool has_room(std::int64_t waiting, std::int64_t jobs_new, std::int64_t backlog_max) {
    return jobs_new <= 0 || waiting + jobs_new <= backlog_max;
}

// What a session remembers of a count that was dear.  Times are microseconds.
struct BacklogCount {
    std::int64_t found;
    std::int64_t added; // by this session since; some of it may have been rolled back
    std::int64_t stands_until;
};

enum class Room { enough, none, unknown };

// What the count says of `jobs_new`.  Nobody is refused because of jobs that may not be there: when
// the session's own ones fill the queue, it counts again.
constexpr Room room_by_count(const BacklogCount &count, std::int64_t now, std::int64_t jobs_new,
                             std::int64_t backlog_max) {
    if (now >= count.stands_until)
        return Room::unknown;
    if (has_room(count.found + count.added, jobs_new, backlog_max))
        return Room::enough;
    return count.added == 0 ? Room::none : Room::unknown;
}

static_assert(has_room(9, 1, 10) && !has_room(10, 1, 10) && !has_room(9, 2, 10));
static_assert(has_room(11, 0, 10));

} // namespace faultline::core
