// Owns the reading of a file with one JSON document per line.
#pragma once

#include <cstddef>
#include <cstdint>
#include <istream>
#include <optional>
#include <string>
#include <variant>

namespace faultline::cli {

inline constexpr std::size_t line_bytes_max = 16UL * 1024 * 1024;

struct NdjsonDocument {
    std::int64_t line_number = 0;
    std::string text; // as it stands in the file: numbers keep their digits
    std::optional<std::string> key;
};

struct NdjsonReject {
    std::int64_t line_number = 0;
    std::string reason;
};

using NdjsonLine = std::variant<NdjsonDocument, NdjsonReject>;

// Judges one line. With a key field, a string or whole number must stand there; it becomes the key.
NdjsonLine parse_line(std::int64_t line_number, std::string text,
                      const std::optional<std::string> &key_field);

class NdjsonReader {
  public:
    NdjsonReader(std::istream &input, std::optional<std::string> key_field);

    // The next line that is not blank; nothing at the end of the file.
    std::optional<NdjsonLine> next();
    std::int64_t lines_read() const { return lines_read_; } // without blank ones

  private:
    std::istream &input_;
    const std::optional<std::string> key_field_;
    std::int64_t line_number_ = 0;
    std::int64_t lines_read_ = 0;
};

} // namespace faultline::cli
