# The background worker and the ledger: it brings transactions to their end, and settles jobs that
# declared an effect, although deferred triggers may not fire where it works.
use strict;
use warnings;
use FaultlineBackground;
use FaultlineNode;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = preloaded_node('ledger', conf => "faultline.naptime = '100 ms'\n");
$node->safe_psql('postgres', <<'SQL');
SELECT faultline.create_queue('pay', max_attempts => 1, lease => '500 ms');
SELECT faultline.create_asset('EUR');
SELECT faultline.open_account('shop', 'EUR');
SELECT faultline.enqueue('pay', priority => i, ledger => jsonb_build_object('transaction_id', 'payment ' || i,
  'debit', 'customer', 'credit', 'shop', 'amount', 100 * i, 'asset', 'EUR')) FROM generate_series(1, 4) AS i;
SQL

sub state_becomes {
    my ($transaction_id, $state, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    return ok($node->poll_query_until('postgres',
        "SELECT state FROM faultline.transactions WHERE transaction_id = '$transaction_id'", $state), $name)
      || diag($node->safe_psql('postgres', 'SELECT * FROM faultline.transactions; SELECT * FROM faultline.ledger_findings'));
}

my $claim = q{SELECT job_id, lease_token FROM faultline.claim('pay', 'w') \gset};
$node->safe_psql('postgres', "$claim
  SELECT faultline.apply_and_complete(:job_id, :lease_token)");
state_becomes('payment 1', 'RECONCILED', 'R4: applied and completed');

$node->safe_psql('postgres', $claim);
state_becomes('payment 2', 'FAILED', 'R2: its last lease ended without an entry');
is($node->safe_psql('postgres', q{SELECT failure_reason FROM faultline.transactions WHERE transaction_id = 'payment 2'}),
    'lease expired', 'and the transaction says why');

$node->safe_psql('postgres', "$claim
  SELECT faultline.apply_ledger(:job_id, :lease_token)");
state_becomes('payment 3', 'RECONCILED', 'R1, R4: its worker died after the effect');
is($node->safe_psql('postgres', q{SELECT string_agg(state, ' ' ORDER BY job_id) FROM faultline.jobs}),
    'succeeded failed succeeded queued', 'the jobs ended as their effects say');
is($node->safe_psql('postgres', 'SELECT count(*) FROM faultline.ledger_findings'), '0', 'no findings');
invariants_hold($node, 'postgres', 'no invariant is violated');
await_health($node, 'postgres', '^well$', 'health() is content');
log_is_clean($node);
$node->stop;
done_testing();
