// What a queue may be called.
#pragma once

#include "limits.hpp"

#include <string_view>

namespace faultline::core {

constexpr bool queue_name_character_allowed(char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '.' || c == ':' || c == '-';
}

constexpr bool queue_name_valid(std::string_view name) {
    if (name.empty() || name.size() > static_cast<std::size_t>(queue_name_bytes_max))
        return false;
    for (char c : name)
        if (!queue_name_character_allowed(c))
            return false;
    return true;
}

static_assert(queue_name_valid("mail.send:eu-1"));
static_assert(!queue_name_valid(""));
static_assert(!queue_name_valid("a'; DROP TABLE x"));

} // namespace faultline::core
