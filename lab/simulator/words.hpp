// Owns the words of a run: who acts, what they call, what goes wrong. Each list is the only one.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace faultline::simulator {

#define SIMULATOR_AS_MEMBER(name) name,
#define SIMULATOR_AS_WORD(name) std::string_view(#name),

// clang-format off
#define SIMULATOR_OPS(op)                                                                          \
    op(enqueue) op(enqueue_many)                                                                   \
    op(claim) op(claim_any) op(turn)                                                               \
    op(complete) op(complete_many) op(fail) op(fail_many) op(extend)                               \
    op(release) op(apply_ledger) op(apply_and_complete) op(apply_and_complete_many)                \
    op(cancel) op(redrive) op(pause_queue) op(resume_queue) op(reverse_transaction)                \
    op(transaction_status) op(read_jobs)                                                           \
    op(expire_leases) op(reconcile) op(maintain)                                                   \
    op(begin) op(commit) op(rollback) op(rollback_to) op(prepare) op(commit_prepared)              \
    op(rollback_prepared)                                                                          \
    op(set_clock) op(restart_server) op(release_hold) op(check_invariants)

#define SIMULATOR_FAULTS(fault)                                                                    \
    fault(none) fault(cut_before_send) fault(cut_after_send) fault(answer_lost_after_commit)       \
    fault(error_at_point) fault(exit_at_point) fault(kill_at_point) fault(hold_at_point)           \
    fault(cancel_at_point) fault(statement_timeout) fault(actor_crash) fault(actor_pause)          \
    fault(repeated_call) fault(wrong_token) fault(cancel_blocked) fault(clock_forward)             \
    fault(clock_back) fault(server_restart) fault(server_crash) fault(ghost_statement)
// clang-format on

enum class Op : std::uint8_t { SIMULATOR_OPS(SIMULATOR_AS_MEMBER) };
enum class Fault : std::uint8_t { SIMULATOR_FAULTS(SIMULATOR_AS_MEMBER) };
enum class Role : std::uint8_t { producer, worker, operate, maintenance, reader, chaos };

inline constexpr std::array op_names = {SIMULATOR_OPS(SIMULATOR_AS_WORD)};
inline constexpr std::array fault_names = {SIMULATOR_FAULTS(SIMULATOR_AS_WORD)};
inline constexpr std::array<std::string_view, 6> role_names = {"producer",    "worker", "operator",
                                                               "maintenance", "reader", "chaos"};

#undef SIMULATOR_AS_MEMBER
#undef SIMULATOR_AS_WORD

inline constexpr std::size_t op_count = op_names.size();
inline constexpr std::size_t fault_count = fault_names.size();
inline constexpr std::size_t role_count = role_names.size();

constexpr std::string_view name_of(Op op) { return op_names[static_cast<std::size_t>(op)]; }
constexpr std::string_view name_of(Fault fault) {
    return fault_names[static_cast<std::size_t>(fault)];
}
constexpr std::string_view name_of(Role role) { return role_names[static_cast<std::size_t>(role)]; }

} // namespace faultline::simulator
