// Hints of jobs that wait, in order: what the ready window is made of.  No locks, no clock and no
// allocation: whoever owns the memory does the locking.
#pragma once

#include <compare>
#include <cstdint>
#include <limits>
#include <type_traits>

namespace faultline::core {

// A job that waits, and where the newest version of its row lies.
struct ReadyHint {
    std::int64_t next_run_at;
    std::int64_t job_id;
    std::uint32_t block;
    std::uint16_t offset;
    std::int16_t priority;
};
static_assert(sizeof(ReadyHint) == 24 && std::is_trivially_copyable_v<ReadyHint>);

// Of one job, and where the same version of its row lies.  Of two others nobody can tell which is
// newer: one may have been read by an old snapshot, or told when somebody rolled back.
constexpr bool same_version(const ReadyHint &left, const ReadyHint &right) {
    return left.job_id == right.job_id && left.block == right.block && left.offset == right.offset;
}

// A place in one of the two orders.  Two hints have the same place only if they are of one job.
struct HintPlace {
    std::int64_t major;
    std::int64_t minor;
    std::int64_t job_id;

    friend constexpr bool operator==(const HintPlace &, const HintPlace &) = default;
    friend constexpr auto operator<=>(const HintPlace &, const HintPlace &) = default;
};

inline constexpr HintPlace before_all_hints = {std::numeric_limits<std::int64_t>::min(), 0, 0};
inline constexpr HintPlace after_all_hints = {std::numeric_limits<std::int64_t>::max(), 0, 0};

// The order in which jobs that are due run.
constexpr HintPlace place_in_turn(const ReadyHint &hint) {
    return {hint.priority, hint.next_run_at, hint.job_id};
}
// The order in which jobs become due.
constexpr HintPlace place_in_time(const ReadyHint &hint) {
    return {hint.next_run_at, hint.priority, hint.job_id};
}
constexpr HintPlace time_before_all_at(std::int64_t time) {
    return {time, std::numeric_limits<std::int64_t>::min(), 0};
}
using PlaceOf = HintPlace (*)(const ReadyHint &);

// A sorted ring: taking from the front and adding at the end move nothing, a batch that belongs in
// the middle is merged in one pass.
template <PlaceOf place_of> class HintRing {
  public:
    // `slots` is a power of two.
    void clear(std::uint32_t slots) {
        mask_ = slots - 1;
        first_ = 0;
        count_ = 0;
    }
    std::uint32_t count() const { return count_; }
    std::uint32_t slots() const { return mask_ + 1; }
    bool empty() const { return count_ == 0; }

    // `memory` is where the owner keeps the hints of this ring.
    const ReadyHint &front(const ReadyHint *memory) const { return memory[first_ & mask_]; }
    const ReadyHint &back(const ReadyHint *memory) const { return at(memory, count_ - 1); }
    const ReadyHint &at(const ReadyHint *memory, std::uint32_t position) const {
        return memory[(first_ + position) & mask_];
    }
    void drop_front() {
        ++first_;
        --count_;
    }
    void drop_back() { --count_; }
    // Forgets the hints at this place and behind it.
    void cut_at(const ReadyHint *memory, HintPlace place) { count_ = position_of(memory, place); }
    // Adds hints that are sorted, but for those it has.  Two of one job do no harm: they are of
    // different versions of its row, which tells the one that is outdated.  May change the order of
    // `hints`.  What does not fit is left out, the last ones of both: returns the first place left
    // out, or after_all_hints.
    HintPlace merge(ReadyHint *memory, ReadyHint *hints, std::uint32_t hint_count) {
        hint_count = leave_out_known(memory, hints, hint_count);
        HintPlace left_out = after_all_hints;
        while (count_ + hint_count > slots()) {
            bool last_is_new = hint_count > 0 && (empty() || place_of(hints[hint_count - 1]) >
                                                                 place_of(back(memory)));
            left_out = place_of(last_is_new ? hints[hint_count - 1] : back(memory));
            last_is_new ? --hint_count : --count_;
        }
        std::uint32_t old = count_;
        std::uint32_t added = hint_count;
        count_ += hint_count;
        for (std::uint32_t to = count_; added > 0; --to) {
            bool take_old = old > 0 && place_of(at(memory, old - 1)) > place_of(hints[added - 1]);
            slot(memory, to - 1) = take_old ? at(memory, --old) : hints[--added];
        }
        return left_out;
    }

    // The position of the first hint that is not before `place`.
    std::uint32_t position_of(const ReadyHint *memory, HintPlace place) const {
        std::uint32_t low = 0;
        std::uint32_t high = count_;
        while (low < high) {
            std::uint32_t middle = low + (high - low) / 2;
            if (place_of(at(memory, middle)) < place)
                low = middle + 1;
            else
                high = middle;
        }
        return low;
    }

  private:
    ReadyHint &slot(ReadyHint *memory, std::uint32_t position) {
        return memory[(first_ + position) & mask_];
    }

    bool knows(const ReadyHint *memory, const ReadyHint &hint) const {
        HintPlace place = place_of(hint);
        for (std::uint32_t position = position_of(memory, place);
             position < count_ && place_of(at(memory, position)) == place; ++position)
            if (same_version(at(memory, position), hint))
                return true;
        return false;
    }

    // Returns how many hints are left to be added.
    std::uint32_t leave_out_known(const ReadyHint *memory, ReadyHint *hints,
                                  std::uint32_t hint_count) {
        if (empty() || hint_count == 0 || place_of(hints[0]) > place_of(back(memory)))
            return hint_count;
        std::uint32_t kept = 0;
        for (std::uint32_t i = 0; i < hint_count; ++i)
            if (!knows(memory, hints[i]))
                hints[kept++] = hints[i];
        return kept;
    }

    std::uint32_t first_ = 0;
    std::uint32_t count_ = 0;
    std::uint32_t mask_ = 0;
};

} // namespace faultline::core
