# Writes examples/orders/orders.ndjson, the same bytes each time:
#   awk -f examples/orders/generate.awk > examples/orders/orders.ndjson
# A day of a shop's orders, and what real files bring along: broken lines, lines that stand there
# twice, an order changed under the same id, orders that can never be fulfilled, and orders whose
# payment gateway is slow to answer. Each order pays: its "ledger" moves the total from the account
# of the customer to that of the shop. Some payments are refused: in a currency without books, under
# an id that was used, or beyond the limit of a customer who has one (1,500.00 EUR, see scripts/demo).
# The worker beside this file says what becomes of each; takings.awk says what the shop must get.

# Minimal standard random numbers: exact in the doubles of every awk.
function random_below(limit) {
    seed = (seed * 16807) % 2147483647
    return seed % limit
}

function pick(list_name, count) {
    count = split(lists[list_name], choices, " ")
    return choices[1 + random_below(count)]
}

function items_of_order(quantity_factor, count, item, text, quantity, price_cents) {
    total_cents = 0
    text = ""
    count = 1 + random_below(4)
    for (item = 1; item <= count; item++) {
        quantity = (1 + random_below(3)) * quantity_factor
        price_cents = 195 + 5 * random_below(1200)
        total_cents += quantity * price_cents
        text = text (item > 1 ? "," : "") sprintf("{\"sku\":\"%s-%04d\",\"quantity\":%d," \
            "\"price_cents\":%d}", pick("goods"), 1 + random_below(180), quantity, price_cents)
    }
    return text
}

function customer_of_order(limited, first, last) {
    first = pick("first_names")
    last = pick("last_names")
    customer_id = 10000 + random_below(4000)
    if (limited) customer_id = 20000 + limited
    customer_id = sprintf("C-%05d", customer_id)
    return sprintf("{\"id\":\"%s\",\"name\":\"%s %s\",\"email\":\"%s.%s@example.com\"}",
                   customer_id, first, last, tolower(first), tolower(last))
}

function payment(id_number, amount, currency) {
    return sprintf("{\"transaction_id\":\"payment-%06d\",\"debit\":\"customer:%s\"," \
        "\"credit\":\"shop\",\"amount\":%d,\"asset\":\"%s\"}",
        id_number, customer_id, amount, currency)
}

# gateway_timeouts: on how many attempts the payment gateway will not answer in time.
# limited: which of the customers with a limit it is, 0 = none of them.
function order(number, currency, total_error_cents, gateway_timeouts, limited, quantity_factor,
               payment_number, second, items, customer, provider) {
    second = number * 57 + random_below(40)
    items = items_of_order(quantity_factor)
    customer = customer_of_order(limited)
    provider = pick("providers")
    total_cents += total_error_cents
    return sprintf("{\"order_id\":\"ORD-%06d\",\"placed_at\":\"2025-03-14T%02d:%02d:%02dZ\"," \
        "\"customer\":%s,\"currency\":\"%s\",\"items\":[%s],\"total_cents\":%d," \
        "\"gateway\":{\"provider\":\"%s\",\"timeouts\":%d},\"ledger\":%s}",
        number, int(second / 3600) % 24, int(second / 60) % 60, second % 60,
        customer, currency, items, total_cents, provider, gateway_timeouts,
        payment(payment_number, total_cents, currency))
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
        if (number == 240 || number == 1040) currency = "XXX"   # ISO 4217: no currency; so no books
        limited = 0
        quantity_factor = 1
        hundreds = number % 400
        if (hundreds == 105 || hundreds == 106 || hundreds == 120) {
            limited = 1 + int(number / 400)
            currency = "EUR"
            if (hundreds == 120) quantity_factor = 1000   # alone beyond the limit; the others fit
        }
        payment_number = number == 640 ? 320 : number     # the id of another order's payment
        line = order(number, currency, total_error_cents, gateway_timeouts, limited,
                     quantity_factor, payment_number)
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
