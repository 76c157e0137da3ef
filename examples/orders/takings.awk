# What the shop must have received of the orders in a file, found out without any database:
#   awk -v limit_cents=150000 -f examples/orders/takings.awk examples/orders/orders.ndjson
# Prints "ASSET CENTS ORDERS" for each asset. An order counts when its line is whole, is the first
# with its order_id and its payment's id, and nothing speaks against it: an unknown currency, a total
# that is not that of its items, a gateway that never answers, a customer beyond the limit.

# The value of the first field of this name.
function value_of(name, found) {
    if (!match($0, "\"" name "\":\"?[^,\"}]*")) return ""
    found = substr($0, RSTART, RLENGTH)
    sub(/^"[a-z_]*":"?/, "", found)
    return found
}

function cents_of_items(rest, cents, quantity) {
    rest = $0
    while (match(rest, /"quantity":[0-9]+,"price_cents":[0-9]+/)) {
        split(substr(rest, RSTART, RLENGTH), numbers, /[:,]/)
        cents += numbers[2] * numbers[4]
        rest = substr(rest, RSTART + RLENGTH)
    }
    return cents + 0
}

BEGIN { split("EUR USD GBP CHF SEK XTS", names); for (i in names) has_books[names[i]] = 1 }

!/^\{"order_id":"[^"]+",.*"ledger":\{[^{}]*\}\}$/ { next }

{
    order_id = value_of("order_id")
    payment_id = value_of("transaction_id")
    asset = value_of("asset")
    if (order_id in orders_seen || payment_id in payments_seen || !(asset in has_books)) next
    orders_seen[order_id] = payments_seen[payment_id] = 1

    cents = cents_of_items()
    beyond_limit = value_of("id") ~ /^C-2/ && cents > limit_cents
    if (asset == "XTS" || cents != value_of("total_cents") || value_of("timeouts") > 1 ||
        beyond_limit) next
    received[asset] += cents
    count[asset]++
}

END { for (asset in received) printf "%s %d %d\n", asset, received[asset], count[asset] | "sort" }
