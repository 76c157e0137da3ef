// The rows of idempotency keys.
#pragma once

#include "table.hpp"

namespace faultline {

// The table opened for first uses of keys.
Table open_keys();

struct KeyUse {
    int32 queue_id;
    const text *key;
    const bytea *fingerprint;
    int64 job_id; // the job to be, if this is the key's first use
    TimestampTz now;
};

// Records the first use of a key and returns use.job_id, or returns the job that used it first.
// Waits for a transaction in progress that has used the key.  Raises JQ003 when the first request
// was another one, 40001 when the caller's snapshot is too old to see it.
int64 claim_key(Table &keys, const KeyUse &use);

// Sets when the key of an ended job may be forgotten.
void set_key_expiry(int32 queue_id, const text *key, int64 job_id, TimestampTz expires_at);

} // namespace faultline
