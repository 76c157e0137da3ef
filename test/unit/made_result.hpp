// Makes answers as the server would give them, without a server.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include <libpq-fe.h>

#include "faultline/result.hpp"

inline faultline::client::Result
made_result(std::vector<std::string> columns,
            const std::vector<std::vector<std::optional<std::string>>> &rows) {
    PGresult *result = PQmakeEmptyPGresult(nullptr, PGRES_TUPLES_OK);
    std::vector<PGresAttDesc> descriptions(columns.size());
    for (std::size_t column = 0; column < columns.size(); ++column) {
        descriptions[column].name = columns[column].data();
    }
    PQsetResultAttrs(result, static_cast<int>(columns.size()), descriptions.data());
    for (std::size_t row = 0; row < rows.size(); ++row) {
        for (std::size_t column = 0; column < columns.size(); ++column) {
            std::optional<std::string> value = rows[row].at(column);
            const int null_length = -1;
            PQsetvalue(result, static_cast<int>(row), static_cast<int>(column),
                       value ? value->data() : nullptr,
                       value ? static_cast<int>(value->size()) : null_length);
        }
    }
    return faultline::client::Result(result);
}
