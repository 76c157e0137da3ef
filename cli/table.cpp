// Owns the widths, the cutting and the alignment of table cells.
#include "table.hpp"

#include <algorithm>

namespace faultline::cli {

namespace {

bool starts_character(char byte) { return (static_cast<unsigned char>(byte) & 0xC0U) != 0x80U; }

std::size_t character_count(const std::string &text) {
    return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), starts_character));
}

std::string fitted(const std::string &text) {
    const bool too_long = character_count(text) > cell_characters_max;
    const std::size_t kept_max = too_long ? cell_characters_max - 3 : cell_characters_max;
    std::string cell;
    std::size_t characters = 0;
    for (const char byte : text) {
        characters += starts_character(byte) ? 1 : 0;
        if (characters > kept_max) {
            break;
        }
        const auto code = static_cast<unsigned char>(byte);
        cell += code < 0x20U || code == 0x7FU ? ' ' : byte;
    }
    return too_long ? cell + "..." : cell;
}

bool is_number(const std::string &cell) {
    return !cell.empty() && cell.find_first_not_of("0123456789.-") == std::string::npos;
}

std::string padded(const std::string &cell, std::size_t width, bool to_the_right) {
    const std::string padding(width - std::min(width, character_count(cell)), ' ');
    return to_the_right ? padding + cell : cell + padding;
}

std::string line_of(const std::vector<std::string> &cells, const std::vector<std::size_t> &widths) {
    std::string line;
    for (std::size_t column = 0; column < cells.size(); ++column) {
        line += column == 0 ? "" : "  ";
        line += padded(cells[column], widths[column], is_number(cells[column]));
    }
    line.erase(line.find_last_not_of(' ') + 1);
    return line + "\n";
}

} // namespace

std::string format_table(const std::vector<std::string> &header,
                         const std::vector<std::vector<std::string>> &rows) {
    std::vector<std::vector<std::string>> cells;
    std::vector<std::size_t> widths(header.size());
    for (std::size_t column = 0; column < header.size(); ++column) {
        widths[column] = character_count(header[column]);
    }
    for (const std::vector<std::string> &row : rows) {
        std::vector<std::string> &line = cells.emplace_back();
        for (std::size_t column = 0; column < header.size(); ++column) {
            line.push_back(fitted(row.at(column)));
            widths[column] = std::max(widths[column], character_count(line.back()));
        }
    }
    std::string text = line_of(header, widths);
    std::vector<std::string> rules;
    for (const std::size_t width : widths) {
        rules.emplace_back(width, '-');
    }
    text += line_of(rules, widths);
    for (const std::vector<std::string> &line : cells) {
        text += line_of(line, widths);
    }
    return text;
}

std::vector<std::vector<std::string>> rows_of(const client::Result &result) {
    std::vector<std::vector<std::string>> rows;
    for (int row = 0; row < result.row_count(); ++row) {
        std::vector<std::string> &cells = rows.emplace_back();
        for (int column = 0; column < result.column_count(); ++column) {
            cells.push_back(result.optional_text(row, column).value_or(""));
        }
    }
    return rows;
}

} // namespace faultline::cli
