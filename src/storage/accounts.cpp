// Owns the rows of ledger_accounts.  Locks: a maintained balance by its row; an account without one
// by an object lock on its name, shared by entries and taken alone by close_account(), so that
// entries of a busy account do not wait for each other.  Accounts come after the job's and the
// transaction's row, in the byte order of account and asset.
#include "accounts.hpp"

#include "../arguments.hpp"
#include "../errors.hpp"
#include "../transaction.hpp"
#include "columns.hpp"
#include "relations.hpp"
#include "scan.hpp"

namespace faultline {

namespace {

struct AccountChange {
    const text *account;
    const text *asset;
    int64 change; // negative: a debit
};

bool find_account(Table &accounts, const AccountChange &change, TupleTableSlot *slot) {
    ScanKeyData keys[2];
    text_key(&keys[0], 1, change.account);
    text_key(&keys[1], 2, change.asset);
    return load_newest(accounts.relation, relation_ids().ledger_accounts_pkey, keys, 2, slot);
}

// Whether accounts of the asset are opened by their first entry; raises when there is no such
// asset.
bool accounts_open_on_first_use(const text *asset) {
    Relation table = table_open(relation_ids().ledger_assets, AccessShareLock);
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

void open_on_first_use(const AccountChange &change, TimestampTz now) {
    if (!accounts_open_on_first_use(change.asset))
        ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                errmsg("account \"%s\" is not open for asset \"%s\"",
                       text_to_cstring(change.account), text_to_cstring(change.asset)),
                errdetail("Accounts of this asset are not opened by their first entry."),
                errhint("SELECT faultline.open_account(%s, %s);",
                        quote_literal_cstr(text_to_cstring(change.account)),
                        quote_literal_cstr(text_to_cstring(change.asset))));
    Table accounts = open_table(relation_ids().ledger_accounts, true);
    RowWriter writer(accounts.write_slot);
    writer.set(account_column::version, Int64GetDatum(0));
    writer.set(account_column::opened_at, TimestampTzGetDatum(now));
    writer.set(account_column::account, PointerGetDatum(change.account));
    writer.set(account_column::asset, PointerGetDatum(change.asset));
    ItemPointerData conflict;
    // When somebody else has opened it meanwhile, that serves as well.
    insert_unless_conflict(accounts, writer.finish(), &conflict);
    close_table(accounts);
    CommandCounterIncrement();
}

void check_open(TupleTableSlot *row, const AccountChange &change) {
    Column closed_at = read_column(row, account_column::closed_at);
    if (closed_at.is_null)
        return;
    ereport(ERROR, errcode_jq(core::sqlstate_account_closed),
            errmsg("account \"%s\" is closed", text_to_cstring(change.account)),
            errdetail("It was closed at %s for asset \"%s\".",
                      timestamptz_to_str(DatumGetTimestampTz(closed_at.value)),
                      text_to_cstring(change.asset)),
            errhint("Use another account; a closed one stays closed."));
}

[[noreturn]] void raise_bound(const AccountChange &change, int64 balance, const char *bound,
                              int64 limit) {
    ereport(ERROR, errcode_jq(core::sqlstate_insufficient_funds),
            errmsg("account \"%s\" cannot take this entry", text_to_cstring(change.account)),
            errdetail("Its balance of " INT64_FORMAT " %s would change by " INT64_FORMAT
                      ", but %s is " INT64_FORMAT ".",
                      balance, text_to_cstring(change.asset), change.change, bound, limit),
            errhint("Nothing was written. End the job with fail(discard => true), or try again "
                    "when the balance allows it."));
}

// Only the bound that the movement goes towards: an account outside its bounds may come back.
void check_bounds(TupleTableSlot *row, const AccountChange &change, int64 before, int64 after) {
    Column minimum = read_column(row, account_column::min_balance);
    Column maximum = read_column(row, account_column::max_balance);
    if (change.change < 0 && !minimum.is_null && after < DatumGetInt64(minimum.value))
        raise_bound(change, before, "min_balance", DatumGetInt64(minimum.value));
    if (change.change > 0 && !maximum.is_null && after > DatumGetInt64(maximum.value))
        raise_bound(change, before, "max_balance", DatumGetInt64(maximum.value));
}

void change_balance(Table &accounts, TupleTableSlot *row, const AccountChange &change) {
    ItemPointerData tid = row->tts_tid;
    TM_Result outcome = lock_newest_row(accounts, &tid, row, LockWaitBlock);
    if (outcome != TM_Ok)
        elog(ERROR, "could not lock account \"%s\": %d", text_to_cstring(change.account), outcome);
    check_open(row, change);
    int64 before = read_int64(row, account_column::balance);
    int64 after;
    if (pg_add_s64_overflow(before, change.change, &after))
        ereport(
            ERROR, errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
            errmsg("balance of account \"%s\" is out of range", text_to_cstring(change.account)),
            errdetail("It is " INT64_FORMAT " and would change by " INT64_FORMAT ".", before,
                      change.change),
            errhint("Nothing was written. Balances are 64-bit; use a larger unit."));
    check_bounds(row, change, before, after);
    tid = row->tts_tid;
    RowWriter writer(accounts.write_slot, row);
    writer.set(account_column::balance, Int64GetDatum(after));
    writer.set(account_column::version,
               Int64GetDatum(read_int64(row, account_column::version) + 1));
    outcome = update_row(accounts, &tid, writer.finish(), true);
    if (outcome != TM_Ok)
        elog(ERROR, "could not change locked account \"%s\": %d", text_to_cstring(change.account),
             outcome);
}

// The object lock of an account.  Names that share a number wait for each other's closing only.
void lock_account_name(const text *account, const text *asset, LOCKMODE mode) {
    uint32 number =
        hash_combine(hash_bytes(reinterpret_cast<const unsigned char *>(VARDATA_ANY(account)),
                                static_cast<int>(VARSIZE_ANY_EXHDR(account))),
                     hash_bytes(reinterpret_cast<const unsigned char *>(VARDATA_ANY(asset)),
                                static_cast<int>(VARSIZE_ANY_EXHDR(asset))));
    LockDatabaseObject(relation_ids().ledger_accounts, number, 0, mode);
}

void apply_change(Table &accounts, TupleTableSlot *row, const AccountChange &change,
                  TimestampTz now) {
    while (!find_account(accounts, change, row)) {
        CHECK_FOR_INTERRUPTS();
        open_on_first_use(change, now);
    }
    if (!read_column(row, account_column::balance).is_null) {
        change_balance(accounts, row, change);
        return;
    }
    lock_account_name(change.account, change.asset, RowShareLock);
    // Closed before we had the lock?
    find_account(accounts, change, row);
    check_open(row, change);
}

} // namespace

void require_asset(const text *asset) { accounts_open_on_first_use(asset); }

void move_balances(const Effect &effect, TimestampTz now) {
    AccountChange debit = {effect.debit, effect.asset, -effect.amount};
    AccountChange credit = {effect.credit, effect.asset, effect.amount};
    bool debit_first = compare_bytes(effect.debit, effect.credit) < 0;
    AccountChange changes[] = {debit_first ? debit : credit, debit_first ? credit : debit};
    Table accounts = open_table(relation_ids().ledger_accounts);
    TupleTableSlot *row = table_slot_create(accounts.relation, nullptr);
    for (const AccountChange &change : changes)
        apply_change(accounts, row, change, now);
    ExecDropSingleTupleTableSlot(row);
    close_table(accounts);
}

} // namespace faultline

FAULTLINE_FUNCTION(faultline_require_asset) {
    faultline::require_asset(faultline::required_text(fcinfo, 0, "asset"));
    PG_RETURN_VOID();
}

// close_account() holds this lock alone: it waits for transactions that have written an entry of
// the account, and keeps new ones out until it ends.
FAULTLINE_FUNCTION(faultline_lock_account) {
    using namespace faultline;
    lock_account_name(PG_GETARG_TEXT_PP(0), PG_GETARG_TEXT_PP(1), AccessExclusiveLock);
    PG_RETURN_VOID();
}
