// Owns the libpq calls: connecting with bounded waits, and turning failures into Error.
#include "faultline/connection.hpp"

#include <array>
#include <cstdlib>
#include <new>
#include <string_view>
#include <utility>
#include <vector>

namespace faultline::client {

namespace {

// libpq's own messages have several lines; errors here have one.
std::string one_line(std::string_view text) {
    std::string line;
    for (const char character : text) {
        const bool blank = character == '\n' || character == '\t' || character == ' ';
        if (!blank) {
            line += character;
        } else if (!line.empty() && line.back() != ' ') {
            line += ' ';
        }
    }
    while (!line.empty() && line.back() == ' ') {
        line.pop_back();
    }
    return line;
}

std::string field(const PGresult *result, int code) {
    const char *value = PQresultErrorField(result, code);
    return value == nullptr ? std::string{} : std::string{value};
}

std::vector<const char *> texts_of(const Parameters &parameters) {
    std::vector<const char *> texts;
    texts.reserve(parameters.size());
    for (const Parameter &parameter : parameters) {
        texts.push_back(parameter.text());
    }
    return texts;
}

// The keywords of one connection attempt. libpq lets a later entry win, so what stands before
// "dbname" (the connection string) is a default and can be overridden there.
class ConnectKeywords {
  public:
    void add(const char *keyword, std::string value) {
        keywords_.push_back(keyword);
        values_.push_back(std::move(value));
    }

    PGconn *connect() const {
        std::vector<const char *> keywords = keywords_;
        std::vector<const char *> values;
        for (const std::string &value : values_) {
            values.push_back(value.c_str());
        }
        keywords.push_back(nullptr);
        values.push_back(nullptr);
        const int expand_dbname = 1;
        return PQconnectdbParams(keywords.data(), values.data(), expand_dbname);
    }

  private:
    std::vector<const char *> keywords_;
    std::vector<std::string> values_;
};

} // namespace

Connection::Connection(const std::string &conninfo, const std::string &application_name) {
    ConnectKeywords keywords;
    if (std::getenv("PGCONNECT_TIMEOUT") == nullptr) {
        keywords.add("connect_timeout", std::to_string(connect_timeout_seconds_default));
    }
    keywords.add("tcp_user_timeout", std::to_string(tcp_user_timeout_ms_default));
    keywords.add("keepalives_idle", std::to_string(keepalives_idle_seconds_default));
    keywords.add("keepalives_interval", std::to_string(keepalives_interval_seconds_default));
    if (!application_name.empty()) {
        keywords.add("fallback_application_name", application_name);
    }
    keywords.add("dbname", conninfo);
    // Texts are UTF-8 in this library, whatever the environment says.
    keywords.add("client_encoding", "UTF8");
    handle_.reset(keywords.connect());
    if (!handle_) {
        throw std::bad_alloc();
    }
    if (!is_open()) {
        ErrorFields fields;
        fields.message = one_line(PQerrorMessage(handle_.get()));
        fields.connection_lost = true;
        throw Error(std::move(fields));
    }
}

bool Connection::commits_by_itself() const noexcept {
    return PQtransactionStatus(handle_.get()) == PQTRANS_IDLE;
}

Result Connection::checked(PGresult *raw, bool ends_transaction) {
    Result result(raw);
    const ExecStatusType status = PQresultStatus(raw);
    if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK) {
        return result;
    }
    ErrorFields fields;
    fields.sqlstate = field(raw, PG_DIAG_SQLSTATE);
    fields.message = field(raw, PG_DIAG_MESSAGE_PRIMARY);
    fields.detail = field(raw, PG_DIAG_MESSAGE_DETAIL);
    fields.hint = field(raw, PG_DIAG_MESSAGE_HINT);
    if (fields.message.empty()) {
        fields.message = one_line(PQerrorMessage(handle_.get()));
    }
    // libpq may report a failed write, which has no SQLSTATE, before it notices the end of the
    // connection; and after a FATAL error the server is about to close it.
    const std::string severity = field(raw, PG_DIAG_SEVERITY_NONLOCALIZED);
    if (fields.sqlstate.empty() || severity == "FATAL" || severity == "PANIC") {
        broken_ = true;
    }
    if (!is_open()) {
        fields.connection_lost = true;
        fields.in_doubt = ends_transaction;
    }
    throw Error(std::move(fields));
}

Result Connection::execute(const std::string &sql, const Parameters &parameters) {
    const std::vector<const char *> values = texts_of(parameters);
    const bool ends_transaction = commits_by_itself();
    return checked(PQexecParams(handle_.get(), sql.c_str(), static_cast<int>(values.size()),
                                nullptr, values.data(), nullptr, nullptr, 0),
                   ends_transaction);
}

void Connection::cancel() noexcept {
    std::array<char, 256> reason{};
    PGcancel *request = PQgetCancel(handle_.get());
    // If it does not arrive the statement ends by itself.
    PQcancel(request, reason.data(), static_cast<int>(reason.size()));
    PQfreeCancel(request);
}

void Connection::execute_until_stopped(const std::string &sql, const Parameters &parameters,
                                       const StopSignal &stop) {
    const std::vector<const char *> values = texts_of(parameters);
    const bool ends_transaction = commits_by_itself();
    if (PQsendQueryParams(handle_.get(), sql.c_str(), static_cast<int>(values.size()), nullptr,
                          values.data(), nullptr, nullptr, 0) == 0) {
        checked(nullptr, ends_transaction);
    }
    bool cancelled = false;
    while (!cancelled && PQconsumeInput(handle_.get()) != 0 && PQisBusy(handle_.get()) != 0) {
        cancelled = stop.wait_for_input(PQsocket(handle_.get()));
    }
    if (cancelled) {
        cancel();
    }
    PGresult *answer = PQgetResult(handle_.get());
    while (PGresult *rest = PQgetResult(handle_.get())) {
        PQclear(rest);
    }
    try {
        checked(answer, ends_transaction);
    } catch (const Error &error) {
        if (!cancelled || error.sqlstate() != "57014") {
            throw;
        }
    }
}

void Connection::prepare(const std::string &name, const std::string &sql) {
    const bool ends_transaction = false;
    checked(PQprepare(handle_.get(), name.c_str(), sql.c_str(), 0, nullptr), ends_transaction);
}

Result Connection::execute_prepared(const std::string &name, const Parameters &parameters) {
    const std::vector<const char *> values = texts_of(parameters);
    const bool ends_transaction = commits_by_itself();
    return checked(PQexecPrepared(handle_.get(), name.c_str(), static_cast<int>(values.size()),
                                  values.data(), nullptr, nullptr, 0),
                   ends_transaction);
}

void Connection::begin() {
    const bool ends_transaction = false;
    checked(PQexec(handle_.get(), "BEGIN"), ends_transaction);
}

void Connection::commit() {
    // On a connection known to be dead nothing is sent, so nothing is in doubt.
    const bool ends_transaction = is_open();
    const Result result = checked(PQexec(handle_.get(), "COMMIT"), ends_transaction);
    // COMMIT of a failed transaction is answered by a quiet ROLLBACK.
    if (result.command_tag() != "COMMIT") {
        ErrorFields fields;
        fields.sqlstate = "25P02";
        fields.message = "the transaction had failed and was rolled back instead of committed";
        throw Error(std::move(fields));
    }
}

void Connection::rollback() noexcept {
    if (is_open() && transaction_state() != TransactionState::none) {
        // If this fails the connection is lost, and the server rolls back by itself.
        PQclear(PQexec(handle_.get(), "ROLLBACK"));
    }
}

TransactionState Connection::transaction_state() const noexcept {
    switch (PQtransactionStatus(handle_.get())) {
    case PQTRANS_IDLE:
        return TransactionState::none;
    case PQTRANS_INTRANS:
        return TransactionState::open;
    case PQTRANS_INERROR:
        return TransactionState::failed;
    default:
        return TransactionState::unknown;
    }
}

} // namespace faultline::client
