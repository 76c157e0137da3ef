// Owns the quoting of array elements and the cleaning of foreign text.
#include "faultline/parameters.hpp"

#include <utility>

#include "faultline/error.hpp"

namespace faultline::client {

namespace {

void append_quoted(std::string &target, std::string_view element) {
    target += '"';
    for (char character : element) {
        if (character == '"' || character == '\\') {
            target += '\\';
        }
        target += character;
    }
    target += '"';
}

bool is_continuation(unsigned char byte) { return (byte & 0xC0U) == 0x80U; }

// The length of the valid UTF-8 character that starts at position, or 0 when there is none.
std::size_t character_bytes(std::string_view text, std::size_t position) {
    const auto byte_at = [&](std::size_t index) {
        return index < text.size() ? static_cast<unsigned char>(text[index]) : 0U;
    };
    const unsigned first = byte_at(position);
    const unsigned second = byte_at(position + 1);
    if (first < 0x80U) {
        return first == 0 ? 0 : 1;
    }
    if (first >= 0xC2U && first <= 0xDFU) {
        return is_continuation(second) ? 2 : 0;
    }
    if (first >= 0xE0U && first <= 0xEFU) {
        const bool overlong = first == 0xE0U && second < 0xA0U;
        const bool surrogate = first == 0xEDU && second >= 0xA0U;
        const bool complete = is_continuation(second) && is_continuation(byte_at(position + 2));
        return complete && !overlong && !surrogate ? 3 : 0;
    }
    if (first >= 0xF0U && first <= 0xF4U) {
        const bool overlong = first == 0xF0U && second < 0x90U;
        const bool too_large = first == 0xF4U && second >= 0x90U;
        const bool complete = is_continuation(second) && is_continuation(byte_at(position + 2)) &&
                              is_continuation(byte_at(position + 3));
        return complete && !overlong && !too_large ? 4 : 0;
    }
    return 0;
}

} // namespace

Parameter::Parameter(std::string value) {
    // libpq takes text up to the first zero byte: the rest would be lost in silence.
    if (value.find('\0') != std::string::npos) {
        throw protocol_error("a text parameter contains a zero byte");
    }
    text_ = std::move(value);
}

std::string bigint_array(const std::vector<std::int64_t> &values) {
    std::string literal = "{";
    for (std::int64_t value : values) {
        if (literal.size() > 1) {
            literal += ',';
        }
        literal += std::to_string(value);
    }
    return literal + '}';
}

std::string text_array(const std::vector<std::optional<std::string>> &values) {
    std::string literal = "{";
    for (const std::optional<std::string> &value : values) {
        if (literal.size() > 1) {
            literal += ',';
        }
        if (value) {
            append_quoted(literal, *value);
        } else {
            literal += "NULL";
        }
    }
    return literal + '}';
}

std::string printable_text(std::string_view text, std::size_t bytes_max) {
    std::string clean;
    std::size_t position = 0;
    while (position < text.size()) {
        const std::size_t length = character_bytes(text, position);
        const std::string_view character = length == 0 ? "?" : text.substr(position, length);
        if (clean.size() + character.size() > bytes_max) {
            break;
        }
        clean += character;
        position += length == 0 ? 1 : length;
    }
    return clean;
}

} // namespace faultline::client
