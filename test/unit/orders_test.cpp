// The example's rules: which orders are fulfilled, and which never or not yet.
#include <stdexcept>

#include <catch2/catch.hpp>

#include "order.hpp"

using namespace orders;

namespace {

const std::string good_order =
    R"({"order_id":"ORD-1","currency":"EUR","items":[{"sku":"TEA-1","quantity":2,)"
    R"("price_cents":150},{"sku":"MUG-1","quantity":1,"price_cents":900}],)"
    R"("total_cents":1200,"gateway":{"provider":"cardpay","timeouts":0}})";

std::string with(const std::string &from, const std::string &to) {
    std::string text = good_order;
    const auto found = text.find(from);
    REQUIRE(found != std::string::npos);
    return text.replace(found, from.size(), to);
}

} // namespace

TEST_CASE("a good order has no objection", "[orders]") {
    const Order order = parse_order(good_order);
    CHECK(order.order_id == "ORD-1");
    CHECK(order.items_cents == 1200);
    CHECK_FALSE(objection_to(order, 1).has_value());
}

TEST_CASE("a wrong total is refused for good", "[orders]") {
    const auto objection = objection_to(parse_order(with(":1200", ":1300")), 1);
    REQUIRE(objection);
    CHECK(objection->permanent);
    CHECK(objection->reason == "the items cost 1200 cents, but the total says 1300");
}

TEST_CASE("an unknown currency is refused on every attempt", "[orders]") {
    const Order order = parse_order(with("EUR", "XTS"));
    for (const int attempt : {1, 2, 20}) {
        const auto objection = objection_to(order, attempt);
        REQUIRE(objection);
        CHECK_FALSE(objection->permanent);
        CHECK(objection->reason == "no rate for currency XTS");
    }
}

TEST_CASE("the gateway answers after its timeouts", "[orders]") {
    const Order order = parse_order(with("\"timeouts\":0", "\"timeouts\":1"));
    CHECK(objection_to(order, 1).has_value());
    CHECK_FALSE(objection_to(order, 2).has_value());
}

TEST_CASE("what is no order is refused with a reason", "[orders]") {
    CHECK_THROWS_WITH(parse_order("{}"), Catch::Contains("order_id"));
    CHECK_THROWS_AS(parse_order("[]"), std::runtime_error);
    CHECK_THROWS_AS(parse_order("not JSON"), std::runtime_error);
    CHECK_THROWS_WITH(parse_order(with("\"quantity\":2", "\"quantity\":-2")),
                      Catch::Contains("quantity is not a whole number from 1"));
    CHECK_THROWS_WITH(parse_order(with(":150", ":1e300")), Catch::Contains("price_cents"));
    CHECK_THROWS_AS(parse_order(with("\"ORD-1\"", "17")), std::runtime_error);
}
