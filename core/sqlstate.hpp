// Owns the SQLSTATEs of Faultline's own errors, class JQ. Every room spells them from here.
#pragma once

#include <string_view>

namespace faultline::core {

inline constexpr std::string_view sqlstate_stale_lease = "JQ001";
inline constexpr std::string_view sqlstate_unknown_job = "JQ002";
inline constexpr std::string_view sqlstate_idempotency_conflict = "JQ003";
inline constexpr std::string_view sqlstate_cancel_requested = "JQ004";
inline constexpr std::string_view sqlstate_unknown_queue = "JQ005";
inline constexpr std::string_view sqlstate_illegal_transition = "JQ006";
inline constexpr std::string_view sqlstate_ledger_conflict = "JQ007";
inline constexpr std::string_view sqlstate_ledger_entry_missing = "JQ008";
inline constexpr std::string_view sqlstate_append_only = "JQ009";
inline constexpr std::string_view sqlstate_queue_full = "JQ010";
inline constexpr std::string_view sqlstate_not_adopted = "JQ011";
inline constexpr std::string_view sqlstate_same_transaction = "JQ012";
inline constexpr std::string_view sqlstate_transaction_failed = "JQ013";
inline constexpr std::string_view sqlstate_insufficient_funds = "JQ014";
inline constexpr std::string_view sqlstate_account_closed = "JQ015";

} // namespace faultline::core
