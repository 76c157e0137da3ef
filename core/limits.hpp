// Every bound of the contract, named once; errors name the same numbers.
#pragma once

#include <cstdint>

namespace faultline::core {

inline constexpr std::int64_t microseconds_per_millisecond = 1'000;
inline constexpr std::int64_t microseconds_per_second = 1'000'000;
inline constexpr std::int64_t microseconds_per_minute = 60 * microseconds_per_second;
inline constexpr std::int64_t microseconds_per_day = 86'400 * microseconds_per_second;

inline constexpr int queue_name_bytes_max = 128;
inline constexpr int kind_bytes_max = 128;
inline constexpr int key_bytes_max = 512;
inline constexpr int worker_bytes_max = 256;
inline constexpr int reason_bytes_max = 1024;
// Longer error texts are cut: a worker must never fail because its failure is long.
inline constexpr int error_bytes_max = 16 * 1024;

// A dead letter must always be written, and jsonb ends at 256 MB.  So the errors of one generation
// share this much of the history, and what earlier generations left is dropped when it is larger.
inline constexpr int history_bytes_max = 64 * 1024 * 1024;

inline constexpr int account_bytes_max = 255;
inline constexpr int asset_bytes_max = 64;
// Amounts are whole numbers of the asset's smallest unit; two of them cannot overflow a bigint.
inline constexpr std::int64_t amount_min = 1;
inline constexpr std::int64_t amount_max = std::int64_t{1} << 62;
// Metadata of a transaction, as stored in memory.
inline constexpr int metadata_bytes_max = 64 * 1024;
// A redrive appends ~ and the generation to what the producer declared, so callers may have to
// pass, and rows hold, more than a producer may declare.
inline constexpr int transaction_id_bytes_max = 255;
inline constexpr int derived_transaction_id_bytes_max = transaction_id_bytes_max + 12;

inline constexpr int priority_min = -32768;
inline constexpr int priority_max = 32767;
inline constexpr int max_attempts_min = 1;
inline constexpr int max_attempts_max = 10'000;

inline constexpr int claim_jobs_max = 10'000;
inline constexpr int batch_jobs_max = 100'000;
inline constexpr int maintenance_jobs_default = 1000;
inline constexpr int maintenance_jobs_max = 100'000;

inline constexpr std::int64_t lease_microseconds_min = 100'000;
inline constexpr std::int64_t lease_microseconds_max = microseconds_per_day;
inline constexpr std::int64_t max_runtime_microseconds_min = microseconds_per_second;
inline constexpr std::int64_t max_runtime_microseconds_max = 30 * microseconds_per_day;
// Delays, back-off and retention share one ceiling of ten years.
inline constexpr std::int64_t delay_microseconds_max = 3'650 * microseconds_per_day;

// wait_for_jobs().
inline constexpr int wait_queues_max = 32;
inline constexpr std::int64_t wait_microseconds_default = 20 * microseconds_per_second;
inline constexpr std::int64_t wait_microseconds_max = microseconds_per_day;
// So often one of the waiters of a queue looks for jobs that nobody was told of, such as those of
// prepared transactions; without shared memory every waiter looks, this often.
inline constexpr std::int64_t wait_look_microseconds = microseconds_per_second;
inline constexpr std::int64_t wait_poll_microseconds = 100'000;
// After a look a waiter pauses this many times as long as the look took.
inline constexpr int wait_look_cost_factor = 50;

// Expired leases that one claim settles on its way, besides the jobs it was asked for.
inline constexpr int claim_takeovers_max = 16;

// Without counters a session counts the jobs that wait for itself.  A count that looked at no more
// index entries than this is made anew for each call; a larger one stands for a while.
inline constexpr std::int64_t backlog_entries_cheap = 1000;
// After a count it stands this many times as long as it took.
inline constexpr int backlog_count_cost_factor = 50;

inline constexpr double backoff_factor_min = 1.0;
inline constexpr double backoff_factor_max = 100.0;

} // namespace faultline::core
