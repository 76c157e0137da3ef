// Column numbers of the tables in sql/faultline/20_tables.sql, in their order there.
#pragma once

#include "../pg.hpp"

namespace faultline {

namespace queue_column {
enum : AttrNumber {
    queue_id = 1,
    name,
    max_attempts,
    lease,
    max_runtime,
    max_backlog,
    retry_budget,
    expected_runtime,
    backoff_base,
    backoff_factor,
    backoff_max,
    backoff_jitter,
    keep_finished,
    keep_keys,
    description,
    paused_at,
    created_at,
    dropped_at,
};
} // namespace queue_column

namespace live_column {
enum : AttrNumber {
    job_id = 1,
    next_run_at,
    enqueued_at,
    cancel_requested_at,
    queue_id,
    attempts_uncounted,
    max_attempts,
    generation,
    priority,
    declares_effect,
    state,
    attempt,
    lease_token,
    lease_expires_at,
    claimed_at,
    lease_milliseconds,
    lease_owner,
    kind,
    idempotency_key,
    payload,
    headers,
    progress,
    last_error,
    cancel_reason,
    history,
};
inline constexpr int count = history;
} // namespace live_column

namespace finished_column {
enum : AttrNumber {
    job_id = 1,
    enqueued_at,
    finished_at,
    lease_token,
    queue_id,
    attempt,
    max_attempts,
    generation,
    priority,
    state,
    declares_effect,
    kind,
    idempotency_key,
    payload,
    headers,
    progress,
    last_error,
    result,
};
inline constexpr int count = result;
} // namespace finished_column

namespace attempt_column {
enum : AttrNumber {
    job_id = 1,
    started_at,
    ended_at,
    lease_token,
    queue_id,
    attempt,
    generation,
    outcome,
    final,
    worker,
    error,
};
inline constexpr int count = error;
} // namespace attempt_column

namespace failed_column {
enum : AttrNumber {
    job_id = 1,
    enqueued_at,
    failed_at,
    claimed_at,
    lease_token,
    queue_id,
    attempt,
    attempts_uncounted,
    max_attempts,
    generation,
    priority,
    reason,
    declares_effect,
    kind,
    lease_owner,
    idempotency_key,
    payload,
    headers,
    progress,
    last_error,
    history,
};
inline constexpr int count = history;
} // namespace failed_column

namespace key_column {
enum : AttrNumber {
    job_id = 1,
    created_at,
    expires_at,
    queue_id,
    key,
    fingerprint,
};
inline constexpr int count = fingerprint;
} // namespace key_column

namespace event_column {
enum : AttrNumber {
    event_id = 1,
    job_id,
    at,
    lease_token,
    queue_id,
    attempt,
    generation,
    from_state,
    to_state,
};
} // namespace event_column

namespace access_column {
enum : AttrNumber {
    role_name = 1,
    level,
    queue,
};
} // namespace access_column

namespace instance_column {
enum : AttrNumber {
    system_identifier = 1,
    database_id,
};
} // namespace instance_column

namespace asset_column {
enum : AttrNumber {
    asset = 1,
    accounts_on_first_use,
};
} // namespace asset_column

namespace account_column {
enum : AttrNumber {
    balance = 1,
    version,
    min_balance,
    max_balance,
    opened_at,
    closed_at,
    account,
    asset,
};
} // namespace account_column

namespace transaction_column {
enum : AttrNumber {
    job_id = 1,
    amount,
    created_at,
    updated_at,
    generation,
    queue_id,
    state,
    transaction_id,
    debit,
    credit,
    asset,
    reverses,
    failure_reason,
    metadata,
};
} // namespace transaction_column

namespace entry_column {
enum : AttrNumber {
    entry_id = 1,
    job_id,
    amount,
    created_at,
    attempt,
    transaction_id,
    debit,
    credit,
    asset,
};
} // namespace entry_column

} // namespace faultline
