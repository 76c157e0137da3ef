// Owns what an order is and when it can be accepted. No database here.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace orders {

struct Order {
    std::string order_id;
    std::string currency;
    std::int64_t items_cents = 0; // what the items cost together
    std::int64_t total_cents = 0; // what the shop wants to be paid
    // For the simulated payment gateway: it does not answer on this many first attempts.
    int gateway_timeouts = 0;
};

// Throws std::runtime_error with the reason when the text is no order.
Order parse_order(std::string_view json_text);

struct Objection {
    std::string reason;
    bool permanent = false; // trying again cannot help
};

// Why this order cannot be fulfilled on this attempt; nothing when it can.
std::optional<Objection> objection_to(const Order &order, int attempt);

} // namespace orders
