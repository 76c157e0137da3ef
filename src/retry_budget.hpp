// The budget of a queue's retries.
#pragma once

#include "policy.hpp"

namespace faultline {

void earn_retries(const QueuePolicy &policy, int first_starts);
bool pay_retry(const QueuePolicy &policy);

// Whether a retry has to be put off; takes its token if not.
inline bool retry_is_over_budget(const QueuePolicy &policy) {
    return policy.retry_budget > 0 && !pay_retry(policy);
}

} // namespace faultline
