// Owns the plain-text tables that the program prints.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "faultline/result.hpp"

namespace faultline::cli {

inline constexpr std::size_t cell_characters_max = 60;

// A header line, a rule and one line per row. Longer cells are cut, line ends and other control
// characters become spaces, and numbers stand to the right.
std::string format_table(const std::vector<std::string> &header,
                         const std::vector<std::vector<std::string>> &rows);

// All values of an answer as cells; NULL is empty.
std::vector<std::vector<std::string>> rows_of(const client::Result &result);

} // namespace faultline::cli
