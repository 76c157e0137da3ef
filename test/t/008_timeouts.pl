# statement_timeout, lock_timeout and a cancel in the middle of calls: nothing is half applied, and
# the session goes on.
use strict;
use warnings;
use FaultlineNode;
use PostgreSQL::Test::Utils;
use Test::More;

my $jobs = 100;
my $jobs_of_large_call = 20_000;

my $node = new_node('timeouts', conf => "faultline.allow_virtual_clock = on\n");
$node->safe_psql('postgres', <<"SQL");
SELECT faultline.create_queue('q', max_attempts => 3, lease => '1 h');
SELECT faultline.enqueue_many('q', array_agg(to_jsonb(i))) FROM generate_series(1, $jobs) i;
CREATE TABLE held AS SELECT * FROM faultline.claim('q', 'w', $jobs);
CREATE VIEW leases AS
  SELECT array_agg(job_id ORDER BY job_id) AS ids, array_agg(lease_token ORDER BY job_id) AS tokens,
         array_fill('no'::text, ARRAY[count(*)::int]) AS errors FROM held;
SQL
my $middle = $node->safe_psql('postgres',
    "SELECT job_id || ', ' || lease_token FROM held ORDER BY job_id OFFSET $jobs / 2 LIMIT 1");
my $rows = 'SELECT string_agg(j::text, E\'\n\' ORDER BY job_id) FROM faultline.live_jobs j';

# Another session holds the row of the job in the middle, so each call stops half way, having
# changed the rows before it.
my $holder = $node->background_psql('postgres');
$holder->query_safe("BEGIN; SELECT faultline.fail($middle, 'held')");
my $untouched = $node->safe_psql('postgres', $rows);
my %call = (
    complete_many => 'SELECT faultline.complete_many(ids, tokens) FROM leases',
    fail_many     => 'SELECT faultline.fail_many(ids, tokens, errors) FROM leases',
    extend_many   => 'SELECT faultline.extend_many(ids, tokens) FROM leases',
    cancel        => 'SELECT faultline.cancel(ids) FROM leases',
    complete      => "SELECT faultline.complete($middle)",
    fail          => "SELECT faultline.fail($middle, 'no')",
    extend        => "SELECT faultline.extend($middle)",
    release       => "SELECT faultline.release($middle)",
);
my %code = (statement_timeout => '57014', lock_timeout => '55P03');
for my $name (sort keys %call) {
    for my $timeout (sort keys %code) {
        is(sqlstate($node, $call{$name}, prelude => "SET $timeout = '50 ms';"),
            $code{$timeout}, "$name ends by $timeout");
    }
}
is($node->safe_psql('postgres', $rows), $untouched, 'and none of these calls changed a row');
is($node->safe_psql('postgres', q{SELECT (SELECT count(*) FROM faultline.ended_attempts),
        (SELECT count(*) FROM faultline.finished_jobs)}), '0|0', 'nor left a record');

# A cancel from outside while the call waits; the session is as good as before.
for my $name ('complete_many', 'cancel') {
    my $session = $node->background_psql('postgres', on_error_stop => 0);
    my $pid = $session->query_safe('SELECT pg_backend_pid()');
    background_call($session, $call{$name});
    ok($node->poll_query_until('postgres', "SELECT wait_event_type = 'Lock' FROM pg_stat_activity
            WHERE pid = $pid"), "$name waits");
    is($node->safe_psql('postgres', "SELECT pg_cancel_backend($pid)"), 't', "$name is cancelled");
    my (undef, $errors) = end_call($session);
    like($errors, qr/canceling statement due to user request/, "$name ends");
    is($session->query_safe($rows), $untouched, "$name: nothing was applied");
    is($session->query_safe(q{SELECT faultline.enqueue('q') > 0}), 't',
        "$name: the session works on");
    $session->query_safe(q{SELECT faultline.cancel(array_agg(job_id)) FROM faultline.jobs
        WHERE state = 'queued'});
    $untouched = $node->safe_psql('postgres', $rows);
    $session->quit;
}

# An idempotency key that another transaction is about to use, in the middle of a batch.
$holder->query_safe(q{SELECT faultline.enqueue('q', '50', idempotency_key => 'k050')});
my $batch = q{SELECT faultline.enqueue_many('q', array_agg(to_jsonb(i)),
    idempotency_keys => array_agg('k' || lpad(i::text, 3, '0'))) FROM generate_series(1, 100) i};
for my $timeout (sort keys %code) {
    is(sqlstate($node, $batch, prelude => "SET $timeout = '50 ms';"),
        $code{$timeout}, "enqueue_many ends by $timeout");
}
is($node->safe_psql('postgres', 'SELECT count(*) FROM faultline.idempotency_keys'),
    '0', 'and claimed no key');
is($node->safe_psql('postgres', $rows), $untouched, 'nor enqueued a job');

# claim, expiry and redrive wait for nobody, so no timeout strikes them here.
for my $call (q{faultline.claim('q', 'w', 10)}, 'faultline.expire_leases()',
    'faultline.maintain()') {
    is(sqlstate($node, "SELECT $call", prelude => q{SET lock_timeout = '1 ms';}),
        '00000', "$call waits for no lock");
}
$holder->query_safe('ROLLBACK');
$holder->quit;

# Large calls that a timeout cuts off wherever they are: all or nothing, at each timeout.
$node->safe_psql('postgres', <<"SQL");
SELECT faultline.create_queue('large', lease => '10 s');
CREATE TABLE payloads AS SELECT array_agg(to_jsonb(i)) AS p
    FROM generate_series(1, $jobs_of_large_call) i;
SQL

# Tries a statement under growing timeouts until it gets through; what it changes must be 0 before
# and `whole` after, never anything else.
sub all_or_nothing {
    my ($name, $statement, $changed, $whole) = @_;
    my $cut_off = 0;
    my @halves;
    my $code = '';
    for (my $timeout = 1; $timeout <= 65_536 && $code ne '00000'; $timeout *= 2) {
        $code = sqlstate($node, $statement, prelude => "SET statement_timeout = $timeout;");
        my $found = $node->safe_psql('postgres', $changed);
        $cut_off++ if $code eq '57014';
        push @halves, "after $timeout ms ($code): $found"
          if $found ne ($code eq '00000' ? $whole : 0);
    }
    is($code, '00000', "$name gets through in the end");
    cmp_ok($cut_off, '>', 0, "$name was cut off before");
    is_deeply(\@halves, [], "$name is applied wholly or not at all");
    return;
}

my $size = $jobs_of_large_call;
all_or_nothing('enqueue_many', q{SELECT count(*) FROM payloads, faultline.enqueue_many('large', p)},
    q{SELECT count(*) FROM faultline.jobs WHERE queue = 'large'}, $size);
all_or_nothing('claim', q{SELECT count(*) FROM faultline.claim('large', 'w', 10000)},
    q{SELECT count(*) FROM faultline.jobs WHERE queue = 'large' AND attempt > 0}, 10_000);
$node->safe_psql('postgres', q{SELECT faultline.advance_clock('1 min')});
all_or_nothing('expire_leases', 'SELECT faultline.expire_leases(100000)',
    q{SELECT count(*) FROM faultline.attempts WHERE queue = 'large'}, 10_000);
all_or_nothing('cancel', q{SELECT count(*) FROM (SELECT array_agg(job_id) AS ids FROM faultline.jobs
        WHERE queue = 'large') v, faultline.cancel(ids)},
    q{SELECT count(*) FROM faultline.jobs WHERE queue = 'large' AND state = 'cancelled'}, $size);

invariants_hold($node, 'postgres');
log_is_clean($node);
$node->stop;
done_testing();
