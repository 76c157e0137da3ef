// Implements the calls, each kind of transaction around them, and what is counted.
#include "caller.hpp"

#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <stdexcept>

namespace faultline::fuzz {

namespace {

constexpr int statement_milliseconds_max = 60'000;
constexpr int cancel_milliseconds_max = 3;
constexpr int cancel_per_mille = 20;
constexpr int heavy_per_mille = 50;
constexpr std::size_t leases_known_max = 40;
constexpr std::uint64_t transactions_per_ground = 40;
constexpr std::size_t internal_errors_kept = 20;
constexpr int queue_count = 5;

} // namespace

void Account::add(const Account &other) {
    calls += other.calls;
    cancelled += other.cancelled;
    for (const auto &[sqlstate, count] : other.sqlstates)
        sqlstates[sqlstate] += count;
    for (const auto &[context, count] : other.contexts)
        contexts[context] += count;
    succeeded.insert(other.succeeded.begin(), other.succeeded.end());
    internal_errors.insert(internal_errors.end(), other.internal_errors.begin(),
                           other.internal_errors.end());
    if (other.bytes_grown_max >= bytes_grown_max) {
        bytes_grown_max = other.bytes_grown_max;
        largest_memory = other.largest_memory;
    }
}

Caller::Caller(const std::string &conninfo, std::uint64_t seed, int number)
    : session_(conninfo, fmt::format("fuzz-{}", number)), seed_(seed), number_(number),
      choice_(seed, 0), functions_(read_functions(session_)) {
    if (functions_.empty())
        throw std::runtime_error("this user may not call any function");
    for (int i = 0; i < queue_count; ++i)
        known_.queues.push_back(fmt::format("q{}", i));
    // Calls that wait are meant to, but not for long.
    session_.execute("SET statement_timeout = '2s'");
    session_.execute("SET lock_timeout = '1s'");
    session_.execute("SET client_min_messages = error");
}

const std::vector<Caller::Context> &Caller::contexts() {
    static const std::vector<Context> all{
        {"plain", &Caller::plain},
        {"savepoint", &Caller::savepoint},
        {"rolled back", &Caller::rolled_back},
        {"read only", &Caller::read_only},
        {"prepared", &Caller::prepared},
        {"cursor", &Caller::cursor},
        {"loop", &Caller::loop},
        {"trigger", &Caller::trigger},
        {"parallel", &Caller::parallel},
    };
    return all;
}

Account Caller::run(std::int64_t calls) {
    double bytes_in_the_middle = 0;
    while (account_.calls < calls) {
        if (step_ % transactions_per_ground == 0)
            prepare_ground();
        next_transaction();
        if (bytes_in_the_middle == 0 && account_.calls >= calls / 2)
            bytes_in_the_middle = memory_bytes();
    }
    account_.bytes_grown_max = memory_bytes() - bytes_in_the_middle;
    account_.largest_memory = largest_memory();
    return account_;
}

void Caller::next_transaction() {
    choice_ = Choice(seed_ + static_cast<std::uint64_t>(number_), ++step_);
    const auto &all = contexts();
    const Context &context =
        all[static_cast<std::size_t>(choice_.below("context", static_cast<int>(all.size())))];
    const std::int64_t before = account_.calls;
    (this->*context.run)();
    account_.contexts[context.name] += account_.calls - before;
}

void Caller::prepare_ground() {
    const std::string queue = fmt::format("q{}", step_ / transactions_per_ground % queue_count);
    for (const std::string &statement :
         {fmt::format("SELECT faultline.create_queue('{}')", queue),
          std::string("SELECT faultline.adopt()"),
          fmt::format("SELECT faultline.resume_queue('{}')", queue),
          std::string("SELECT faultline.create_asset('EUR', true)"),
          fmt::format("SELECT faultline.enqueue_many('{}', '{{1,2,3,4}}')", queue),
          fmt::format("SELECT faultline.enqueue('{}', ledger => {})", queue,
                      effect_declaration(static_cast<int>(step_ % 500), 1))})
        run_statement(statement, false);
    if (!run_statement(
            fmt::format("SELECT job_id, lease_token FROM faultline.claim('{}', 'fuzz', 4)", queue),
            false))
        return;
    const client::Result claimed = session_.take_result();
    for (int row = 0; row < claimed.row_count(); ++row)
        known_.leases.push_back(
            {std::string(claimed.text(row, 0)), std::string(claimed.text(row, 1))});
    if (known_.leases.size() > leases_known_max)
        known_.leases.erase(known_.leases.begin(),
                            known_.leases.end() - static_cast<int>(leases_known_max));
}

const Function &Caller::next_function() {
    const int count = static_cast<int>(functions_.size());
    // A heavy one gives way to another one, nearly always.
    for (int attempt = 0;; ++attempt) {
        const std::string purpose = fmt::format("function {} {}", account_.calls, attempt);
        const Function &function =
            functions_[static_cast<std::size_t>(choice_.below(purpose, count))];
        if (!function.is_heavy || choice_.chance(purpose + " heavy", heavy_per_mille))
            return function;
    }
}

std::string Caller::next_call() {
    function_ = &next_function();
    const Choice choice(seed_ + static_cast<std::uint64_t>(number_),
                        (step_ << 20U) + static_cast<std::uint64_t>(account_.calls));
    return call_of(choice, *function_, known_);
}

void Caller::begin(const char *options) {
    constexpr std::array levels{"READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"};
    run_statement(fmt::format("BEGIN ISOLATION LEVEL {} {}",
                              levels[static_cast<std::size_t>(choice_.below("isolation", 3))],
                              options),
                  false);
}

bool Caller::step(const std::string &statement) {
    const bool ok = run_statement(statement, false);
    if (!ok)
        run_statement("ROLLBACK", false);
    return ok;
}

bool Caller::call(const std::string &statement) {
    ++account_.calls;
    const bool ok = run_statement(statement, choice_.chance("cancel", cancel_per_mille));
    ++account_.sqlstates[ok ? "00000" : session_.sqlstate()];
    if (ok)
        account_.succeeded.insert(function_->name);
    return ok;
}

void Caller::plain() {
    const std::string next = next_call();
    call((function_->is_procedure ? "CALL " : "SELECT * FROM ") + next);
}

void Caller::savepoint() {
    begin();
    for (int i = choice_.below("calls", 3); i >= 0; --i) {
        run_statement("SAVEPOINT s", false);
        const bool ok = call("SELECT * FROM " + next_call());
        const bool kept = ok && choice_.chance("kept", 500);
        run_statement(kept ? "RELEASE s" : "ROLLBACK TO s", false);
    }
    step("COMMIT");
}

void Caller::rolled_back() {
    begin();
    for (int i = choice_.below("calls", 3); i >= 0; --i)
        if (!call("SELECT * FROM " + next_call()))
            break;
    step("ROLLBACK");
}

void Caller::read_only() {
    begin("READ ONLY");
    call("SELECT * FROM " + next_call());
    step("ROLLBACK");
}

void Caller::prepared() {
    begin();
    if (!call("SELECT * FROM " + next_call())) {
        step("ROLLBACK");
        return;
    }
    const std::string name = fmt::format("'fuzz {}'", number_);
    if (step("PREPARE TRANSACTION " + name))
        run_statement((choice_.chance("kept", 500) ? "COMMIT PREPARED " : "ROLLBACK PREPARED ") +
                          name,
                      false);
}

void Caller::cursor() {
    begin();
    if (step("DECLARE c CURSOR FOR SELECT * FROM " + next_call()) && call("FETCH 1 FROM c"))
        call("FETCH ALL FROM c");
    step("ROLLBACK");
}

void Caller::loop() {
    call(fmt::format("DO $fuzz$ DECLARE r record; BEGIN FOR r IN SELECT * FROM {} LOOP EXIT WHEN "
                     "random() < 0.5; END LOOP; END $fuzz$",
                     next_call()));
}

void Caller::trigger() {
    call(fmt::format("INSERT INTO fuzz.calls VALUES ($fuzz$SELECT count(*) FROM {}$fuzz$)",
                     next_call()));
}

void Caller::parallel() {
    begin();
    // The setting has another name from 16 on.
    step("SELECT set_config(name, 'on', true) FROM pg_settings"
         " WHERE name IN ('force_parallel_mode', 'debug_parallel_query')");
    call("SELECT count(*) FROM " + next_call());
    step("ROLLBACK");
}

bool Caller::run_statement(const std::string &statement, bool may_be_cancelled) {
    session_.send(statement);
    if (may_be_cancelled &&
        !session_.wait(choice_.below("milliseconds to cancel", cancel_milliseconds_max))) {
        session_.cancel();
        ++account_.cancelled;
    }
    if (!session_.wait(statement_milliseconds_max))
        throw std::runtime_error("does not end: " + statement);
    if (session_.is_lost())
        throw std::runtime_error(
            fmt::format("the connection is lost: {}\n{}", session_.message(), statement));
    const std::string &sqlstate = session_.sqlstate();
    if (sqlstate.starts_with("XX") && account_.internal_errors.size() < internal_errors_kept)
        account_.internal_errors.push_back(
            fmt::format("{} {}\n    {}", sqlstate, session_.message(), statement));
    return sqlstate.empty();
}

double Caller::memory_bytes() {
    // The first look fills caches of its own.
    constexpr const char *query = "SELECT sum(total_bytes) FROM pg_backend_memory_contexts";
    session_.execute(query);
    return std::stod(std::string(session_.execute(query).text(0, 0)));
}

std::string Caller::largest_memory() {
    return std::string(
        session_
            .execute("SELECT string_agg(format('%s %s %s', total_bytes, name, ident), E'\n') FROM"
                     " (SELECT * FROM pg_backend_memory_contexts ORDER BY total_bytes DESC LIMIT 5)"
                     " c")
            .text(0, 0));
}

} // namespace faultline::fuzz
