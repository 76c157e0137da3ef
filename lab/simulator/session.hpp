// Owns one real connection whose statements are sent without waiting for their answers.
#pragma once

#include "faultline/parameters.hpp"
#include "faultline/result.hpp"

#include <libpq-fe.h>
#include <memory>
#include <string>

namespace faultline::simulator {

class Session {
  public:
    // Throws client::Error when the server refuses or is not there.
    Session(const std::string &conninfo, const std::string &name);

    void send(const std::string &sql, const client::Parameters &parameters = {});
    // True when the statement has ended or the connection is lost; false after the time.
    bool wait(int milliseconds);
    // For what cannot block: sends, waits, and throws on any error.
    client::Result execute(const std::string &sql, const client::Parameters &parameters = {});
    // Asks the server to cancel the statement that runs.
    void cancel();
    // The network goes away under the session; the server learns it when it next reads or writes.
    void cut();
    // Until the server ends the connection, at most for the time. True if it did.
    bool wait_for_loss(int milliseconds);

    bool is_lost() const { return lost_; }
    int server_process() const { return PQbackendPID(handle_.get()); }
    // Of the statement that ended: the SQLSTATE of its error, empty when it went well.
    const std::string &sqlstate() const { return sqlstate_; }
    const std::string &message() const { return message_; }
    client::Result take_result() { return client::Result(result_.release()); }

  private:
    bool receive(int milliseconds);
    void keep(PGresult *result);

    struct Finish {
        void operator()(PGconn *handle) const noexcept { PQfinish(handle); }
        void operator()(PGresult *result) const noexcept { PQclear(result); }
    };
    std::unique_ptr<PGconn, Finish> handle_;
    std::unique_ptr<PGresult, Finish> result_;
    std::string sqlstate_;
    std::string message_;
    bool lost_ = false;
};

} // namespace faultline::simulator
