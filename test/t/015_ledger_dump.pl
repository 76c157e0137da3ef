# The ledger in dumps: rows of every table come back exact in each form that people use, the guards do
# not stand in the way of a restore, and they are in force afterwards.  And a subscriber gets them.
use strict;
use warnings;
use FaultlineNode;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('ledger_dump', init => { allows_streaming => 'logical' },
    conf => "faultline.allow_virtual_clock = on\n");
my $folder = PostgreSQL::Test::Utils::tempdir();

# A transaction in each state, a reversal, accounts of each kind, a finding.
$node->safe_psql('postgres', <<'SQL');
SELECT faultline.set_clock(now() - interval '10 min');
SELECT faultline.create_queue('pay', max_attempts => 1);
SELECT faultline.create_asset('EUR', description => E'it''s\t"money"');
SELECT faultline.open_account('till', 'EUR', min_balance => -1000, max_balance => 5000);
SELECT faultline.open_account(E'odd \\ ''name''\n', 'EUR', maintain_balance => false);
SELECT faultline.open_account('closed', 'EUR');
SELECT faultline.enqueue_many('pay', array_agg('1'::jsonb), ledger => array_agg(jsonb_build_object(
         'transaction_id', 'payment ' || i, 'debit', 'till', 'credit', CASE i % 3 WHEN 0 THEN 'closed' ELSE 'first use' END,
         'amount', i, 'asset', 'EUR', 'metadata', jsonb_build_object('n', i)))) FROM generate_series(1, 40) i;
CREATE TEMP TABLE held AS SELECT * FROM faultline.claim('pay', 'w', 30);
SELECT count(*) FROM held, faultline.apply_and_complete(job_id, lease_token) WHERE job_id % 2 = 0;
SELECT count(*) FROM faultline.reconcile(7);
SELECT count(*) FROM held, faultline.apply_ledger(job_id, lease_token) WHERE job_id % 10 = 1;
SELECT count(faultline.fail(job_id, lease_token, 'no', discard => true)) FROM held WHERE job_id % 10 = 3;
SELECT faultline.redrive(queue => 'pay', max_jobs => 1);
SELECT faultline.reverse_transaction('payment 2', 'undo 2', 'wrong');
SELECT faultline.close_account('closed', 'EUR');
SELECT faultline.record_finding('test', 'subject', 'evidence');
SELECT faultline.set_clock(NULL);
SQL

my @tables = qw(ledger_assets ledger_accounts ledger_transactions ledger_entries ledger_findings
  live_jobs finished_jobs failed_jobs);

sub contents {
    my ($on, $database) = @_;
    my %content = map { $_ => $on->safe_psql($database, "SELECT t::text FROM faultline.$_ AS t ORDER BY 1") } @tables;
    $content{sequences} = $on->safe_psql($database, <<'SQL');
SELECT last_value, is_called FROM faultline.ledger_entry_id_seq
UNION ALL SELECT last_value, is_called FROM faultline.finding_id_seq
SQL
    $content{guards} = $on->safe_psql($database, <<'SQL');
SELECT tgrelid::regclass, tgname, tgenabled, tgdeferrable, tginitdeferred FROM pg_trigger
 WHERE tgrelid::regclass::text LIKE 'faultline.ledger_%' AND NOT tgisinternal ORDER BY tgrelid::regclass::text, tgname
SQL
    return \%content;
}

my $before = contents($node, 'postgres');
isnt($before->{$_}, '', "there is something to dump: $_") for sort keys %$before;
is($node->safe_psql('postgres', q{SELECT string_agg(DISTINCT state::text, '' ORDER BY state::text) FROM faultline.ledger_transactions}),
    'afir', 'there are transactions in each state');
like($before->{guards}, qr/ledger_entries\|append_only\|A\|f\|f/, 'guards fire always');

# Refused by the guards, at the latest when the transaction ends.
sub guards_in_force {
    my ($on, $database, $form) = @_;
    my %refused = (
        'an entry is removed'         => [ 'DELETE FROM faultline.ledger_entries', 'JQ009' ],
        'an entry is changed'         => [ 'UPDATE faultline.ledger_entries SET amount = 1', 'JQ009' ],
        'all are removed'             => [ 'TRUNCATE faultline.ledger_entries', 'JQ009' ],
        'an intent changes'           => [ 'UPDATE faultline.ledger_transactions SET amount = 1', 'JQ009' ],
        'a state is final'            => [ q{UPDATE faultline.ledger_transactions SET state = 'a' WHERE state = 'r'}, 'JQ006' ],
        'APPLIED without an entry'    => [ q{UPDATE faultline.ledger_transactions SET state = 'a' WHERE state = 'i'}, 'JQ008' ],
        'an entry of what has failed' => [ q{INSERT INTO faultline.ledger_entries SELECT 999999, job_id, amount, created_at, 1,
            transaction_id, debit, credit, asset FROM faultline.ledger_transactions WHERE state = 'f' LIMIT 1}, 'JQ007' ]);
    for my $what (sort keys %refused) {
        my ($sql, $code) = @{ $refused{$what} };
        is(sqlstate($on, $sql, database => $database), $code, "$form: $what: refused");
    }
    return;
}

sub check_copy {
    my ($database, $form) = @_;
    my $found = contents($node, $database);
    my %wanted = %$before;
    # ENABLE TRIGGER ALL, as pg_dump writes it, forgets that they fire for the replica role, too.
    $wanted{guards} =~ s/\|A\|/|O|/g if $form =~ /disable-triggers/;
    is($found->{$_}, $wanted{$_}, "$form: $_") for sort keys %wanted;
    invariants_hold($node, $database, "$form: no invariant is violated");
    guards_in_force($node, $database, $form);
    $node->safe_psql($database, 'SELECT faultline.adopt()');
    is($node->safe_psql($database, q{SELECT verdict FROM faultline.transactions t, faultline.apply_ledger(t.job_id, 1, t.transaction_id)
            WHERE transaction_id = 'payment 2'}), 'exists', "$form: what was applied is known");
    is($node->safe_psql($database, <<'SQL'), 'applied', "$form: and a new effect is applied");
SELECT faultline.enqueue('pay', priority => -5, ledger => '{"transaction_id": "later", "debit": "till",
  "credit": "first use", "amount": 1, "asset": "EUR"}') AS new \gset
SELECT job_id, lease_token FROM faultline.claim('pay', 'w') \gset
SELECT verdict FROM faultline.apply_and_complete(:job_id, :lease_token);
SQL
    invariants_hold($node, $database, "$form: still no invariant is violated");
    return;
}

my @connect = ('-h', $node->host, '-p', $node->port);
my @psql    = ('psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', @connect, '-d');
my @rows    = ('--data-only', '--load-via-partition-root', '-n', 'faultline', '-e', 'faultline');
my @forms   = (
    # form, is the extension there before, options of pg_dump, how to restore
    [ 'plain',            0, [], sub { [ @psql, $_[0], '-f', $_[1] ] } ],
    [ 'plain --inserts',  0, ['--inserts'], sub { [ @psql, $_[0], '-f', $_[1] ] } ],
    [ 'plain in one transaction', 0, [], sub { [ @psql, $_[0], '-1', '-f', $_[1] ] } ],
    [ 'custom',           0, ['-Fc'], sub { [ 'pg_restore', @connect, '--exit-on-error', '-d', @_ ] } ],
    # Rows that refer to each other take one process: an archive does not tell which tables come first.
    [ 'custom, in sections', 0, ['-Fc'], sub {
            my ($copy, $file) = @_;
            map { [ 'pg_restore', @connect, '--exit-on-error', @$_, '-d', $copy, $file ] }
              ['--section=pre-data'], ['--section=data'], [ '--section=post-data', '-j2' ];
        } ],
    [ 'data only',        1, [@rows], sub { [ @psql, $_[0], '-f', $_[1] ] } ],
    [ 'data only, in one transaction', 1, [@rows], sub { [ @psql, $_[0], '-1', '-f', $_[1] ] } ],
    [ 'data only, --disable-triggers', 1, [ @rows, '--disable-triggers' ], sub { [ @psql, $_[0], '-f', $_[1] ] } ],
    [ 'data only, --inserts', 1, [ @rows, '--inserts' ], sub { [ @psql, $_[0], '-f', $_[1] ] } ],
);
for my $number (0 .. $#forms) {
    my ($form, $extension, $options, $restore) = @{ $forms[$number] };
    my ($copy, $file) = ("copy$number", "$folder/$number.dump");
    command_ok([ 'pg_dump', @connect, @$options, '-f', $file, 'postgres' ], "$form: dump");
    $node->safe_psql('postgres', "CREATE DATABASE $copy TEMPLATE template0");
    if ($extension) {
        create_extension($node, $copy);
        # With the partitions that the rows, or ALTER TABLE ... DISABLE TRIGGER, will ask for.
        $node->safe_psql($copy, q{SELECT faultline.set_clock(now() - interval '10 min');
            SELECT count(*) FROM faultline.maintain(); SELECT faultline.set_clock(NULL)});
    }
    command_ok($_, "$form: restore without an error") for $restore->($copy, $file);
    check_copy($copy, $form);
}

# A subscriber: first the copy of the tables, then the changes.
my $list = join ', ', map { "faultline.$_" } qw(ledger_assets ledger_accounts ledger_transactions ledger_entries);
$node->safe_psql('postgres', "CREATE PUBLICATION ledger FOR TABLE $list");
my $subscriber = new_node('subscriber', conf => "wal_level = logical\n");
$subscriber->safe_psql('postgres', 'CREATE SUBSCRIPTION ledger CONNECTION '
      . "'" . $node->connstr('postgres') =~ s/'/''/gr . "' PUBLICATION ledger");
$subscriber->wait_for_subscription_sync($node, 'ledger');
$node->safe_psql('postgres', <<'SQL');
SELECT faultline.enqueue('pay', priority => -5, ledger => '{"transaction_id": "later", "debit": "till",
  "credit": "first use", "amount": 1, "asset": "EUR"}') AS new \gset
SELECT job_id, lease_token FROM faultline.claim('pay', 'w') \gset
SELECT verdict FROM faultline.apply_and_complete(:job_id, :lease_token);
SELECT count(*) FROM faultline.reconcile();
SELECT faultline.reverse_transaction('payment 4', 'undo 4', 'wrong');
SQL
$node->wait_for_catchup('ledger');
my ($there, $here) = (contents($subscriber, 'postgres'), contents($node, 'postgres'));
is($there->{$_}, $here->{$_}, "subscriber: $_")
  for qw(ledger_assets ledger_accounts ledger_transactions ledger_entries);
isnt($here->{ledger_entries}, $before->{ledger_entries}, 'there were changes to apply');
guards_in_force($subscriber, 'postgres', 'subscriber');

log_is_clean($subscriber);
log_is_clean($node);
$subscriber->stop;
$node->stop;
done_testing();
