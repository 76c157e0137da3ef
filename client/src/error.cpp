// Owns the mapping from SQLSTATE to ErrorCode and to "worth trying again".
#include "faultline/error.hpp"

#include <array>
#include <utility>

#include "core/sqlstate.hpp"

namespace faultline::client {

namespace {

struct CodeOfState {
    std::string_view sqlstate;
    ErrorCode code;
};

constexpr std::array codes_of_states = {
    CodeOfState{core::sqlstate_stale_lease, ErrorCode::stale_lease},
    CodeOfState{core::sqlstate_unknown_job, ErrorCode::unknown_job},
    CodeOfState{core::sqlstate_idempotency_conflict, ErrorCode::idempotency_conflict},
    CodeOfState{core::sqlstate_cancel_requested, ErrorCode::cancel_requested},
    CodeOfState{core::sqlstate_unknown_queue, ErrorCode::unknown_queue},
    CodeOfState{core::sqlstate_illegal_transition, ErrorCode::illegal_transition},
    CodeOfState{core::sqlstate_ledger_conflict, ErrorCode::ledger_conflict},
    CodeOfState{core::sqlstate_ledger_entry_missing, ErrorCode::ledger_entry_missing},
    CodeOfState{core::sqlstate_append_only, ErrorCode::append_only},
    CodeOfState{core::sqlstate_queue_full, ErrorCode::queue_full},
    CodeOfState{core::sqlstate_not_adopted, ErrorCode::not_adopted},
    CodeOfState{core::sqlstate_same_transaction, ErrorCode::same_transaction},
    CodeOfState{core::sqlstate_transaction_failed, ErrorCode::transaction_failed},
    CodeOfState{core::sqlstate_insufficient_funds, ErrorCode::insufficient_funds},
    CodeOfState{core::sqlstate_account_closed, ErrorCode::account_closed},
};

// Whole classes first, then single states. 25006 (read-only) is here because a standby that is
// being promoted answers so for a moment. 57014 is not: a statement that ran into its timeout, or
// was cancelled by a person, is for the caller to judge.
constexpr std::array retryable_classes = {std::string_view{"08"}, std::string_view{"53"}};
constexpr std::array retryable_states = {
    std::string_view{"25006"}, std::string_view{"40001"}, std::string_view{"40003"},
    std::string_view{"40P01"}, std::string_view{"55P03"}, std::string_view{"57P01"},
    std::string_view{"57P02"}, std::string_view{"57P03"}, std::string_view{"57P05"},
    core::sqlstate_queue_full,
};

std::string describe(const ErrorFields &fields) {
    std::string text = fields.message;
    if (!fields.sqlstate.empty()) {
        text += " (SQLSTATE " + fields.sqlstate + ")";
    }
    if (!fields.detail.empty()) {
        text += "; " + fields.detail;
    }
    if (!fields.hint.empty()) {
        text += " Hint: " + fields.hint;
    }
    return text;
}

} // namespace

ErrorCode error_code(std::string_view sqlstate) {
    for (const CodeOfState &entry : codes_of_states) {
        if (entry.sqlstate == sqlstate) {
            return entry.code;
        }
    }
    return ErrorCode::server;
}

bool sqlstate_retryable(std::string_view sqlstate) {
    for (std::string_view state_class : retryable_classes) {
        if (sqlstate.starts_with(state_class)) {
            return true;
        }
    }
    for (std::string_view state : retryable_states) {
        if (sqlstate == state) {
            return true;
        }
    }
    return false;
}

Error::Error(ErrorFields fields)
    : std::runtime_error(describe(fields)),
      fields_(std::make_shared<const ErrorFields>(std::move(fields))),
      code_(fields_->connection_lost ? ErrorCode::connection_lost : error_code(fields_->sqlstate)),
      retryable_(fields_->connection_lost || sqlstate_retryable(fields_->sqlstate)) {
    if (!fields_->connection_lost && fields_->sqlstate.empty()) {
        code_ = ErrorCode::protocol;
    }
}

Error protocol_error(std::string message) {
    ErrorFields fields;
    fields.message = std::move(message);
    return Error(std::move(fields));
}

} // namespace faultline::client
