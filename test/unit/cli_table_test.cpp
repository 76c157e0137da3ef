// The look of tables.
#include <catch2/catch.hpp>

#include "table.hpp"

using faultline::cli::cell_characters_max;
using faultline::cli::format_table;

TEST_CASE("columns are as wide as their widest cell and numbers stand right", "[cli][table]") {
    CHECK(format_table({"job", "queue"}, {{"7", "orders"}, {"1200", "a"}}) == "job   queue\n"
                                                                              "----  ------\n"
                                                                              "   7  orders\n"
                                                                              "1200  a\n");
}

TEST_CASE("a table without rows still says what it would show", "[cli][table]") {
    CHECK(format_table({"job", "state"}, {}) == "job  state\n---  -----\n");
}

TEST_CASE("line ends and control characters do not break a table", "[cli][table]") {
    CHECK(format_table({"error"}, {{"a\nb\tc\x1b"}}) == "error\n------\na b c\n");
}

TEST_CASE("long cells are cut, counting characters and not bytes", "[cli][table]") {
    const std::string long_cell(cell_characters_max + 1, 'x');
    CHECK_THAT(format_table({"error"}, {{long_cell}}),
               Catch::EndsWith("\n" + std::string(cell_characters_max - 3, 'x') + "...\n"));
    std::string umlauts;
    for (std::size_t index = 0; index < cell_characters_max; ++index) {
        umlauts += "\xc3\xbc";
    }
    CHECK_THAT(format_table({"error"}, {{umlauts}}), Catch::EndsWith("\n" + umlauts + "\n"));
    CHECK(format_table({"ab"}, {{"\xc3\xbc"}, {"xy"}}) == "ab\n--\n\xc3\xbc\nxy\n");
}
