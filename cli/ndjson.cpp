// Owns what counts as a good line: valid JSON in UTF-8, with a usable key and effect if they are
// asked for.
#include "ndjson.hpp"

#include <string_view>
#include <utility>

#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include "core/limits.hpp"

namespace faultline::cli {

namespace {

std::string short_reason(const nlohmann::json::exception &error) {
    // "[json.exception.parse_error.101] parse error at line 1, column 9: ..." with its place in our
    // line, not with a line number that would be 1 for ever.
    std::string text = error.what();
    const auto prefix_end = text.find("] ");
    text = prefix_end == std::string::npos ? text : text.substr(prefix_end + 2);
    const std::string place = " at line 1,";
    const auto found = text.find(place);
    return found == std::string::npos ? text : text.replace(found, place.size(), " at");
}

// Whether the field is there; the reason is for a line that lacks it.
bool has_field(const nlohmann::json &document, const std::string &field, const char *purpose,
               std::string &reason) {
    if (document.is_object() && document.contains(field)) {
        return true;
    }
    reason = fmt::format("has no field \"{}\" to be the {}", field, purpose);
    return false;
}

std::optional<std::string> key_of(const nlohmann::json &document, const std::string &key_field,
                                  std::string &reason) {
    if (!has_field(document, key_field, "key", reason)) {
        return std::nullopt;
    }
    const nlohmann::json &value = document.at(key_field);
    const bool usable = value.is_string() || value.is_number_integer();
    std::string key = value.is_string() ? value.get<std::string>() : value.dump();
    if (!usable || key.empty() || key.size() > static_cast<std::size_t>(core::key_bytes_max)) {
        reason = fmt::format("field \"{}\" is not a string of 1 to {} bytes or a whole number",
                             key_field, core::key_bytes_max);
        return std::nullopt;
    }
    if (key.find('\0') != std::string::npos) {
        reason = fmt::format("field \"{}\" contains a zero character", key_field);
        return std::nullopt;
    }
    return key;
}

// Past the closing quotation mark of the string that begins here.
std::size_t end_of_string(std::string_view json, std::size_t begin) {
    std::size_t position = begin + 1;
    while (json[position] != '"') {
        position += json[position] == '\\' ? 2 : 1;
    }
    return position + 1;
}

// The comma or bracket behind the value that begins here.
std::size_t end_of_value(std::string_view json, std::size_t begin) {
    int depth = 0;
    std::size_t position = begin;
    while (depth > 0 || (json[position] != ',' && json[position] != '}')) {
        const char character = json[position];
        depth += character == '{' || character == '[' ? 1 : 0;
        depth -= character == '}' || character == ']' ? 1 : 0;
        position = character == '"' ? end_of_string(json, position) : position + 1;
    }
    return position;
}

// The text of a field's value in an object that was parsed without error. Written anew from the
// parsed document, its numbers could lose digits.
std::string text_of_field(std::string_view object, const std::string &field) {
    std::string_view found;
    std::size_t key = object.find('"');
    while (key != std::string_view::npos) {
        const std::size_t key_end = end_of_string(object, key);
        const std::size_t value = object.find(':', key_end) + 1;
        const std::size_t value_end = end_of_value(object, value);
        // Of a field that stands there twice the last one counts, for the server as well.
        if (nlohmann::json::parse(object.substr(key, key_end - key)) == field) {
            found = object.substr(value, value_end - value);
        }
        key = object.find('"', value_end);
    }
    return std::string(found);
}

// False = a reason to reject the line.
bool take_ledger(const nlohmann::json &parsed, const std::string &field, NdjsonDocument &document,
                 std::string &reason) {
    if (!has_field(parsed, field, "effect", reason)) {
        return false;
    }
    const nlohmann::json &value = parsed.at(field);
    if (value.is_object()) {
        document.ledger = text_of_field(document.text, field);
    } else if (!value.is_null()) {
        reason = fmt::format("field \"{}\" is neither an object nor null", field);
        return false;
    }
    return true;
}

} // namespace

NdjsonLine parse_line(std::int64_t line_number, std::string text, const NdjsonFields &fields) {
    if (text.size() > line_bytes_max) {
        return NdjsonReject{line_number, fmt::format("is longer than {} bytes", line_bytes_max)};
    }
    NdjsonDocument document{line_number, std::move(text), std::nullopt, std::nullopt};
    std::string reason;
    try {
        const nlohmann::json parsed = nlohmann::json::parse(document.text);
        if (fields.key) {
            document.key = key_of(parsed, *fields.key, reason);
            if (!document.key) {
                return NdjsonReject{line_number, reason};
            }
        }
        if (fields.ledger && !take_ledger(parsed, *fields.ledger, document, reason)) {
            return NdjsonReject{line_number, reason};
        }
    } catch (const nlohmann::json::exception &error) {
        return NdjsonReject{line_number, "is not JSON: " + short_reason(error)};
    }
    return document;
}

NdjsonReader::NdjsonReader(std::istream &input, NdjsonFields fields)
    : input_(input), fields_(std::move(fields)) {}

std::optional<NdjsonLine> NdjsonReader::next() {
    std::string text;
    while (std::getline(input_, text)) {
        ++line_number_;
        if (!text.empty() && text.back() == '\r') {
            text.pop_back();
        }
        if (text.find_first_not_of(" \t") == std::string::npos) {
            continue;
        }
        ++lines_read_;
        return parse_line(line_number_, std::move(text), fields_);
    }
    return std::nullopt;
}

} // namespace faultline::cli
