# Three layers keep a second entry out: the lease, the transaction's state, the unique indexes.
# Every way to call twice, with every choice of layers left out: how many entries appear.
use strict;
use warnings;
use FaultlineNode;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('layers', extension => 0, conf => <<'END');
shared_preload_libraries = faultline
faultline.background_worker = off
faultline.lab = on
faultline.allow_virtual_clock = on
END

# Calls of the same job: a holds a lease that ended, b the one in force; amount 100 unless it says
# otherwise.  "at once": the second call begins while the first has not committed.
my @scenarios = (
    [ 'zombie after its successor',           [ 'b' ], 'a' ],
    [ 'successor after the zombie',           [ 'a' ], 'b' ],
    [ 'zombie while its successor commits',   [ 'b', 'at once' ], 'a' ],
    [ 'successor while the zombie commits',   [ 'a', 'at once' ], 'b' ],
    [ 'zombie, another amount',               [ 'b' ], 'a', 999 ],
    [ 'zombie after completion',              [ 'b', 'complete' ], 'a' ],
    [ 'holder after completion',              [ 'b', 'complete' ], 'b' ],
    [ 'holder again, lease in force',         [ 'b' ], 'b' ],
    [ 'holder on two connections at once',    [ 'b', 'at once' ], 'b' ],
    [ 'holder again, another amount',         [ 'b' ], 'b', 999 ],
);

# What the layers do is known exactly, and not more: the state of the transaction and the unique
# indexes stop everybody; the lease stops everybody but its holder.  Once a job has ended nobody
# holds it, and another amount under an id is refused by the comparison with the intent: those
# need none of the three.
my %unguarded = map { $_ => 1 } (
    'zombie after its successor', 'successor after the zombie',
    'zombie while its successor commits', 'successor while the zombie commits',
    'holder again, lease in force', 'holder on two connections at once');
my %lease_does_not_help =
  map { $_ => 1 } ('holder again, lease in force', 'holder on two connections at once');

sub expected_entries {
    my ($scenario, %on) = @_;
    return 1 if $on{state} || $on{unique} || !$unguarded{$scenario};
    return $on{lease} && !$lease_does_not_help{$scenario} ? 1 : 2;
}

for my $database (qw(indexed plain)) {
    $node->safe_psql('postgres', "CREATE DATABASE $database");
    $node->safe_psql($database, <<'END');
CREATE EXTENSION faultline;
SELECT faultline.set_clock(now());
SELECT faultline.create_queue('q', lease => '1 min', backoff_base => '0', max_attempts => 9);
SELECT faultline.create_asset('EUR');
SELECT faultline.open_account('payer', 'EUR'), faultline.open_account('shop', 'EUR', maintain_balance => false);
END
}
# The same indexes, so that look-ups work, but they let everything in.
$node->safe_psql('plain', <<'END');
ALTER TABLE faultline.ledger_entries DROP CONSTRAINT ledger_entries_transaction;
DROP INDEX faultline.ledger_entries_job;
CREATE INDEX ledger_entries_transaction ON faultline.ledger_entries (transaction_id);
CREATE INDEX ledger_entries_job ON faultline.ledger_entries (job_id) WHERE job_id > 0;
END

my %sessions = map {
    my $database = $_;
    ($database => [ map { $node->background_psql($database, on_error_stop => 0) } 1, 2 ])
} qw(indexed plain);
my $cell = 0;

sub apply {
    my ($declares, $job_id, $token, $amount) = @_;
    my $content = $declares && $amount == 100
      ? '' : ", 'effect-$cell', 'payer', 'shop', $amount, 'EUR'";
    return "SELECT verdict FROM faultline.apply_ledger($job_id, $token$content)";
}

# The job of a new cell, with the tokens of its two claims.
sub prepare_job {
    my ($database, $declares) = @_;
    $cell++;
    my $ledger = $declares
      ? qq({"transaction_id": "effect-$cell", "debit": "payer", "credit": "shop", "amount": 100, "asset": "EUR"})
      : undef;
    my $intent = $declares ? ", ledger => '$ledger'" : '';
    my @of_job = split /\n/, $node->safe_psql($database, <<"END");
SELECT faultline.enqueue('q'$intent, priority => -$cell);
SELECT lease_token FROM faultline.claim('q', 'a');
SELECT faultline.advance_clock('2 min') \\g /dev/null
SELECT faultline.expire_leases() \\g /dev/null
SELECT lease_token FROM faultline.claim('q', 'b');
END
    return ($of_job[0], { a => $of_job[1], b => $of_job[2] });
}

# The second call begins and waits, or was answered; then the first one commits.
sub call_at_once {
    my ($database, $first, $second) = @_;
    my ($one, $two) = @{ $sessions{$database} };
    $one->query("BEGIN;\n$first;");
    background_call($two, "/* cell $cell */ $second");
    $node->poll_query_until('postgres',
        "SELECT bool_or(state <> 'active' OR wait_event_type = 'Lock') FROM pg_stat_activity
          WHERE query LIKE '/* cell $cell */%'") or die 'the second call does not get anywhere';
    $one->query('COMMIT;');
    end_call($two);
    return;
}

sub entries_of {
    my ($database, $declares, $scenario) = @_;
    my ($name, $first, $second, $amount) = @$scenario;
    my ($who, $how) = @$first;
    my ($job_id, $tokens) = prepare_job($database, $declares);
    my @calls = (apply($declares, $job_id, $tokens->{$who}, 100),
        apply($declares, $job_id, $tokens->{$second}, $amount // 100));
    my ($one) = @{ $sessions{$database} };
    if (($how // '') eq 'at once') {
        call_at_once($database, @calls);
    } else {
        $one->query("$calls[0];");
        $one->query("SELECT faultline.complete($job_id, $tokens->{$who});") if $how;
        $one->query("$calls[1];");
    }
    return $node->safe_psql($database,
        "SELECT count(*) FROM faultline.ledger_entries WHERE job_id = $job_id");
}

sub layer_choices {
    my @choices;
    for my $bits (0 .. 7) {
        push @choices, { lease => $bits & 1, state => $bits & 2, unique => $bits & 4 };
    }
    return sort { name_of($a) cmp name_of($b) } @choices;
}

sub name_of {
    my ($on) = @_;
    return join(' + ', grep { $on->{$_} } qw(lease state unique)) || 'none';
}

my @matrix;
for my $on (layer_choices()) {
    my $database = $on->{unique} ? 'indexed' : 'plain';
    my $left_out = join ', ', map { $on->{ $_->[0] } ? () : "$_->[1]=skip" }
      [ 'lease', 'layer_fence' ], [ 'state', 'layer_state' ];
    $_->query("SET faultline.debug_points = '$left_out';") for @{ $sessions{$database} };
    my (@row, @wrong);
    for my $scenario (@scenarios) {
        my $expected = expected_entries($scenario->[0], %$on);
        my @entries = map { entries_of($database, $_, $scenario) } 1, 0;
        push @row, join '/', @entries;
        push @wrong, "$scenario->[0]: @entries, expected $expected"
          if grep { $_ != $expected } @entries;
    }
    push @matrix, [ name_of($on), @row ];
    is(join("\n", @wrong), '', 'layers on: ' . name_of($on));
}

diag('entries of the job, declared/undeclared, by the layers left on:');
diag(sprintf '%-36s' . ' %-8s' x @matrix, '', map { $_->[0] =~ s/(lease|state|unique)/substr $1, 0, 1/egr =~ s/ //gr } @matrix);
for my $i (0 .. $#scenarios) {
    diag(sprintf '%-36s' . ' %-8s' x @matrix, $scenarios[$i][0], map { $_->[ $i + 1 ] } @matrix);
}

# The time of the tests is far ahead; without this the transactions would be long overdue.
$node->safe_psql('indexed', 'SELECT * FROM faultline.reconcile(100000)');
like($node->safe_psql('plain', q{SELECT string_agg(DISTINCT invariant, ' ') FROM faultline.check_invariants()}),
    qr/INV_001.*INV_002/, 'second entries are violations that check_invariants() reports');
invariants_hold($node, 'indexed', 'with the unique indexes no invariant is violated');
$_->quit for map { @$_ } values %sessions;
log_is_clean($node);
$node->stop;
done_testing();
