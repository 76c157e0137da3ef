// Owns the question that woven sources ask: does this mutant act?  lab/mutants/run copies it into
// core/ of the tree that it builds; nothing else includes it.
#pragma once

#include <cstdlib>
#include <string_view>
#include <type_traits>

namespace faultline {

// Names separated by commas, from the environment of whoever started the process.
inline const char *const acting_mutants = std::getenv("FAULTLINE_MUTANTS");

inline bool acts(std::string_view name) {
    std::string_view rest = acting_mutants == nullptr ? "" : acting_mutants;
    while (!rest.empty()) {
        std::size_t length = rest.find(',');
        if (rest.substr(0, length) == name)
            return true;
        rest.remove_prefix(length < rest.size() ? length + 1 : rest.size());
    }
    return false;
}

// What the compiler evaluates, it evaluates as it is meant: static assertions kill nobody.
constexpr bool mutant_acts(std::string_view name) {
    return !std::is_constant_evaluated() && acts(name);
}

} // namespace faultline
