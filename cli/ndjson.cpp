// Owns what counts as a good line: valid JSON in UTF-8, with a usable key if one is asked for.
#include "ndjson.hpp"

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

std::optional<std::string> key_of(const nlohmann::json &document, const std::string &key_field,
                                  std::string &reason) {
    if (!document.is_object() || !document.contains(key_field)) {
        reason = fmt::format("has no field \"{}\" to be the key", key_field);
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

} // namespace

NdjsonLine parse_line(std::int64_t line_number, std::string text,
                      const std::optional<std::string> &key_field) {
    if (text.size() > line_bytes_max) {
        return NdjsonReject{line_number, fmt::format("is longer than {} bytes", line_bytes_max)};
    }
    NdjsonDocument document{line_number, std::move(text), std::nullopt};
    try {
        const nlohmann::json parsed = nlohmann::json::parse(document.text);
        if (key_field) {
            std::string reason;
            document.key = key_of(parsed, *key_field, reason);
            if (!document.key) {
                return NdjsonReject{line_number, reason};
            }
        }
    } catch (const nlohmann::json::exception &error) {
        return NdjsonReject{line_number, "is not JSON: " + short_reason(error)};
    }
    return document;
}

NdjsonReader::NdjsonReader(std::istream &input, std::optional<std::string> key_field)
    : input_(input), key_field_(std::move(key_field)) {}

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
        return parse_line(line_number_, std::move(text), key_field_);
    }
    return std::nullopt;
}

} // namespace faultline::cli
