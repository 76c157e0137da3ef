// Owns one libpq connection, its transaction, and what a lost answer means.
#pragma once

#include <memory>
#include <string>

#include <libpq-fe.h>

#include "faultline/error.hpp"
#include "faultline/parameters.hpp"
#include "faultline/result.hpp"
#include "faultline/stop_signal.hpp"

namespace faultline::client {

// Defaults for what a connection string and the environment leave open, so that a server or a
// network that goes silent ends in an error and never in a hang.
inline constexpr int connect_timeout_seconds_default = 5;
inline constexpr int tcp_user_timeout_ms_default = 15'000;
inline constexpr int keepalives_idle_seconds_default = 15;
inline constexpr int keepalives_interval_seconds_default = 5;

enum class TransactionState { none, open, failed, unknown };

class Connection {
  public:
    // Empty = all from the environment, as psql does it.
    explicit Connection(const std::string &conninfo, const std::string &application_name = "");

    // By the extended protocol and without a name: works through a pooler in transaction mode.
    Result execute(const std::string &sql, const Parameters &parameters = {});
    // The same for a statement that may wait long: a stop request cancels it, and is no error.
    void execute_until_stopped(const std::string &sql, const Parameters &parameters,
                               const StopSignal &stop);
    void prepare(const std::string &name, const std::string &sql);
    Result execute_prepared(const std::string &name, const Parameters &parameters = {});

    void begin();
    // An Error with in_doubt() means that nobody knows yet whether it took effect.
    void commit();
    // Safe in every state, also when the connection is gone.
    void rollback() noexcept;

    TransactionState transaction_state() const noexcept;
    bool is_open() const noexcept { return !broken_ && PQstatus(handle_.get()) == CONNECTION_OK; }
    int server_process_id() const noexcept { return PQbackendPID(handle_.get()); }

  private:
    Result checked(PGresult *result, bool ends_transaction);
    void cancel() noexcept;
    // Outside a transaction block each statement commits by itself.
    bool commits_by_itself() const noexcept;

    struct Finish {
        void operator()(PGconn *handle) const noexcept { PQfinish(handle); }
    };
    std::unique_ptr<PGconn, Finish> handle_;
    bool broken_ = false; // known to be useless, also when libpq still calls it open
};

// Rolls back unless it was committed.
class Transaction {
  public:
    explicit Transaction(Connection &connection) : connection_(connection) { connection.begin(); }
    ~Transaction() {
        if (!committed_) {
            connection_.rollback();
        }
    }
    Transaction(const Transaction &) = delete;
    Transaction &operator=(const Transaction &) = delete;

    void commit() {
        connection_.commit();
        committed_ = true;
    }

  private:
    Connection &connection_;
    bool committed_ = false;
};

} // namespace faultline::client
