// Owns the decision whether a commit waits for its flush.
//
// The rule: everything durable writes WAL, and takes a transaction id first.  So a transaction that
// had no id when its first claim began, and wrote no record outside its claims, has claims to lose
// and nothing else.  PostgreSQL counts the records of each backend.  Whatever is not sure to be
// a claim is flushed.
#include "asynchronous_claims.hpp"

#include "pg.hpp"

#include "settings.hpp"

namespace faultline {

namespace {

// Of the current transaction.
bool claims_wrote = false;
bool others_wrote = false;
bool flush_skipped = false;
int64 records_expected = 0; // as long as nobody else writes

bool someone_wrote_since() { return pgWalUsage.wal_records != records_expected; }

} // namespace

void begin_claim_writes() {
    if (!settings::asynchronous_claims)
        others_wrote = true; // this claim is to be durable
    else if (claims_wrote)
        others_wrote = others_wrote || someone_wrote_since();
    else
        others_wrote = others_wrote || TransactionIdIsValid(GetTopTransactionIdIfAny());
    claims_wrote = true;
}

void end_claim_writes() { records_expected = pgWalUsage.wal_records; }

void choose_commit_flush() {
    if (!claims_wrote || others_wrote || someone_wrote_since() ||
        synchronous_commit == SYNCHRONOUS_COMMIT_OFF ||
        !TransactionIdIsValid(GetTopTransactionIdIfAny()))
        return;
    // Until the end of this transaction.
    set_config_option("synchronous_commit", "off", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_LOCAL,
                      true, ERROR, false);
    flush_skipped = true;
    records_expected++; // the commit itself
}

// Other extensions may have written something when they heard of the commit, after us.
void check_commit_flush() {
    if (flush_skipped && someone_wrote_since())
        XLogFlush(XactLastCommitEnd);
}

void forget_claim_writes() {
    claims_wrote = false;
    others_wrote = false;
    flush_skipped = false;
}

} // namespace faultline
