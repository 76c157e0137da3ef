// What is counted per queue, and the buckets of the histograms: one list for the server library,
// its tests and, through the functions that report them, the documentation.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace faultline::core {

// What happens to jobs and to calls about them.  A line each: the word is what views show.
// clang-format off
#define FAULTLINE_JOB_EVENTS(event)                                                                \
    event(enqueued)                                                                                \
    event(deduplicated)                                                                            \
    event(claimed)                                                                                 \
    event(completed)                                                                               \
    event(attempt_failed)                                                                          \
    event(lease_expired)                                                                           \
    event(released)                                                                                \
    event(retried)                                                                                 \
    event(dead)                                                                                    \
    event(cancelled)                                                                               \
    event(redriven)                                                                                \
    event(purged)                                                                                  \
    event(claim_empty)                                                                             \
    event(stale_rejected)                                                                          \
    event(enqueue_refused)                                                                         \
    event(retries_deferred)
// clang-format on

#define FAULTLINE_AS_MEMBER(name) name,
#define FAULTLINE_AS_WORD(name) std::string_view(#name),
enum class JobEvent : std::uint8_t { FAULTLINE_JOB_EVENTS(FAULTLINE_AS_MEMBER) };
inline constexpr std::array job_event_names = {FAULTLINE_JOB_EVENTS(FAULTLINE_AS_WORD)};
#undef FAULTLINE_AS_MEMBER
#undef FAULTLINE_AS_WORD
inline constexpr std::size_t job_event_count = job_event_names.size();

// How long things took.  Runs are told apart by how they ended.
enum class Latency : std::uint8_t {
    wait, // from when a job could run until it was claimed
    claim,
    run_succeeded,
    run_failed,
    run_lease_expired,
    run_released,
    run_cancelled,
};

struct LatencyName {
    std::string_view measure;
    std::string_view outcome; // of a run; empty for the others
};
inline constexpr std::array latency_names = {
    LatencyName{"wait", ""},
    LatencyName{"claim", ""},
    LatencyName{"run", "succeeded"},
    LatencyName{"run", "failed"},
    LatencyName{"run", "lease_expired"},
    LatencyName{"run", "released"},
    LatencyName{"run", "cancelled"},
};
inline constexpr std::size_t latency_count = latency_names.size();
static_assert(latency_count == static_cast<std::size_t>(Latency::run_cancelled) + 1);

// Upper bounds of the buckets; what lies above the last one goes into one more.
inline constexpr std::array<std::int64_t, 14> latency_bounds_microseconds = {
    1'000,     2'500,     5'000,      10'000,     25'000,      100'000,     500'000,
    1'000'000, 5'000'000, 15'000'000, 60'000'000, 300'000'000, 900'000'000, 3'600'000'000,
};
inline constexpr std::size_t latency_bucket_count = latency_bounds_microseconds.size() + 1;

constexpr std::size_t latency_bucket(std::int64_t microseconds) {
    std::size_t bucket = 0;
    while (bucket < latency_bounds_microseconds.size() &&
           microseconds > latency_bounds_microseconds[bucket])
        bucket++;
    return bucket;
}
static_assert(latency_bucket(-1) == 0 && latency_bucket(1'000) == 0 && latency_bucket(1'001) == 1);
static_assert(latency_bucket(3'600'000'000) == latency_bucket_count - 2);
static_assert(latency_bucket(3'600'000'001) == latency_bucket_count - 1);

// Events per minute are kept for so long, in a ring.
inline constexpr int recent_minutes_kept = 16;
// The time that rates are taken over.
inline constexpr int rate_minutes = 5;
static_assert(rate_minutes < recent_minutes_kept);

} // namespace faultline::core
