// Owns the SQL of the ways to end a job. The one by hand is written as well as its design allows:
// one round trip, plans that are kept, hot rows last and in one order, batches as sets.
#include "ledger_ways.hpp"

#include "peer.hpp"

#include <fmt/format.h>

namespace faultline::bench {

namespace {

constexpr const char *asset = "EUR";

constexpr AccountSet no_accounts{"none", "", 0, false};
constexpr AccountSet account_sets[] = {
    {"10 summed", "free-", 10, false},
    {"10 hot", "hot-", 10, true},
    {"10,000", "wide-", 10'000, true},
};

// The guard against a second entry is the unique job_id. Accounts have no foreign key: where
// balances move, the UPDATE of both finds them.
constexpr const char *hand_tables[] = {
    "CREATE SCHEMA by_hand",
    R"(CREATE TABLE by_hand.accounts (
        account text COLLATE "C" PRIMARY KEY,
        balance bigint NOT NULL DEFAULT 0
    ) WITH (fillfactor = 50))",
    R"(CREATE TABLE by_hand.entries (
        entry_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        job_id bigint NOT NULL UNIQUE,
        debit text COLLATE "C" NOT NULL,
        credit text COLLATE "C" NOT NULL CHECK (credit <> debit),
        amount bigint NOT NULL CHECK (amount > 0),
        created_at timestamptz NOT NULL DEFAULT now()
    ))",
    "CREATE INDEX ON by_hand.entries (debit, created_at) INCLUDE (amount)",
    "CREATE INDEX ON by_hand.entries (credit, created_at) INCLUDE (amount)",
};

constexpr const char *hand_end_one = R"(
    CREATE FUNCTION by_hand.end_one(job bigint, debit text, credit text, amount bigint,
                                    move_balances boolean) RETURNS bigint
        LANGUAGE plpgsql AS $$
    DECLARE
        ended bigint;
        debit_first boolean := debit < credit;
    BEGIN
        INSERT INTO by_hand.entries (job_id, debit, credit, amount)
        VALUES (job, debit, credit, amount);
        UPDATE textbook.jobs SET state = 'done', finished_at = now()
         WHERE id = job AND state = 'running';
        GET DIAGNOSTICS ended = ROW_COUNT;
        IF move_balances THEN
            UPDATE by_hand.accounts
               SET balance = balance + CASE WHEN debit_first THEN -amount ELSE amount END
             WHERE account = CASE WHEN debit_first THEN debit ELSE credit END;
            UPDATE by_hand.accounts
               SET balance = balance + CASE WHEN debit_first THEN amount ELSE -amount END
             WHERE account = CASE WHEN debit_first THEN credit ELSE debit END;
        END IF;
        RETURN ended;
    END $$)";

constexpr const char *hand_end_many = R"(
    CREATE FUNCTION by_hand.end_many(job_ids bigint[], debits text[], credits text[],
                                     amounts bigint[], move_balances boolean) RETURNS bigint
        LANGUAGE plpgsql AS $$
    DECLARE
        ended bigint;
    BEGIN
        INSERT INTO by_hand.entries (job_id, debit, credit, amount)
        SELECT * FROM unnest(job_ids, debits, credits, amounts);
        UPDATE textbook.jobs SET state = 'done', finished_at = now()
         WHERE id = ANY (job_ids) AND state = 'running';
        GET DIAGNOSTICS ended = ROW_COUNT;
        IF move_balances THEN
            PERFORM FROM by_hand.accounts WHERE account = ANY (debits || credits)
              ORDER BY account FOR NO KEY UPDATE;
            UPDATE by_hand.accounts a SET balance = a.balance + m.change
              FROM (SELECT account, sum(change)::bigint AS change
                      FROM (SELECT unnest(debits) AS account, -unnest(amounts) AS change
                            UNION ALL SELECT unnest(credits), unnest(amounts)) moves
                     GROUP BY account) m
             WHERE a.account = m.account;
        END IF;
        RETURN ended;
    END $$)";

// Columns of a job's effect: two different accounts of the set and an amount.
std::string effect_columns(const AccountSet &accounts) {
    return fmt::format("'{0}' || debit AS debit, '{0}' || (debit + step) % {1} AS credit, amount",
                       accounts.prefix, accounts.count);
}

std::string effect_rows(const AccountSet &accounts) {
    return fmt::format("(SELECT (random() * 1e9)::bigint % {0} AS debit,"
                       " 1 + (random() * 1e9)::bigint % ({0} - 1) AS step,"
                       " 1 + (random() * 1e4)::bigint AS amount, i"
                       " FROM generate_series(1, $1::int) i) effects",
                       accounts.count);
}

Way complete_alone() {
    return {
        .side = Side::complete_alone,
        .accounts = no_accounts,
        .enqueue = fmt::format("SELECT count(*) FROM faultline.enqueue_many('bench',"
                               " array_fill('{}'::jsonb, ARRAY[$1::int]))",
                               payload),
        .claim = "SELECT job_id, lease_token, '' AS debit, '' AS credit, 0 AS amount"
                 " FROM faultline.claim('bench', $1::text, $2::int)",
        .end_one = "SELECT (faultline.complete($1::bigint, $2::bigint) = 'succeeded')::int",
        .end_many = "SELECT count(*) FROM faultline.complete_many($1::bigint[], $2::bigint[])"
                    " WHERE verdict = 'succeeded'",
        .count_ended = "SELECT count(*) FROM faultline.jobs WHERE state = 'succeeded'",
        .balances_agree = "SELECT true",
    };
}

Way apply_and_complete(const AccountSet &accounts) {
    return {
        .side = Side::call_by_call,
        .accounts = accounts,
        .enqueue =
            fmt::format("SELECT count(*) FROM faultline.enqueue_many('bench',"
                        " array_fill('{}'::jsonb, ARRAY[$1::int]), ledger => ARRAY(SELECT"
                        " jsonb_build_object('transaction_id', gen_random_uuid(), 'debit', debit,"
                        " 'credit', credit, 'amount', amount, 'asset', '{}') FROM (SELECT {} FROM "
                        "{}) intents))",
                        payload, asset, effect_columns(accounts), effect_rows(accounts)),
        .claim = "SELECT job_id, lease_token, ledger->>'debit', ledger->>'credit',"
                 " ledger->>'amount' FROM faultline.claim('bench', $1::text, $2::int)",
        .end_one = "SELECT (verdict = 'applied')::int"
                   " FROM faultline.apply_and_complete($1::bigint, $2::bigint)",
        .end_many = "SELECT count(*) FROM unnest($1::bigint[], $2::bigint[]) job (id, token),"
                    " LATERAL faultline.apply_and_complete(job.id, job.token) ended"
                    " WHERE ended.verdict = 'applied'",
        .count_ended = "SELECT count(*) FROM faultline.ledger_entries e"
                       " JOIN faultline.ledger_transactions t USING (transaction_id)"
                       " JOIN faultline.jobs j ON j.job_id = e.job_id"
                       " WHERE j.state = 'succeeded' AND t.state IN ('a', 'r')",
        .balances_agree =
            "SELECT bool_and(a.balance IS NULL OR a.balance = coalesce(m.change, 0))"
            " FROM faultline.ledger_accounts a LEFT JOIN (SELECT account, sum(change) AS change"
            " FROM faultline.ledger_entries, LATERAL (VALUES (debit, -amount), (credit, amount))"
            " leg (account, change) GROUP BY account) m USING (account)",
    };
}

Way apply_and_complete_many(const AccountSet &accounts) {
    Way way = apply_and_complete(accounts);
    way.side = Side::as_batch;
    way.end_one.clear();
    way.end_many = "SELECT count(*) FROM faultline.apply_and_complete_many($1, $2)"
                   " WHERE verdict = 'applied'";
    return way;
}

Way by_hand(const AccountSet &accounts) {
    return {
        .side = Side::by_hand,
        .accounts = accounts,
        .enqueue = fmt::format(
            "WITH stored AS (INSERT INTO textbook.jobs (payload) SELECT '{}'::jsonb ||"
            " jsonb_build_object('debit', debit, 'credit', credit, 'amount', amount)"
            " FROM (SELECT {} FROM {}) intents RETURNING id) SELECT count(*) FROM stored",
            payload, effect_columns(accounts), effect_rows(accounts)),
        .claim = fmt::format("WITH claimed AS ({}) SELECT id, 0, payload->>'debit',"
                             " payload->>'credit', payload->>'amount' FROM claimed",
                             textbook().claim),
        .end_one =
            fmt::format("SELECT by_hand.end_one($1, $3, $4, $5, {})", accounts.balance_maintained),
        .end_many =
            fmt::format("SELECT by_hand.end_many($1, $3, $4, $5, {})", accounts.balance_maintained),
        .count_ended = "SELECT count(*) FROM by_hand.entries e JOIN textbook.jobs j"
                       " ON j.id = e.job_id WHERE j.state = 'done'",
        .balances_agree =
            accounts.balance_maintained
                ? fmt::format("SELECT bool_and(a.balance = coalesce(m.change, 0))"
                              " FROM by_hand.accounts a LEFT JOIN (SELECT account,"
                              " sum(change) AS change FROM by_hand.entries, LATERAL (VALUES"
                              " (debit, -amount), (credit, amount)) leg (account, change)"
                              " GROUP BY account) m USING (account)"
                              " WHERE starts_with(a.account, '{}')",
                              accounts.prefix)
                : "SELECT true",
    };
}

std::vector<std::string> setup() {
    std::vector<std::string> statements{"CREATE EXTENSION faultline"};
    for (const Peer &peer : {textbook(), faultline()})
        statements.insert(statements.end(), peer.setup.begin(), peer.setup.end());
    statements.insert(statements.end(), std::begin(hand_tables), std::end(hand_tables));
    statements.emplace_back(hand_end_one);
    statements.emplace_back(hand_end_many);
    statements.push_back(fmt::format("SELECT faultline.create_asset('{}')", asset));
    for (const AccountSet &accounts : account_sets) {
        statements.push_back(
            fmt::format("SELECT faultline.open_account('{}' || i, '{}', maintain_balance => {})"
                        " FROM generate_series(0, {}) i",
                        accounts.prefix, asset, accounts.balance_maintained, accounts.count - 1));
        statements.push_back(fmt::format("INSERT INTO by_hand.accounts (account)"
                                         " SELECT '{}' || i FROM generate_series(0, {}) i",
                                         accounts.prefix, accounts.count - 1));
    }
    return statements;
}

std::vector<Way> all_ways() {
    std::vector<Way> ways{complete_alone()};
    for (const AccountSet &accounts : account_sets) {
        ways.push_back(apply_and_complete(accounts));
        ways.push_back(apply_and_complete_many(accounts));
        ways.push_back(by_hand(accounts));
    }
    return ways;
}

} // namespace

const std::vector<std::string> &ledger_setup() {
    static const std::vector<std::string> statements = setup();
    return statements;
}

const std::vector<Way> &ledger_ways() {
    static const std::vector<Way> ways = all_ways();
    return ways;
}

} // namespace faultline::bench
