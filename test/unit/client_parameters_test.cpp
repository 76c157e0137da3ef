// How values become text for the server: numbers, NULL, arrays, and texts from anywhere.
#include <limits>
#include <string>

#include <catch2/catch.hpp>

#include "faultline/error.hpp"
#include "faultline/parameters.hpp"

using namespace faultline::client;

namespace {

std::string text_of(const Parameter &parameter) {
    return parameter.text() == nullptr ? "<null>" : parameter.text();
}

} // namespace

TEST_CASE("values become the text that SQL reads", "[client][parameters]") {
    CHECK(text_of(42) == "42");
    CHECK(text_of(std::numeric_limits<std::int64_t>::min()) == "-9223372036854775808");
    CHECK(text_of(true) == "true");
    CHECK(text_of(Milliseconds(1500)) == "1500 milliseconds");
    CHECK(text_of("it's") == "it's");
    CHECK(text_of("") == "");
}

TEST_CASE("an absent value is NULL and not an empty text", "[client][parameters]") {
    CHECK(text_of(std::nullopt) == "<null>");
    CHECK(text_of(std::optional<std::string>{}) == "<null>");
    CHECK(text_of(std::optional<int>{}) == "<null>");
    CHECK(text_of(std::optional<int>{7}) == "7");
    CHECK(text_of(std::optional<std::string>{""}) == "");
}

TEST_CASE("a zero byte is refused, because libpq would cut the text there",
          "[client][parameters]") {
    CHECK_THROWS_AS(Parameter(std::string("a\0b", 3)), Error);
    CHECK_THROWS_AS(Parameter(text_array({std::string("a\0b", 3)})), Error);
}

TEST_CASE("array elements are quoted so that they come back as they were", "[client][parameters]") {
    CHECK(text_array({}) == "{}");
    CHECK(text_array({"a", "b"}) == R"({"a","b"})");
    CHECK(text_array({R"(say "hi")"}) == R"({"say \"hi\""})");
    CHECK(text_array({R"(back\slash)"}) == R"({"back\\slash"})");
    CHECK(text_array({"{a,b}"}) == R"({"{a,b}"})");
    CHECK(text_array({""}) == R"({""})");
    CHECK(text_array({R"({"k":"\n"})"}) == R"({"{\"k\":\"\\n\"}"})");
}

TEST_CASE("NULL and the word NULL are different elements", "[client][parameters]") {
    CHECK(text_array({std::nullopt, "NULL"}) == R"({NULL,"NULL"})");
}

TEST_CASE("bigint arrays hold every bigint", "[client][parameters]") {
    CHECK(bigint_array({}) == "{}");
    CHECK(bigint_array({1, -2, std::numeric_limits<std::int64_t>::max()}) ==
          "{1,-2,9223372036854775807}");
}

TEST_CASE("good text stays, bytes that the server would refuse do not", "[client][parameters]") {
    const std::size_t plenty = 1000;
    CHECK(printable_text("plain", plenty) == "plain");
    CHECK(printable_text("gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80", plenty) ==
          "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80");
    CHECK(printable_text(std::string("a\0b", 3), plenty) == "a?b");
    CHECK(printable_text("\xff", plenty) == "?");
    CHECK(printable_text("\xc3", plenty) == "?");                // cut short
    CHECK(printable_text("\xc0\xaf", plenty) == "??");           // overlong
    CHECK(printable_text("\xe0\x80\xaf", plenty) == "???");      // overlong
    CHECK(printable_text("\xed\xa0\x80", plenty) == "???");      // surrogate
    CHECK(printable_text("\xf4\x90\x80\x80", plenty) == "????"); // beyond Unicode
    CHECK(printable_text("\xe2\x82", plenty) == "??");
}

TEST_CASE("a long text is cut between characters", "[client][parameters]") {
    CHECK(printable_text("abcdef", 3) == "abc");
    CHECK(printable_text("ab\xc3\xbc", 3) == "ab");
    CHECK(printable_text("abc", 0).empty());
}
