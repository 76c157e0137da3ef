// Which lines of a file are good, and under which number and key.
#include <sstream>

#include <catch2/catch.hpp>

#include "ndjson.hpp"

using namespace faultline::cli;

namespace {

const NdjsonFields no_fields;
const NdjsonFields by_order_id = {.key = "order_id", .ledger = std::nullopt};
const NdjsonFields with_ledger = {.key = std::nullopt, .ledger = "ledger"};

NdjsonDocument accepted(const std::string &text, const NdjsonFields &fields) {
    const NdjsonLine line = parse_line(1, text, fields);
    REQUIRE(std::holds_alternative<NdjsonDocument>(line));
    return std::get<NdjsonDocument>(line);
}

std::string reason_against(const std::string &text, const NdjsonFields &fields) {
    const NdjsonLine line = parse_line(1, text, fields);
    REQUIRE(std::holds_alternative<NdjsonReject>(line));
    return std::get<NdjsonReject>(line).reason;
}

} // namespace

TEST_CASE("a good line is sent as it stands", "[cli][ndjson]") {
    const std::string text = R"({"order_id": "A-1",  "price": 1.10, "id": 12345678901234567890})";
    CHECK(accepted(text, by_order_id).text == text);
    CHECK(accepted(text, by_order_id).key == "A-1");
    CHECK_FALSE(accepted(text, no_fields).key.has_value());
    CHECK(accepted("[1]", no_fields).text == "[1]");
}

TEST_CASE("a whole number can be the key", "[cli][ndjson]") {
    CHECK(accepted(R"({"order_id": 17})", by_order_id).key == "17");
    CHECK(accepted(R"({"order_id": -1})", by_order_id).key == "-1");
}

TEST_CASE("a line without a usable key is rejected", "[cli][ndjson]") {
    const std::string absent = "has no field \"order_id\" to be the key";
    CHECK(reason_against("{}", by_order_id) == absent);
    CHECK(reason_against("[\"order_id\"]", by_order_id) == absent);
    CHECK(reason_against("17", by_order_id) == absent);
    const std::string useless =
        "field \"order_id\" is not a string of 1 to 512 bytes or a whole number";
    CHECK(reason_against(R"({"order_id": ""})", by_order_id) == useless);
    CHECK(reason_against(R"({"order_id": null})", by_order_id) == useless);
    CHECK(reason_against(R"({"order_id": 1.5})", by_order_id) == useless);
    CHECK(reason_against(R"({"order_id": {"a": 1}})", by_order_id) == useless);
    CHECK(reason_against(R"({"order_id": ")" + std::string(513, 'k') + R"("})", by_order_id) ==
          useless);
    CHECK(reason_against(R"({"order_id": "a\u0000b"})", by_order_id) ==
          "field \"order_id\" contains a zero character");
}

TEST_CASE("the effect is taken as it stands, and the payload keeps it", "[cli][ndjson]") {
    const std::string effect =
        R"({ "transaction_id": "a\"},", "amount": 1.00000000000000000001, "metadata": [{"n": 1}]})";
    const std::string text = R"({"text": "\"ledger\": {", "list": [{"ledger": 1}], "ledger" : )" +
                             effect + R"(, "n": 1})";
    const NdjsonDocument document = accepted(text, with_ledger);
    CHECK(document.text == text);
    REQUIRE(document.ledger);
    CHECK_THAT(*document.ledger, Catch::EndsWith(effect));
    CHECK(document.ledger->find_first_not_of(' ') == document.ledger->find(effect));
    CHECK_FALSE(accepted(text, no_fields).ledger.has_value());
}

TEST_CASE("the effect is found wherever its field stands", "[cli][ndjson]") {
    CHECK(accepted(R"({"ledger":{}})", with_ledger).ledger == "{}");
    CHECK(accepted(R"({"a":"\\","ledger":{"b":[]}})", with_ledger).ledger == R"({"b":[]})");
    CHECK(accepted(R"({"\u006cedger":{"c":2} })", with_ledger).ledger == R"({"c":2} )");
    CHECK(accepted(R"({"ledger":{"first":1},"ledger":{"last":1}})", with_ledger).ledger ==
          R"({"last":1})");
    CHECK_FALSE(accepted(R"({"ledger":null})", with_ledger).ledger.has_value());
}

TEST_CASE("a line without a usable effect is rejected", "[cli][ndjson]") {
    const std::string absent = "has no field \"ledger\" to be the effect";
    CHECK(reason_against("{}", with_ledger) == absent);
    CHECK(reason_against(R"(["ledger"])", with_ledger) == absent);
    CHECK(reason_against(R"({"a": {"ledger": {}}})", with_ledger) == absent);
    for (const char *value : {"1", "[]", R"("{}")", "true"}) {
        INFO(value);
        CHECK(reason_against(std::string(R"({"ledger": )") + value + "}", with_ledger) ==
              "field \"ledger\" is neither an object nor null");
    }
}

TEST_CASE("what is not JSON is rejected with the place of the error", "[cli][ndjson]") {
    for (const char *text : {"{", "nonsense", "{\"a\":1,}", "{'a':1}", "{\"a\":1} extra", "\xff",
                             "\"\xff\"", "1e999"}) {
        INFO(text);
        CHECK_THAT(reason_against(text, no_fields), Catch::StartsWith("is not JSON: "));
    }
    CHECK_THAT(reason_against("{\"a\":1,}", no_fields), Catch::Contains("at column 8"));
}

TEST_CASE("a line longer than the bound is rejected unread", "[cli][ndjson]") {
    CHECK(reason_against(std::string(line_bytes_max + 1, '['), no_fields) ==
          "is longer than 16777216 bytes");
}

TEST_CASE("deep nesting is parsed without a deep stack", "[cli][ndjson]") {
    const std::size_t depth = 200'000;
    const std::string deep = std::string(depth, '[') + std::string(depth, ']');
    CHECK(accepted(deep, no_fields).text.size() == 2 * depth);
    CHECK(accepted(R"({"a":)" + deep + R"(,"ledger":{"deep":)" + deep + "}}", with_ledger)
              .ledger->size() > 2 * depth);
}

TEST_CASE("the reader counts lines as an editor does and skips blank ones", "[cli][ndjson]") {
    std::istringstream input("{\"order_id\":1}\r\n\n  \nbroken\n{\"order_id\":2}");
    NdjsonReader reader(input, by_order_id);
    const auto first = reader.next();
    REQUIRE(first);
    CHECK(std::get<NdjsonDocument>(*first).line_number == 1);
    CHECK(std::get<NdjsonDocument>(*first).text == "{\"order_id\":1}");
    const auto second = reader.next();
    REQUIRE(second);
    CHECK(std::get<NdjsonReject>(*second).line_number == 4);
    const auto third = reader.next();
    REQUIRE(third);
    CHECK(std::get<NdjsonDocument>(*third).line_number == 5);
    CHECK(std::get<NdjsonDocument>(*third).key == "2");
    CHECK_FALSE(reader.next());
    CHECK(reader.lines_read() == 3);
}
