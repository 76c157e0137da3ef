// Owns the rows of ledger_accounts.  Locks: a maintained balance by its row; an account without one
// by an object lock on its name, shared by entries and taken alone by close_account(), so that
// entries of a busy account do not wait for each other.  Accounts come after the job's and the
// transaction's row, in the byte order of account and asset.
#include "accounts.hpp"

#include "../access.hpp"
#include "../arguments.hpp"
#include "../errors.hpp"
#include "../transaction.hpp"
#include "columns.hpp"
#include "relations.hpp"
#include "scan.hpp"

namespace faultline {

namespace {

int compare_accounts(const void *a, const void *b) {
    const auto *left = static_cast<const HeldAccount *>(a);
    const auto *right = static_cast<const HeldAccount *>(b);
    int order = compare_bytes(left->account, right->account);
    return order != 0 ? order : compare_bytes(left->asset, right->asset);
}

// The accounts of the effects, each once, in order.
HeldAccount *named_accounts(const Effect *effects, int effect_count, int *count) {
    auto *accounts =
        static_cast<HeldAccount *>(palloc0(sizeof(HeldAccount) * 2 * (effect_count + 1)));
    for (int i = 0; i < effect_count; i++) {
        accounts[2 * i].account = effects[i].debit;
        accounts[2 * i + 1].account = effects[i].credit;
        accounts[2 * i].asset = accounts[2 * i + 1].asset = effects[i].asset;
    }
    qsort(accounts, 2 * effect_count, sizeof(HeldAccount), compare_accounts);
    *count = 0;
    for (int i = 0; i < 2 * effect_count; i++)
        if (*count == 0 || compare_accounts(&accounts[*count - 1], &accounts[i]) != 0)
            accounts[(*count)++] = accounts[i];
    return accounts;
}

bool find_account(const HeldAccounts &held, const HeldAccount &account) {
    ScanKeyData keys[2];
    text_key(&keys[0], 1, account.account);
    text_key(&keys[1], 2, account.asset);
    return load_newest(held.table.relation, relation_ids().ledger_accounts_pkey, keys, 2, held.row);
}

// Whether accounts of the asset are opened by their first entry; raises when there is no such
// asset.
bool accounts_open_on_first_use(const text *asset) {
    Relation table = open_relation(relation_ids().ledger_assets, AccessShareLock);
    TupleTableSlot *slot = table_slot_create(table, nullptr);
    ScanKeyData key;
    text_key(&key, 1, asset);
    bool found = load_newest(table, relation_ids().ledger_assets_pkey, &key, 1, slot);
    bool on_first_use =
        found && DatumGetBool(read_column(slot, asset_column::accounts_on_first_use).value);
    ExecDropSingleTupleTableSlot(slot);
    table_close(table, AccessShareLock);
    if (!found)
        ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                errmsg("unknown asset \"%s\"", text_to_cstring(asset)),
                errdetail("Assets are created explicitly, so that a mistyped name fails at once."),
                errhint("SELECT faultline.create_asset(%s);",
                        quote_literal_cstr(text_to_cstring(asset))));
    return on_first_use;
}

// False when the asset does not allow it.
bool open_on_first_use(const HeldAccount &account, TimestampTz now) {
    if (!accounts_open_on_first_use(account.asset))
        return false;
    Table accounts = open_table(relation_ids().ledger_accounts, true);
    RowWriter writer(accounts.write_slot);
    writer.set(account_column::version, Int64GetDatum(0));
    writer.set(account_column::opened_at, TimestampTzGetDatum(now));
    writer.set(account_column::account, PointerGetDatum(account.account));
    writer.set(account_column::asset, PointerGetDatum(account.asset));
    ItemPointerData conflict;
    // When somebody else has opened it meanwhile, that serves as well.
    insert_unless_conflict(accounts, writer.finish(), &conflict);
    close_table(accounts);
    CommandCounterIncrement();
    return true;
}

// A transaction holds no more object locks than this, however many accounts it names: they come out
// of the lock table that all sessions of the server share.
constexpr uint32 account_locks_max = 1024;

// The object lock of an account.  Names that share a number wait for each other's closing only.
void lock_account_name(const text *account, const text *asset, LOCKMODE mode) {
    uint32 number =
        hash_combine(hash_bytes(reinterpret_cast<const unsigned char *>(VARDATA_ANY(account)),
                                static_cast<int>(VARSIZE_ANY_EXHDR(account))),
                     hash_bytes(reinterpret_cast<const unsigned char *>(VARDATA_ANY(asset)),
                                static_cast<int>(VARSIZE_ANY_EXHDR(asset))));
    LockDatabaseObject(relation_ids().ledger_accounts, number % account_locks_max, 0, mode);
}

int64 read_bound(TupleTableSlot *row, AttrNumber column, bool *has_bound) {
    Column bound = read_column(row, column);
    *has_bound = !bound.is_null;
    return DatumGetInt64(bound.value);
}

void read_account(HeldAccount &account, TupleTableSlot *row) {
    account.known = true;
    account.position = row->tts_tid;
    account.closed = !read_column(row, account_column::closed_at).is_null;
    account.balance = read_bound(row, account_column::balance, &account.maintained);
    account.minimum = read_bound(row, account_column::min_balance, &account.has_minimum);
    account.maximum = read_bound(row, account_column::max_balance, &account.has_maximum);
}

void hold_account(HeldAccounts &held, HeldAccount &account, TimestampTz now) {
    while (!find_account(held, account)) {
        CHECK_FOR_INTERRUPTS();
        if (!open_on_first_use(account, now))
            return;
    }
    if (read_column(held.row, account_column::balance).is_null) {
        lock_account_name(account.account, account.asset, RowShareLock);
        // Closed before we had the lock?
        find_account(held, account);
    } else {
        ItemPointerData tid = held.row->tts_tid;
        TM_Result outcome = lock_newest_row(held.table, &tid, held.row, LockWaitBlock);
        if (outcome != TM_Ok)
            elog(ERROR, "could not lock account \"%s\": %d", text_to_cstring(account.account),
                 outcome);
        // What the caller decided by may have been another balance.
        check_visible_or_own(held.table, held.row);
    }
    read_account(account, held.row);
}

HeldAccount *held_account(const HeldAccounts &held, const text *account, const text *asset) {
    HeldAccount wanted = {};
    wanted.account = account;
    wanted.asset = asset;
    return static_cast<HeldAccount *>(
        bsearch(&wanted, held.accounts, held.count, sizeof(HeldAccount), compare_accounts));
}

// Only the bound that the movement goes towards: an account outside its bounds may come back.
Refusal refusal_of(const HeldAccount &account, int64 change) {
    if (!account.known)
        return Refusal::unknown_account;
    if (account.closed)
        return Refusal::account_closed;
    if (!account.maintained)
        return Refusal::none;
    int64 after;
    if (pg_add_s64_overflow(account.balance, change, &after))
        return Refusal::out_of_range;
    if ((change < 0 && account.has_minimum && after < account.minimum) ||
        (change > 0 && account.has_maximum && after > account.maximum))
        return Refusal::insufficient_funds;
    return Refusal::none;
}

void change_balance(HeldAccount &account, int64 change) {
    account.balance += account.maintained ? change : 0;
    account.entries++;
}

} // namespace

void require_asset(const text *asset) { accounts_open_on_first_use(asset); }

HeldAccounts hold_accounts(const Effect *effects, int count, TimestampTz now) {
    HeldAccounts held = {};
    held.table = open_table(relation_ids().ledger_accounts);
    held.row = table_slot_create(held.table.relation, nullptr);
    held.accounts = named_accounts(effects, count, &held.count);
    for (int i = 0; i < held.count; i++) {
        CHECK_FOR_INTERRUPTS();
        hold_account(held, held.accounts[i], now);
    }
    return held;
}

Movement move_amount(HeldAccounts &held, const Effect &effect) {
    HeldAccount *debit = held_account(held, effect.debit, effect.asset);
    HeldAccount *credit = held_account(held, effect.credit, effect.asset);
    Refusal refusal = refusal_of(*debit, -effect.amount);
    if (refusal != Refusal::none)
        return {refusal, debit, -effect.amount};
    refusal = refusal_of(*credit, effect.amount);
    if (refusal != Refusal::none)
        return {refusal, credit, effect.amount};
    change_balance(*debit, -effect.amount);
    change_balance(*credit, effect.amount);
    return {Refusal::none, nullptr, 0};
}

void store_accounts(HeldAccounts &held) {
    for (int i = 0; i < held.count; i++) {
        HeldAccount &account = held.accounts[i];
        if (!account.maintained || account.entries == 0)
            continue;
        if (!table_tuple_fetch_row_version(held.table.relation, &account.position, SnapshotAny,
                                           held.row))
            elog(ERROR, "locked account \"%s\" has gone", text_to_cstring(account.account));
        RowWriter writer(held.table.write_slot, held.row);
        writer.set(account_column::balance, Int64GetDatum(account.balance));
        writer.set(account_column::version,
                   Int64GetDatum(read_int64(held.row, account_column::version) + account.entries));
        TM_Result outcome = update_row(held.table, &account.position, writer.finish(), true);
        if (outcome != TM_Ok)
            elog(ERROR, "could not change locked account \"%s\": %d",
                 text_to_cstring(account.account), outcome);
    }
    ExecDropSingleTupleTableSlot(held.row);
    close_table(held.table);
}

void raise_refusal(const Movement &movement) {
    const HeldAccount &account = *movement.account;
    const char *name = text_to_cstring(account.account);
    const char *asset = text_to_cstring(account.asset);
    switch (movement.refusal) {
    case Refusal::unknown_account:
        ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                errmsg("account \"%s\" is not open for asset \"%s\"", name, asset),
                errdetail("Accounts of this asset are not opened by their first entry."),
                errhint("SELECT faultline.open_account(%s, %s);", quote_literal_cstr(name),
                        quote_literal_cstr(asset)));
    case Refusal::account_closed:
        ereport(ERROR, errcode_jq(core::sqlstate_account_closed),
                errmsg("account \"%s\" is closed", name),
                errdetail("It was closed for asset \"%s\".", asset),
                errhint("Use another account; a closed one stays closed."));
    case Refusal::out_of_range:
        ereport(
            ERROR, errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
            errmsg("balance of account \"%s\" is out of range", name),
            errdetail("It would change by " INT64_FORMAT " and not fit any more.", movement.change),
            errhint("Nothing was written. Balances are 64-bit; use a larger unit."));
    case Refusal::insufficient_funds:
    case Refusal::none:
        break;
    }
    bool is_minimum = movement.change < 0;
    const char *bound = is_minimum ? "min_balance" : "max_balance";
    // Balances are for operators.
    const char *detail =
        has_access({}, AccessLevel::operate)
            ? psprintf("Its balance of " INT64_FORMAT " %s would change by " INT64_FORMAT
                       ", but %s is " INT64_FORMAT ".",
                       account.balance, asset, movement.change, bound,
                       is_minimum ? account.minimum : account.maximum)
            : psprintf("Its %s would break.", bound);
    ereport(ERROR, errcode_jq(core::sqlstate_insufficient_funds),
            errmsg("account \"%s\" cannot take this entry", name), errdetail("%s", detail),
            errhint("Nothing was written. End the job with fail(discard => true), or try again "
                    "when the balance allows it."));
}

} // namespace faultline

FAULTLINE_FUNCTION(faultline_require_asset) {
    using namespace faultline;
    const text *asset = required_text(fcinfo, 0, "asset");
    check_text_length(asset, "asset", core::asset_bytes_max);
    require_asset(asset);
    PG_RETURN_VOID();
}

// close_account() holds this lock alone: it waits for transactions that have written an entry of
// the account, and keeps new ones out until it ends.
FAULTLINE_FUNCTION(faultline_lock_account) {
    using namespace faultline;
    lock_account_name(required_text(fcinfo, 0, "account"), required_text(fcinfo, 1, "asset"),
                      AccessExclusiveLock);
    PG_RETURN_VOID();
}
