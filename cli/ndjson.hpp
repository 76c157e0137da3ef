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
    std::optional<std::string> ledger; // the effect to declare, likewise as it stands
};

struct NdjsonReject {
    std::int64_t line_number = 0;
    std::string reason;
};

using NdjsonLine = std::variant<NdjsonDocument, NdjsonReject>;

// Names of fields of each line, for what a job has besides its payload.
struct NdjsonFields {
    std::optional<std::string> key;
    std::optional<std::string> ledger;
};

// Judges one line. At the key field a string or whole number must stand, which becomes the key; at
// the ledger field an object, which the server will judge, or null for a job without an effect.
NdjsonLine parse_line(std::int64_t line_number, std::string text, const NdjsonFields &fields);

class NdjsonReader {
  public:
    NdjsonReader(std::istream &input, NdjsonFields fields);

    // The next line that is not blank; nothing at the end of the file.
    std::optional<NdjsonLine> next();
    std::int64_t lines_read() const { return lines_read_; } // without blank ones

  private:
    std::istream &input_;
    const NdjsonFields fields_;
    std::int64_t line_number_ = 0;
    std::int64_t lines_read_ = 0;
};

} // namespace faultline::cli
