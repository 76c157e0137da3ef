// Owns the checks between a server's text and a C++ value: nothing unreadable passes as a zero.
#include "faultline/result.hpp"

#include <charconv>

#include "faultline/error.hpp"

namespace faultline::client {

namespace {

template <typename Number>
Number parse_number(std::string_view text, std::string_view column_name) {
    Number number{};
    const char *end = text.data() + text.size();
    const auto [stopped, error] = std::from_chars(text.data(), end, number);
    if (error != std::errc{} || stopped != end) {
        throw protocol_error("column \"" + std::string(column_name) + "\" holds \"" +
                             std::string(text) + "\", which is not a number of the expected type");
    }
    return number;
}

} // namespace

std::string_view Result::column_name(int column) const {
    const char *name = PQfname(result_.get(), column);
    if (name == nullptr) {
        throw protocol_error("column " + std::to_string(column) + " does not exist in the answer");
    }
    return name;
}

int Result::column_index(const char *name) const {
    const int index = PQfnumber(result_.get(), name);
    if (index < 0) {
        throw protocol_error(std::string("column \"") + name + "\" is missing in the answer");
    }
    return index;
}

bool Result::is_null(int row, int column) const {
    if (row < 0 || row >= row_count() || column < 0 || column >= column_count()) {
        throw protocol_error("row " + std::to_string(row) + ", column " + std::to_string(column) +
                             " does not exist in the answer");
    }
    return PQgetisnull(result_.get(), row, column) == 1;
}

std::string_view Result::text(int row, int column) const {
    if (is_null(row, column)) {
        throw protocol_error("column \"" + std::string(column_name(column)) +
                             "\" is unexpectedly NULL");
    }
    return {PQgetvalue(result_.get(), row, column),
            static_cast<std::size_t>(PQgetlength(result_.get(), row, column))};
}

std::int64_t Result::bigint(int row, int column) const {
    return parse_number<std::int64_t>(text(row, column), column_name(column));
}

std::int32_t Result::integer(int row, int column) const {
    return parse_number<std::int32_t>(text(row, column), column_name(column));
}

double Result::number(int row, int column) const {
    return parse_number<double>(text(row, column), column_name(column));
}

bool Result::boolean(int row, int column) const {
    const std::string_view value = text(row, column);
    if (value != "t" && value != "f") {
        throw protocol_error("column \"" + std::string(column_name(column)) +
                             "\" does not hold a boolean");
    }
    return value == "t";
}

std::optional<std::string> Result::optional_text(int row, int column) const {
    if (is_null(row, column)) {
        return std::nullopt;
    }
    return std::string(text(row, column));
}

} // namespace faultline::client
