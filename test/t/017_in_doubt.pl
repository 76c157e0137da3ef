# A client whose connection breaks around the commit asks again as docs/ledger.md says, and hears what
# the page says: for every verb, when the call took effect, when it did not, and when it did and
# the world went on before the client was back.
use strict;
use warnings;
use FaultlineNode;
use PostgreSQL::Test::Utils;
use Test::More;

# %q: the queue of the case. %j: its job; %k: its token; %h: both; %t: its transaction.
# call: what is in doubt; ask: how to ask again, if not by the same call. took: the answer when it
# had taken effect; lost: when it had not. end: the job's state and attempt, its transactions'
# states, its entries, after either. meanwhile: what others do before the client asks again, and
# what it hears then, and the end.
my $intent = q{'{"transaction_id": "%t", "debit": "payer", "credit": "shop", "amount": 5, "asset": "EUR"}'};
my $entry_of_reversal = q{SELECT 'entry ' || entry_id FROM faultline.transactions
    WHERE reverses = '%t'};
my @cases = (
    { verb => 'enqueue with a key', before => 'nothing',
        call => q{SELECT faultline.enqueue('%q', '{"a": 1}', idempotency_key => 'order')},
        took => 'its id', lost => 'its id', end => 'queued 0 0',
        meanwhile => [ q{SET faultline.allow_same_transaction = on;
                         SELECT faultline.complete(job_id, lease_token)
                           FROM faultline.claim('%q', 'other')}, 'its id', 'succeeded 1 0' ] },
    { verb => 'enqueue with a ledger intent', before => 'nothing',
        call => "SELECT faultline.enqueue('%q', ledger => $intent)",
        ask => q{SELECT job_id FROM faultline.transaction_status('%t')},
        took => 'its id', lost => 'nothing', end => 'queued 0 INIT 0',
        meanwhile => [ q{SET faultline.allow_same_transaction = on;
                         SELECT faultline.apply_and_complete(job_id, lease_token)
                           FROM faultline.claim('%q', 'other')}, 'its id', 'succeeded 1 APPLIED 1' ] },
    { verb => 'claim', before => 'queued',
        call => q{SELECT 'attempt ' || attempt FROM faultline.claim('%q', 'w')},
        took => 'nothing', lost => 'attempt 1', end => 'running 1 INIT 0',
        meanwhile => [ q{SELECT faultline.advance_clock('2 min'), faultline.expire_leases()},
            'attempt 2', 'running 2 INIT 0' ] },
    { verb => 'complete', before => 'applied',
        call => 'SELECT faultline.complete(%h)',
        took => 'already_succeeded', lost => 'succeeded', end => 'succeeded 1 APPLIED 1',
        meanwhile => [ 'SELECT FROM faultline.reconcile()', 'already_succeeded',
            'succeeded 1 RECONCILED 1' ] },
    { verb => 'fail', before => 'running',
        call => q{SELECT faultline.fail(%h, 'broken')},
        took => 'retrying', lost => 'retrying', end => 'queued 1 INIT 0',
        meanwhile => [ q{SELECT FROM faultline.claim('%q', 'other')}, 'retrying',
            'running 2 INIT 0' ] },
    { verb => 'fail for good', before => 'running',
        call => q{SELECT faultline.fail(%h, 'broken', discard => true)},
        took => 'failed', lost => 'failed', end => 'failed 1 FAILED 0',
        meanwhile => [ 'SELECT FROM faultline.redrive(ARRAY[%j])', 'failed',
            'queued 1 FAILED,INIT 0' ] },
    { verb => 'fail with its entry', before => 'applied',
        call => q{SELECT faultline.fail(%h, 'broken')},
        took => 'succeeded', lost => 'succeeded', end => 'succeeded 1 APPLIED 1',
        meanwhile => [ 'SELECT FROM faultline.reconcile()', 'succeeded',
            'succeeded 1 RECONCILED 1' ] },
    { verb => 'release', before => 'running',
        call => q{SELECT nullif(faultline.release(%h)::text, '')},
        took => 'nothing', lost => 'nothing', end => 'queued 1 INIT 0',
        meanwhile => [ q{SELECT FROM faultline.claim('%q', 'other')}, 'nothing',
            'running 2 INIT 0' ] },
    { verb => 'extend', before => 'running',
        call => q{SELECT faultline.extend(%h) - faultline.clock_now()},
        took => '00:01:00', lost => '00:01:00', end => 'running 1 INIT 0',
        meanwhile => [ q{SELECT faultline.advance_clock('2 min'), faultline.expire_leases(),
                           (SELECT count(*) FROM faultline.claim('%q', 'other'))}, 'JQ001',
            'running 2 INIT 0' ] },
    { verb => 'apply_ledger', before => 'running',
        call => 'SELECT verdict FROM faultline.apply_ledger(%h)',
        took => 'exists', lost => 'applied', end => 'running 1 APPLIED 1',
        meanwhile => [ q{SELECT FROM faultline.advance_clock('2 min'), faultline.reconcile()},
            'exists', 'succeeded 1 RECONCILED 1' ] },
    { verb => 'apply_ledger, undeclared', before => 'running', undeclared => 1,
        call => q{SELECT verdict FROM faultline.apply_ledger(%h, '%t', 'payer', 'shop', 5, 'EUR')},
        took => 'exists', lost => 'applied', end => 'running 1 APPLIED 1',
        meanwhile => [ q{SELECT FROM faultline.advance_clock('2 min'), faultline.reconcile()},
            'exists', 'succeeded 1 RECONCILED 1' ] },
    { verb => 'apply_and_complete', before => 'running',
        call => 'SELECT verdict FROM faultline.apply_and_complete(%h)',
        took => 'exists', lost => 'applied', end => 'succeeded 1 APPLIED 1',
        meanwhile => [ q{SELECT faultline.reverse_transaction('%t', 'back-%t', 'mistake')},
            'exists', 'succeeded 1 APPLIED,APPLIED 1' ] },
    { verb => 'apply_and_complete_many', before => 'running',
        call => 'SELECT verdict FROM faultline.apply_and_complete_many(ARRAY[%j], ARRAY[%k])',
        took => 'exists', lost => 'applied', end => 'succeeded 1 APPLIED 1',
        meanwhile => [ 'SELECT FROM faultline.reconcile()', 'exists', 'succeeded 1 RECONCILED 1' ] },
    { verb => 'apply_and_complete_many, undeclared', before => 'running', undeclared => 1,
        call => 'SELECT verdict FROM faultline.apply_and_complete_many(ARRAY[%j], ARRAY[%k])',
        took => 'already_succeeded', lost => 'succeeded', end => 'succeeded 1 0',
        meanwhile => [ 'SELECT FROM faultline.maintain()', 'already_succeeded', 'succeeded 1 0' ] },
    { verb => 'complete_many', before => 'applied',
        call => 'SELECT verdict FROM faultline.complete_many(ARRAY[%j], ARRAY[%k])',
        took => 'already_succeeded', lost => 'succeeded', end => 'succeeded 1 APPLIED 1',
        meanwhile => [ 'SELECT FROM faultline.reconcile()', 'already_succeeded',
            'succeeded 1 RECONCILED 1' ] },
    { verb => 'fail_many', before => 'running',
        call => q{SELECT verdict FROM faultline.fail_many(ARRAY[%j], ARRAY[%k], '{broken}')},
        took => 'retrying', lost => 'retrying', end => 'queued 1 INIT 0',
        meanwhile => [ q{SELECT FROM faultline.claim('%q', 'other')}, 'retrying',
            'running 2 INIT 0' ] },
    { verb => 'extend_many', before => 'running',
        call => 'SELECT verdict FROM faultline.extend_many(ARRAY[%j], ARRAY[%k])',
        took => 'extended', lost => 'extended', end => 'running 1 INIT 0',
        meanwhile => [ q{SELECT faultline.release(%h)}, 'stale_lease', 'queued 1 INIT 0' ] },
    { verb => 'reverse_transaction', before => 'applied',
        call => q{SELECT 'entry ' || faultline.reverse_transaction('%t', 'back-%t', 'mistake')},
        took => $entry_of_reversal, lost => $entry_of_reversal, end => 'running 1 APPLIED,APPLIED 1',
        meanwhile => [ q{SELECT faultline.close_account('payer', 'EUR')}, $entry_of_reversal,
            'running 1 APPLIED,APPLIED 1' ] },
    { verb => 'cancel of a queued job', before => 'queued',
        call => 'SELECT verdict FROM faultline.cancel(ARRAY[%j])',
        took => 'already_finished', lost => 'cancelled', end => 'cancelled 0 FAILED 0',
        meanwhile => [ 'SELECT FROM faultline.reconcile()', 'already_finished',
            'cancelled 0 FAILED 0' ] },
    { verb => 'cancel of a running job', before => 'running',
        call => 'SELECT verdict FROM faultline.cancel(ARRAY[%j])',
        took => 'cancel_requested', lost => 'cancel_requested', end => 'running 1 INIT 0',
        meanwhile => [ q{SELECT faultline.fail(%h, 'stopped')}, 'already_finished',
            'cancelled 1 FAILED 0' ] },
    { verb => 'redrive', before => 'failed',
        call => 'SELECT verdict FROM faultline.redrive(ARRAY[%j])',
        took => 'not_failed', lost => 'queued', end => 'queued 1 FAILED,INIT 0',
        meanwhile => [ q{SELECT FROM faultline.claim('%q', 'other')}, 'not_failed',
            'running 2 FAILED,INIT 0' ] },
    { verb => 'redrive, failed again', before => 'failed',
        call => 'SELECT verdict FROM faultline.redrive(ARRAY[%j])',
        took => 'not_failed', lost => 'queued', end => 'queued 1 FAILED,INIT 0',
        meanwhile => [ q{SET faultline.allow_same_transaction = on;
                         SELECT faultline.fail(job_id, lease_token, 'again', discard => true)
                           FROM faultline.claim('%q', 'other')}, 'queued',
            'queued 2 FAILED,FAILED,INIT 0' ] },
);

my $node = new_node('in_doubt', conf => <<'END');
shared_preload_libraries = faultline
faultline.background_worker = off
faultline.lab = on
faultline.allow_virtual_clock = on
END

sub sql { return $node->safe_psql('postgres', $_[0]); }

sql(<<'END');
SELECT faultline.set_clock(now());
SELECT faultline.create_asset('EUR');
END

# A queue with one job, in the state that the call needs; the marks of the case and what they stand for.
my $number = 0;

sub prepare_case {
    my ($case) = @_;
    $number++;
    my %mark = ('%q' => "q$number", '%t' => "pay-$number");
    my $declared = $intent =~ s/%t/$mark{'%t'}/r;
    my $ledger = $case->{undeclared} ? 'NULL' : $declared;
    sql("SELECT faultline.create_queue('q$number', lease => '1 min', backoff_base => '0')");
    return %mark if $case->{before} eq 'nothing';
    $mark{'%j'} = sql("SELECT faultline.enqueue('q$number', ledger => $ledger)");
    return %mark if $case->{before} eq 'queued';
    $mark{'%h'} = sql("SELECT job_id || ', ' || lease_token FROM faultline.claim('q$number', 'w')");
    ($mark{'%k'}) = $mark{'%h'} =~ /(\d+)$/;
    sql("SELECT FROM faultline.apply_ledger($mark{'%h'})") if $case->{before} eq 'applied';
    sql("SELECT faultline.fail($mark{'%h'}, 'broken', discard => true)")
      if $case->{before} eq 'failed';
    return %mark;
}

# The call in a session that breaks at a point; the client hears nothing.
sub call_in_doubt {
    my ($name, $plan, $call) = @_;
    my (undef, $output, $errors) =
      $node->psql('postgres', "SET faultline.debug_points = '$plan';\n$call");
    like($errors, qr/server closed the connection|connection to server was lost/,
        "$name: the connection breaks");
    return is($output, '', "$name: and the client has heard nothing");
}

# What the client hears, or the code of the error.
sub answer {
    my ($call) = @_;
    my ($status, $output, $errors) = $node->psql('postgres', "\\set VERBOSITY sqlstate\n$call");
    return $1 if $errors =~ /ERROR:\s+(\w{5})/;
    return $output eq '' ? 'nothing' : $output;
}

sub situation {
    my (%mark) = @_;
    return sql(<<"END");
SELECT concat_ws(' ', j.state, j.attempt,
         (SELECT string_agg(t.state, ',' ORDER BY t.created_at, t.generation)
            FROM faultline.transactions t WHERE t.queue = '$mark{'%q'}'),
         (SELECT count(*) FROM faultline.ledger_entries e WHERE e.transaction_id = '$mark{'%t'}'))
  FROM faultline.jobs j WHERE j.queue = '$mark{'%q'}'
END
}

# outcome: took, lost or meanwhile.
sub check_case {
    my ($case, $outcome) = @_;
    my %mark = prepare_case($case);
    my $filled = sub { return $_[0] =~ s/(%[qjkht])/$mark{$1}/gr };
    my $name = "$case->{verb}, $outcome";
    my $call = $filled->($case->{call});
    call_in_doubt($name,
        $outcome eq 'lost' ? 'transaction_pre_commit=exit' : 'transaction_committed=drop_connection',
        $call);
    my ($expected, $end) = ($case->{$outcome}, $case->{end});
    if ($outcome eq 'meanwhile') {
        (my $events, $expected, $end) = @{ $case->{meanwhile} };
        sql($filled->($events));
    }
    my $heard = answer($case->{ask} ? $filled->($case->{ask}) : $call);
    # Nothing is known of it: enqueue again.
    sql($call) if $case->{ask} && $heard eq 'nothing';
    $expected = sql("SELECT job_id FROM faultline.jobs WHERE queue = '$mark{'%q'}'")
      if $expected eq 'its id';
    $expected = sql($filled->($expected)) if $expected =~ /^SELECT/;
    is($heard, $expected, "$name: the answer");
    return is(situation(%mark), $end, "$name: the end");
}

for my $case (@cases) {
    check_case($case, $_) for qw(took lost);
}
# What happens meanwhile moves the clock, ends leases and closes accounts, so it comes last.
check_case($_, 'meanwhile') for sort { ($a->{verb} =~ /^reverse/) <=> ($b->{verb} =~ /^reverse/) } @cases;

invariants_hold($node, 'postgres');
log_is_clean($node);
$node->stop;
done_testing();
