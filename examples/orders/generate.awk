# Writes examples/orders/orders.ndjson, the same bytes each time:
#   awk -f examples/orders/generate.awk > examples/orders/orders.ndjson
# A day of a shop's orders, and what real files bring along: broken lines, lines that stand there
# twice, an order changed under the same id, orders that can never be fulfilled, and orders whose
# payment gateway is slow to answer. The worker beside this file says what becomes of each.

# Minimal standard random numbers: exact in the doubles of every awk.
function random_below(limit) {
    seed = (seed * 16807) % 2147483647
    return seed % limit
}

function pick(list_name, count) {
    count = split(lists[list_name], choices, " ")
    return choices[1 + random_below(count)]
}

function items_of_order(count, item, text, quantity, price_cents) {
    total_cents = 0
    text = ""
    count = 1 + random_below(4)
    for (item = 1; item <= count; item++) {
        quantity = 1 + random_below(3)
        price_cents = 195 + 5 * random_below(1200)
        total_cents += quantity * price_cents
        text = text (item > 1 ? "," : "") sprintf("{\"sku\":\"%s-%04d\",\"quantity\":%d," \
            "\"price_cents\":%d}", pick("goods"), 1 + random_below(180), quantity, price_cents)
    }
    return text
}

function customer_of_order(first, last) {
    first = pick("first_names")
    last = pick("last_names")
    return sprintf("{\"id\":\"C-%05d\",\"name\":\"%s %s\",\"email\":\"%s.%s@example.com\"}",
                   10000 + random_below(4000), first, last, tolower(first), tolower(last))
}

# gateway_timeouts: on how many attempts the payment gateway will not answer in time.
function order(number, currency, total_error_cents, gateway_timeouts, second, items) {
    second = number * 57 + random_below(40)
    items = items_of_order()
    return sprintf("{\"order_id\":\"ORD-%06d\",\"placed_at\":\"2025-03-14T%02d:%02d:%02dZ\"," \
        "\"customer\":%s,\"currency\":\"%s\",\"items\":[%s],\"total_cents\":%d," \
        "\"gateway\":{\"provider\":\"%s\",\"timeouts\":%d}}",
        number, int(second / 3600) % 24, int(second / 60) % 60, second % 60,
        customer_of_order(), currency, items, total_cents + total_error_cents,
        pick("providers"), gateway_timeouts)
}

function print_broken_line(number) {
    if (number == 137) print "{\"order_id\":\"ORD-900001\",\"customer\":{\"id\":\"C-10001\""
    if (number == 402) print "2025-03-14 06:24:11 WARN export: connection reset, resuming"
    if (number == 655) print "{\"order_id\":\"ORD-900002\",\"currency\":\"EUR\",\"items\":[],}"
    if (number == 871) print "{'order_id': 'ORD-900003', 'currency': 'EUR'}"
    if (number == 990) print "{\"currency\":\"EUR\",\"items\":[],\"total_cents\":0}"
    if (number == 1180) print "{\"order_id\":\"ORD-900004\",\"total_cents\":12,50}"
}

BEGIN {
    seed = 20250314
    lists["goods"] = "TEA COFFEE MUG KETTLE SPOON FILTER TIN TRAY BOWL GRINDER"
    lists["first_names"] = "Ada Boris Chiara Dmitri Elif Farid Greta Hugo Ines Jonas Kemal Lena " \
        "Mira Nils Olga Pavel Rosa Sami Tove Yusuf"
    lists["last_names"] = "Almeida Bauer Costa Dahl Eriksen Fischer Garcia Horvat Ivanova Jensen " \
        "Kaya Lindgren Moreau Novak Okafor Petrov Rossi Silva Tanaka Weber"
    lists["currencies"] = "EUR EUR EUR EUR USD USD GBP CHF SEK"
    lists["providers"] = "cardpay cardpay cardpay bankwire paylater"
    orders = 1260
    for (number = 1; number <= orders; number++) {
        print_broken_line(number)
        currency = pick("currencies")
        total_error_cents = 0
        gateway_timeouts = number % 29 == 7 ? 1 : 0
        if (number % 200 == 50) total_error_cents = 100   # the total is not that of its items
        if (number % 500 == 333) currency = "XTS"         # reserved for tests, never accepted
        if (number == 700 || number == 1100) gateway_timeouts = 99
        line = order(number, currency, total_error_cents, gateway_timeouts)
        print line
        if (number % 90 == 12) kept = line
        if (number % 90 == 61) print kept                 # sent twice by the shop
        if (number == 777) changed = line
        if (number == 800) {
            sub(/"currency":"[A-Z]*"/, "\"currency\":\"USD\"", changed)
            sub(/"quantity":[0-9]*/, "\"quantity\":9", changed)
            print changed                                 # same id, another order
        }
    }
}
