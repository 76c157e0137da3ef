# Money moves between few accounts from many clients at once: nobody deadlocks, every transfer happens
# exactly once, and in every snapshot that is taken meanwhile balances add up to nothing and agree with
# the entries.
use strict;
use warnings;
use FaultlineNode;
use IPC::Run;
use PostgreSQL::Test::Utils;
use Test::More;

my $transfers = 10_000;
my $clients   = 8;
my $accounts  = 8;

my $node = new_node('transfers', conf => "max_connections = 50\nsynchronous_commit = off\n");
# Half of the accounts may not go far below zero, so that some transfers are refused and end their job.
$node->safe_psql('postgres', <<"SQL");
SELECT setseed(0.5);
SELECT faultline.create_queue('bank', max_attempts => 3, lease => '10 min');
SELECT faultline.create_asset('coin', accounts_on_first_use => false);
SELECT faultline.open_account('account ' || i, 'coin', min_balance => CASE WHEN i % 2 = 0 THEN -5000 END)
  FROM generate_series(1, $accounts) i;
CREATE TABLE wanted AS
  SELECT i AS id, d AS debit, 1 + (d + floor(random() * ($accounts - 1))::int) % $accounts AS credit,
         1 + floor(random() * 1000)::bigint AS amount
    FROM generate_series(1, $transfers) i, LATERAL (SELECT 1 + floor(random() * $accounts)::int AS d WHERE i > 0) s;
SELECT count(*) FROM (SELECT faultline.enqueue_many('bank', array_agg(to_jsonb(id)), ledger => array_agg(jsonb_build_object(
    'transaction_id', 'transfer ' || id, 'debit', 'account ' || debit, 'credit', 'account ' || credit,
    'amount', amount, 'asset', 'coin'))) FROM wanted) s;
SQL
is($node->safe_psql('postgres', q{SELECT count(*), count(DISTINCT (debit, credit)), bool_or(debit = credit) FROM wanted}),
    "$transfers|" . $accounts * ($accounts - 1) . '|f', 'every pair of accounts has transfers both ways');

# A transfer that an account cannot take ends its job.
$node->safe_psql('postgres', <<'SQL');
CREATE FUNCTION transfer(job bigint, token bigint) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  RETURN (SELECT verdict FROM faultline.apply_and_complete(job, token));
EXCEPTION WHEN SQLSTATE 'JQ014' THEN
  RETURN faultline.fail(job, token, 'refused', discard => true);
END $$;
SQL
# Eight workers, each one job at a time; every transfer is a transaction of its own.
my $work = sql_file('work.sql', <<'SQL');
SELECT coalesce(max(job_id), 0) AS job, coalesce(max(lease_token), 0) AS token FROM faultline.claim('bank', 'w') \gset
\if :job
SELECT transfer(:job, :token);
\endif
SQL

# The observer: in one snapshot, the sum of all balances and every account that disagrees with its entries.
my $look = q{
BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
SELECT 'snapshot', (SELECT count(*) FROM faultline.ledger_entries WHERE asset = 'coin'),
  (SELECT sum(balance) FROM faultline.ledger_accounts WHERE asset = 'coin'),
  (SELECT count(*) FROM faultline.ledger_accounts a WHERE asset = 'coin' AND ROW (a.balance, a.version) <>
     (SELECT coalesce(sum(CASE WHEN e.credit = a.account THEN e.amount ELSE -e.amount END), 0)::bigint, count(*)
        FROM faultline.ledger_entries e WHERE e.asset = 'coin' AND a.account IN (e.debit, e.credit))),
  (SELECT count(*) FROM faultline.ledger_accounts WHERE balance < min_balance),
  (SELECT count(*) FROM faultline.ledger_transactions t FULL JOIN faultline.ledger_entries e USING (transaction_id)
    WHERE (e.entry_id IS NOT NULL) <> (t.state IN ('a', 'r')));
COMMIT;
};
my $deadlocks = q{SELECT deadlocks FROM pg_stat_database WHERE datname = 'postgres'};
my $deadlocks_before = $node->safe_psql('postgres', $deadlocks);
my ($out, $err) = ('', '');
my $bench = IPC::Run::start(
    [ 'pgbench', '-n', '-c', $clients, '-j', 2, '-t', $transfers / $clients + 20, '-f', $work,
        $node->connstr('postgres') ],
    '<', \undef, '>', \$out, '2>', \$err, IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));
my $observer = $node->background_psql('postgres', on_error_stop => 1);
my @snapshots;
while ($bench->pumpable) {
    push @snapshots, $observer->query($look) =~ /^(snapshot.*)$/m;
    $bench->pump_nb;
}
$bench->finish;
$observer->quit;
is($bench->result(0), 0, 'the workers saw no error') or diag($err);
unlike("$out$err", qr/deadlock|40P01/, 'nor a deadlock');
my ($under_way) = (scalar grep { my $n = (split /\|/)[1]; $n > 0 && $n < $transfers - 1 } @snapshots);
cmp_ok($under_way, '>=', 5, 'snapshots were taken while transfers were under way');
my @wrong = grep { !/^snapshot\|\d+\|0\|0\|0\|0$/ } @snapshots;
is_deeply(\@wrong, [], 'balances add up to nothing and agree with the entries in all ' . @snapshots . ' snapshots');

is($node->safe_psql('postgres', 'SELECT count(*) FROM faultline.live_jobs'), '0', 'every job has ended');
is($node->safe_psql('postgres', <<'SQL'), 't|t', 'each as its transaction: applied as wanted, or failed for want of money');
SELECT count(*) = (SELECT count(*) FROM wanted),
       bool_and(CASE t.state WHEN 'a' THEN (e.debit, e.credit, e.amount) = ('account ' || w.debit, 'account ' || w.credit, w.amount)
                             WHEN 'f' THEN e.entry_id IS NULL AND t.failure_reason = 'refused' ELSE false END)
  FROM wanted w JOIN faultline.ledger_transactions t ON t.transaction_id = 'transfer ' || w.id
  LEFT JOIN faultline.ledger_entries e USING (transaction_id);
SQL
is($node->safe_psql('postgres', q{SELECT count(*) FILTER (WHERE state = 'f') > 0, count(*) FILTER (WHERE state = 'a') > 0
        FROM faultline.ledger_transactions}), 't|t', 'there were both');
is($node->safe_psql('postgres', $deadlocks), $deadlocks_before, 'the server counted no deadlock');
is($node->safe_psql('postgres', q{SELECT sum(rows) = (SELECT count(*) FROM faultline.ledger_entries)
        FROM faultline.reconcile(100000) WHERE rule = 'R4'}), 't', 'all that was applied is reconciled');
invariants_hold($node, 'postgres');
log_is_clean($node);
$node->stop;
done_testing();
