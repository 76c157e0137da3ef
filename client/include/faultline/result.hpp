// Owns one answer of the server and the typed reading of its values.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include <libpq-fe.h>

namespace faultline::client {

class Result {
  public:
    explicit Result(PGresult *result) : result_(result) {}

    int row_count() const noexcept { return PQntuples(result_.get()); }
    int column_count() const noexcept { return PQnfields(result_.get()); }
    std::string_view column_name(int column) const;
    int column_index(const char *name) const; // an unknown name is an Error
    std::string_view command_tag() const noexcept { return PQcmdStatus(result_.get()); }

    bool is_null(int row, int column) const;
    // NULL is an Error here; ask is_null() or use optional_text() where it may come.
    std::string_view text(int row, int column) const;
    std::int64_t bigint(int row, int column) const;
    std::int32_t integer(int row, int column) const;
    double number(int row, int column) const;
    bool boolean(int row, int column) const;
    std::optional<std::string> optional_text(int row, int column) const;

  private:
    struct Clear {
        void operator()(PGresult *result) const noexcept { PQclear(result); }
    };
    std::unique_ptr<PGresult, Clear> result_;
};

} // namespace faultline::client
