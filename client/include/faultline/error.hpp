// Owns what can go wrong for a client: one exception type, with Faultline's codes as an enum.
#pragma once

#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>

namespace faultline::client {

enum class ErrorCode {
    stale_lease,
    unknown_job,
    idempotency_conflict,
    cancel_requested,
    unknown_queue,
    illegal_transition,
    ledger_conflict,
    ledger_entry_missing,
    append_only,
    queue_full,
    not_adopted,
    same_transaction,
    transaction_failed,
    insufficient_funds,
    account_closed,
    server, // any other SQLSTATE
    connection_lost,
    protocol, // the answer or the argument is not what this library expects
};

struct ErrorFields {
    std::string sqlstate; // empty when the server gave none
    std::string message;
    std::string detail;
    std::string hint;
    bool connection_lost = false;
    // The statement was sent and its answer was lost: it may or may not have taken effect.
    bool in_doubt = false;
};

ErrorCode error_code(std::string_view sqlstate);

// Whether the same call can succeed later without any change: lost connections, servers that start,
// stop or fail over, serialization failures, deadlocks and exhausted resources.
bool sqlstate_retryable(std::string_view sqlstate);

class Error : public std::runtime_error {
  public:
    explicit Error(ErrorFields fields);

    ErrorCode code() const noexcept { return code_; }
    const std::string &sqlstate() const noexcept { return fields_->sqlstate; }
    const std::string &message() const noexcept { return fields_->message; }
    const std::string &detail() const noexcept { return fields_->detail; }
    const std::string &hint() const noexcept { return fields_->hint; }
    bool retryable() const noexcept { return retryable_; }
    bool in_doubt() const noexcept { return fields_->in_doubt; }

  private:
    // Shared, because an exception must not throw while it is copied.
    std::shared_ptr<const ErrorFields> fields_;
    ErrorCode code_;
    bool retryable_;
};

// The error of a call that this library refuses or an answer that it cannot read.
Error protocol_error(std::string message);

} // namespace faultline::client
