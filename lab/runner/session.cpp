// Implements sessions on libpq's calls that do not wait.
#include "session.hpp"

#include <poll.h>
#include <stdexcept>
#include <string_view>

namespace faultline::lab {

namespace {

std::string text_at(const PGresult *result, int row, int column) {
    return PQgetisnull(result, row, column) != 0 ? "null" : PQgetvalue(result, row, column);
}

void take(const PGresult *result, Answer &answer) {
    const ExecStatusType status = PQresultStatus(result);
    if (status == PGRES_TUPLES_OK) {
        answer.rows.clear();
        for (int row = 0; row < PQntuples(result); row++) {
            answer.rows.emplace_back();
            for (int column = 0; column < PQnfields(result); column++)
                answer.rows.back().push_back(text_at(result, row, column));
        }
    } else if (status == PGRES_FATAL_ERROR && answer.message.empty()) {
        const char *code = PQresultErrorField(result, PG_DIAG_SQLSTATE);
        answer.sqlstate = code == nullptr ? "" : code;
        answer.message = PQresultErrorMessage(result);
        const char *severity = PQresultErrorField(result, PG_DIAG_SEVERITY_NONLOCALIZED);
        answer.connection_lost = severity == nullptr || std::string_view(severity) == "FATAL";
    }
}

void ignore_notice(void * /*argument*/, const PGresult * /*notice*/) {}

} // namespace

std::vector<std::string> as_lines(const Answer &answer) {
    if (answer.connection_lost)
        return {"lost"};
    if (!answer.sqlstate.empty())
        return {"error " + answer.sqlstate};
    std::vector<std::string> lines;
    for (const std::vector<std::string> &row : answer.rows) {
        std::string line = row.empty() ? "" : row.front();
        for (std::size_t column = 1; column < row.size(); column++)
            line += " | " + row[column];
        lines.push_back(line);
    }
    if (lines.empty())
        lines.emplace_back("nothing");
    return lines;
}

Session::Session(const std::string &conninfo, const std::string &name)
    : handle_(PQconnectdb((conninfo + " application_name=" + name).c_str())) {
    if (PQstatus(handle_.get()) != CONNECTION_OK)
        throw std::runtime_error(std::string("could not connect: ") +
                                 PQerrorMessage(handle_.get()));
    PQsetNoticeReceiver(handle_.get(), ignore_notice, nullptr);
}

void Session::send(const std::string &sql) {
    busy_ = true;
    answer_ = {};
    if (PQsendQuery(handle_.get(), sql.c_str()) == 0)
        answer_.connection_lost = true;
}

std::optional<Answer> Session::answer_within(std::chrono::milliseconds time) {
    const auto deadline = std::chrono::steady_clock::now() + time;
    while (!answer_.connection_lost) {
        if (PQconsumeInput(handle_.get()) == 0)
            break;
        while (PQisBusy(handle_.get()) == 0) {
            const std::unique_ptr<PGresult, decltype(&PQclear)> result(PQgetResult(handle_.get()),
                                                                       &PQclear);
            if (!result) {
                busy_ = false;
                answer_.connection_lost = PQstatus(handle_.get()) != CONNECTION_OK;
                return answer_;
            }
            take(result.get(), answer_);
        }
        const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
            deadline - std::chrono::steady_clock::now());
        if (left.count() <= 0)
            return std::nullopt;
        pollfd socket{PQsocket(handle_.get()), POLLIN, 0};
        poll(&socket, 1, static_cast<int>(left.count()));
    }
    busy_ = false;
    answer_.connection_lost = true;
    return answer_;
}

Answer Session::run(const std::string &sql) {
    send(sql);
    std::optional<Answer> answer = answer_within(patience);
    if (!answer)
        throw std::runtime_error("does not end: " + sql);
    return *answer;
}

} // namespace faultline::lab
