// Implements the asynchronous use of libpq.
#include "session.hpp"

#include "faultline/error.hpp"

#include <chrono>
#include <poll.h>
#include <sys/socket.h>

namespace faultline::simulator {

namespace {

// Nothing that execute() is for takes long; a server that hangs must end the run.
constexpr int execute_milliseconds_max = 60'000;

[[noreturn]] void raise(PGconn *handle, bool lost) {
    throw client::Error({.sqlstate = {},
                         .message = PQerrorMessage(handle),
                         .detail = {},
                         .hint = {},
                         .connection_lost = lost});
}

} // namespace

Session::Session(const std::string &conninfo, const std::string &name)
    : handle_(PQconnectdb((conninfo + " application_name=" + name).c_str())) {
    if (PQstatus(handle_.get()) != CONNECTION_OK) {
        raise(handle_.get(), true);
    }
    PQsetNoticeProcessor(
        handle_.get(), [](void *, const char *) {}, nullptr);
}

void Session::send(const std::string &sql, const client::Parameters &parameters) {
    std::vector<const char *> values;
    for (const client::Parameter &parameter : parameters) {
        values.push_back(parameter.text());
    }
    sqlstate_.clear();
    message_.clear();
    result_.reset();
    if (PQsendQueryParams(handle_.get(), sql.c_str(), static_cast<int>(values.size()), nullptr,
                          values.data(), nullptr, nullptr, 0) != 1 ||
        PQflush(handle_.get()) != 0) {
        lost_ = true;
    }
}

// One look at the socket.
bool Session::receive(int milliseconds) {
    pollfd socket = {.fd = PQsocket(handle_.get()), .events = POLLIN, .revents = 0};
    if (poll(&socket, 1, milliseconds) > 0 && PQconsumeInput(handle_.get()) != 1) {
        lost_ = true;
    }
    return socket.revents != 0;
}

void Session::keep(PGresult *result) {
    const char *code = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const ExecStatusType status = PQresultStatus(result);
    if (status == PGRES_FATAL_ERROR || status == PGRES_BAD_RESPONSE) {
        sqlstate_ = code == nullptr ? "08006" : code;
        message_ = PQresultErrorMessage(result);
    }
    result_.reset(result);
}

bool Session::wait(int milliseconds) {
    using Clock = std::chrono::steady_clock;
    const Clock::time_point deadline = Clock::now() + std::chrono::milliseconds(milliseconds);
    while (!lost_) {
        while (PQisBusy(handle_.get()) == 0) {
            PGresult *result = PQgetResult(handle_.get());
            if (result == nullptr) {
                lost_ = lost_ || PQstatus(handle_.get()) != CONNECTION_OK;
                return true;
            }
            keep(result);
        }
        const auto left =
            std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now());
        if (!receive(left.count() > 0 ? static_cast<int>(left.count()) : 0) && left.count() <= 0) {
            return lost_;
        }
    }
    return true;
}

client::Result Session::execute(const std::string &sql, const client::Parameters &parameters) {
    send(sql, parameters);
    if (!wait(execute_milliseconds_max)) {
        throw client::protocol_error("no answer to: " + sql);
    }
    if (lost_ || !sqlstate_.empty()) {
        throw client::Error({.sqlstate = sqlstate_,
                             .message = sql + ": " + message_,
                             .detail = {},
                             .hint = {},
                             .connection_lost = lost_});
    }
    return take_result();
}

void Session::cancel() {
    PGcancel *request = PQgetCancel(handle_.get());
    char error[256];
    PQcancel(request, error, sizeof(error));
    PQfreeCancel(request);
}

void Session::cut() {
    shutdown(PQsocket(handle_.get()), SHUT_RDWR);
    lost_ = true;
}

bool Session::wait_for_loss(int milliseconds) {
    using Clock = std::chrono::steady_clock;
    const Clock::time_point deadline = Clock::now() + std::chrono::milliseconds(milliseconds);
    while (!lost_ && Clock::now() < deadline) {
        receive(10);
    }
    return lost_;
}

} // namespace faultline::simulator
