// Owns how C++ values become the text of statement parameters and of SQL arrays.
#pragma once

#include <chrono>
#include <concepts>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace faultline::client {

using Milliseconds = std::chrono::milliseconds;

// One parameter in text format; without a value it is NULL.
class Parameter {
  public:
    Parameter(std::nullopt_t) {}
    Parameter(std::string value);
    Parameter(std::string_view value) : Parameter(std::string(value)) {}
    Parameter(const char *value) : Parameter(std::string(value)) {}
    Parameter(bool value) : text_(value ? "true" : "false") {}
    Parameter(Milliseconds value) : text_(std::to_string(value.count()) + " milliseconds") {}

    template <std::integral Integer>
    requires(!std::same_as<Integer, bool> && !std::same_as<Integer, char>) Parameter(Integer value)
        : text_(std::to_string(value)) {}

    template <typename Value> Parameter(const std::optional<Value> &value) {
        if (value) {
            *this = Parameter(*value);
        }
    }

    // A pointer to the terminated text, or nullptr for NULL; valid as long as this object.
    const char *text() const noexcept { return text_ ? text_->c_str() : nullptr; }

  private:
    std::optional<std::string> text_;
};

using Parameters = std::vector<Parameter>;

// The literals of bigint[] and of text[] or jsonb[]; every text element is quoted.
std::string bigint_array(const std::vector<std::int64_t> &values);
std::string text_array(const std::vector<std::optional<std::string>> &values);

// A copy that is valid UTF-8 without zero bytes and at most bytes_max long, for error texts that
// come from anywhere: the server would refuse the rest and with it the whole call.
std::string printable_text(std::string_view text, std::size_t bytes_max);

} // namespace faultline::client
