# Two-phase commit: enqueue, complete and fail may be prepared, also across a crash; a lease may
# not sit in a prepared transaction, so claim and extend refuse.
use strict;
use warnings;
use FaultlineNode;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('prepared', conf => "max_prepared_transactions = 10\n");
$node->safe_psql('postgres', q{SELECT faultline.create_queue('q', backoff_base => '0')});

sub sql {
    my ($statements) = @_;
    return $node->safe_psql('postgres', $statements);
}

# Enqueues a job and claims it: its id and token, as arguments of a call.
sub lease_of_new_job {
    sql(q{SELECT faultline.enqueue('q')});
    return sql(q{SELECT job_id || ', ' || lease_token FROM faultline.claim('q', 'w')});
}

sub state_of {
    my ($lease) = @_;
    my ($job_id) = $lease =~ /^(\d+)/;
    return sql("SELECT state FROM faultline.jobs WHERE job_id = $job_id");
}

# enqueue.
sql(q{BEGIN; SELECT faultline.enqueue('q', '"kept"', idempotency_key => 'k');
    PREPARE TRANSACTION 'enqueue'});
is(sql('SELECT count(*) FROM faultline.jobs'), '0', 'a prepared enqueue is invisible');
is(sql(q{SELECT count(*) FROM faultline.claim('q', 'w')}), '0', 'and nobody claims its job');
is(sqlstate($node, q{SELECT faultline.enqueue('q', '"kept"', idempotency_key => 'k')},
        prelude => q{SET lock_timeout = '50 ms';}),
    '55P03', 'another use of its key waits for it');
is(sqlstate($node, q{SELECT faultline.drop_queue('q')}, prelude => q{SET lock_timeout = '50 ms';}),
    '55P03', 'and so does drop_queue()');
sql(q{COMMIT PREPARED 'enqueue'});
is(sql(q{SELECT payload, attempt FROM faultline.claim('q', 'w')}), '"kept"|1',
    'once committed its job is claimed');
sql(q{BEGIN; SELECT faultline.enqueue('q', '"gone"', idempotency_key => 'l');
    PREPARE TRANSACTION 'undone'});
sql(q{ROLLBACK PREPARED 'undone'});
is(sql(q{SELECT count(*) FROM faultline.jobs WHERE payload = '"gone"'}), '0',
    'rolled back, it never happened');
is(sqlstate($node, q{SELECT faultline.enqueue('q', '"other"', idempotency_key => 'l')}),
    '00000', 'and its key is free');
sql(q{SELECT faultline.cancel(array_agg(job_id)) FROM faultline.jobs WHERE state = 'queued'});

# complete and fail, committed and rolled back.
my %verb = (
    complete => { call => 'faultline.complete(%s)', end => 'succeeded' },
    complete_many => { call => q{faultline.complete_many(ARRAY[%s], ARRAY[%s])},
        end => 'succeeded' },
    fail => { call => q{faultline.fail(%s, 'no', discard => true)}, end => 'failed' },
);
for my $name (sort keys %verb) {
    my $lease = lease_of_new_job();
    my $call = sprintf $verb{$name}{call}, $name eq 'complete_many' ? split(/, /, $lease) : $lease;
    my $prepare = "BEGIN; SELECT $call; PREPARE TRANSACTION 'p'";
    sql($prepare);
    is(state_of($lease), 'running', "a prepared $name is invisible");
    is(sqlstate($node, "SELECT faultline.complete($lease)",
        prelude => q{SET lock_timeout = '50 ms';}),
        '55P03', "$name: another end of the job waits for it");
    is(sql(q{SELECT count(*) FROM faultline.claim('q', 'w')}), '0', "$name: and nobody claims it");
    sql(q{ROLLBACK PREPARED 'p'});
    is(state_of($lease), 'running', "$name rolled back: the lease is good");
    sql($prepare);
    sql(q{COMMIT PREPARED 'p'});
    is(state_of($lease), $verb{$name}{end}, "$name committed: $verb{$name}{end}");
}

# Across a crash, the lease being past its end when the transaction is committed.
my $lease = lease_of_new_job();
sql("BEGIN; SELECT faultline.complete($lease, '42'); PREPARE TRANSACTION 'crashed'");
$node->stop('immediate');
$node->start;
is(state_of($lease), 'running', 'after a crash a prepared complete is still invisible');
is(sql('SELECT faultline.expire_leases()'), '0', 'expire_leases() leaves its job alone');
sql(q{COMMIT PREPARED 'crashed'});
is(state_of($lease), 'succeeded', 'and can be committed');

# Leases are not prepared, nor is anything else lost by the refusal.
$lease = lease_of_new_job();
my ($job_id, $token) = split /, /, $lease;
sql(q{SELECT faultline.enqueue('q')});
for my $call (q{faultline.claim('q', 'w')}, q{faultline.claim_any('{q}', 'w')},
    "faultline.extend($lease)", "faultline.extend_many('{$job_id}', '{$token}')") {
    is(sqlstate($node, qq{BEGIN; SELECT $call; PREPARE TRANSACTION 'no'}), '0A000',
        "PREPARE is refused after $call");
}
is(sql('SELECT count(*) FROM pg_prepared_xacts'), '0', 'no transaction was left prepared');
is(sql(q{SELECT state FROM faultline.jobs ORDER BY job_id DESC LIMIT 2}), "queued\nrunning",
    'what was refused did not happen');
my $session = $node->background_psql('postgres', on_error_stop => 0);
$session->query(q{BEGIN; SELECT faultline.claim('q', 'w'); PREPARE TRANSACTION 'no'});
like($session->{stderr}, qr/cannot PREPARE a transaction that has claimed or extended a job/,
    'the refusal says why');
$session->{stderr} = '';
$session->query_safe(q{BEGIN; SELECT faultline.enqueue('q'); PREPARE TRANSACTION 'yes'});
$session->query_safe(q{COMMIT PREPARED 'yes'});
is($session->query_safe(q{SELECT count(*) FROM faultline.claim('q', 'w', 10)}), '2',
    'the next transaction of the same session is prepared, and claims work');
$session->quit;

invariants_hold($node, 'postgres');
log_is_clean($node);
$node->stop;
done_testing();
