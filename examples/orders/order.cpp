// Owns the rules of the shop.
#include "order.hpp"

#include <array>
#include <stdexcept>

#include <fmt/core.h>
#include <nlohmann/json.hpp>

namespace orders {

namespace {

constexpr std::array currencies_accepted = {"EUR", "USD", "GBP", "CHF", "SEK"};
// Far above every real order, and low enough that no sum of them can overflow.
constexpr std::int64_t items_max = 1000;
constexpr std::int64_t quantity_max = 10'000;
constexpr std::int64_t price_cents_max = 100'000'000;

std::int64_t bounded(const nlohmann::json &item, const char *name, std::int64_t most) {
    const nlohmann::json &value = item.at(name);
    if (!value.is_number_integer() || value < 1 || value > most) {
        throw std::runtime_error(fmt::format("{} is not a whole number from 1 to {}", name, most));
    }
    return value.get<std::int64_t>();
}

std::int64_t cents_of_items(const nlohmann::json &items) {
    if (items.size() > static_cast<std::size_t>(items_max)) {
        throw std::runtime_error(fmt::format("more than {} items", items_max));
    }
    std::int64_t cents = 0;
    for (const nlohmann::json &item : items) {
        cents +=
            bounded(item, "quantity", quantity_max) * bounded(item, "price_cents", price_cents_max);
    }
    return cents;
}

} // namespace

Order parse_order(std::string_view json_text) {
    try {
        const nlohmann::json document = nlohmann::json::parse(json_text);
        Order order;
        order.order_id = document.at("order_id").get<std::string>();
        order.currency = document.at("currency").get<std::string>();
        order.items_cents = cents_of_items(document.at("items"));
        order.total_cents = document.at("total_cents").get<std::int64_t>();
        order.gateway_timeouts = document.at("gateway").at("timeouts").get<int>();
        return order;
    } catch (const nlohmann::json::exception &error) {
        throw std::runtime_error(fmt::format("not an order: {}", error.what()));
    }
}

std::optional<Objection> objection_to(const Order &order, int attempt) {
    if (order.items_cents != order.total_cents) {
        return Objection{fmt::format("the items cost {} cents, but the total says {}",
                                     order.items_cents, order.total_cents),
                         true};
    }
    bool currency_accepted = false;
    for (const char *accepted : currencies_accepted) {
        currency_accepted = currency_accepted || order.currency == accepted;
    }
    if (!currency_accepted) {
        // Not permanent: the shop may accept it tomorrow, and an operator can redrive it then.
        return Objection{fmt::format("no rate for currency {}", order.currency), false};
    }
    if (attempt <= order.gateway_timeouts) {
        return Objection{"the payment gateway did not answer in time", false};
    }
    return std::nullopt;
}

} // namespace orders
