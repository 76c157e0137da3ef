# On a hot standby every call that writes says 25006 and views can be read; after promotion leases
# granted on the old primary are good, and everything works.
use strict;
use warnings;
use FaultlineNode;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $primary = new_node('primary', init => { allows_streaming => 1 },
    conf => "faultline.allow_virtual_clock = on\nmax_connections = 20\n");
$primary->safe_psql('postgres', <<'SQL');
CREATE ROLE somebody;
SELECT faultline.create_queue('q', lease => '10 min');
SELECT faultline.enqueue_many('q', '{1,2,3,4,5}', idempotency_keys => '{a,b,c,d,e}');
CREATE TABLE held AS SELECT * FROM faultline.claim('q', 'w', 3);
SQL
$primary->safe_psql('postgres', q{SELECT faultline.fail(job_id, lease_token, 'no', discard => true)
    FROM held ORDER BY job_id LIMIT 1});
$primary->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'base', has_streaming => 1);
$standby->start;
$primary->wait_for_catchup($standby);

my ($lease, $other_lease) = split /\n/, $primary->safe_psql('postgres',
    q{SELECT job_id || ', ' || lease_token FROM held ORDER BY job_id OFFSET 1});
my ($job_id) = $lease =~ /^(\d+)/;

# Every function that writes, with arguments that would do something on the primary.
my @calls = (
    q{faultline.create_queue('new')}, q{faultline.create_queue('q', lease => '10 min')},
    q{faultline.alter_queue('q', lease => '1 s')}, q{faultline.pause_queue('q')},
    q{faultline.resume_queue('q')}, q{faultline.drop_queue('q', force => true)},
    q{faultline.enqueue('q')}, q{faultline.enqueue('q', '1', idempotency_key => 'a')},
    q{faultline.enqueue_many('q', '{1}')}, q{faultline.enqueue_many('q', '{}')},
    q{faultline.claim('q', 'w')}, q{faultline.claim_any('{q}', 'w')},
        q{faultline.claim_any('{}', 'w')},
    "faultline.complete($lease)", "faultline.fail($lease, 'x')", "faultline.extend($lease)",
    "faultline.release($lease)", q{faultline.complete_many('{1}', '{1}')},
    q{faultline.fail_many('{1}', '{1}', '{x}')}, q{faultline.extend_many('{1}', '{1}')},
    "faultline.cancel('{$job_id}')", q{faultline.redrive(queue => 'q')},
    q{faultline.purge_dead_letters('q', '0')}, q{faultline.expire_leases()},
    q{faultline.maintain()}, q{faultline.start_worker()},
    q{faultline.adopt()}, q{faultline.set_clock('2040-01-01')},
    q{faultline.advance_clock('1 s')}, q{faultline.grant_access('somebody', 'worker')},
    q{faultline.revoke_access('somebody', 'worker')},
);

# The answers to all calls, one line for each that is not refused as it should be.
sub not_refused {
    my ($node, $prelude) = @_;
    my @wrong;
    for my $call (@calls) {
        my $code = sqlstate($node, "SELECT $call", prelude => $prelude);
        push @wrong, "$call: $code" if $code ne '25006';
    }
    return join "\n", @wrong;
}
is(not_refused($standby, ''), '', 'a standby refuses every writing call with 25006');
is(not_refused($primary, 'SET default_transaction_read_only = on;'),
    '', 'and so does a read-only transaction on the primary');

# Reading works there, and is the same.
for my $query ('SELECT * FROM faultline.jobs ORDER BY job_id',
    'SELECT * FROM faultline.dead_letters', 'SELECT * FROM faultline.attempts',
    'SELECT queue, queued, running, dead_letters FROM faultline.stat_queues',
    'SELECT * FROM faultline.check_invariants()', 'SELECT item, state FROM faultline.status()') {
    is($standby->safe_psql('postgres', $query), $primary->safe_psql('postgres', $query),
        "on the standby: $query");
}
isnt($standby->safe_psql('postgres', 'SELECT faultline.clock_now()'), '', 'and the time');

# A change of policy on the primary reaches a session of the standby that has cached it.
my $reader = $standby->background_psql('postgres');
is($reader->query_safe('SELECT paused_at IS NULL FROM faultline.stat_queues'), 't', 'not paused');
$primary->safe_psql('postgres', q{SELECT faultline.create_queue('second')});
$primary->wait_for_catchup($standby);
is($reader->query_safe('SELECT count(*) FROM faultline.stat_queues'), '2',
    'a session of the standby sees a queue created on the primary');

# Failover.
my $before = $standby->safe_psql('postgres', 'SELECT * FROM faultline.jobs ORDER BY job_id');
$primary->stop('immediate');
$standby->promote;
is($standby->safe_psql('postgres', 'SELECT * FROM faultline.jobs ORDER BY job_id'), $before,
    'promotion changes no job');
is($reader->query_safe("SELECT faultline.complete($lease)"), 'succeeded',
    'a lease granted on the old primary completes its job on the new one');
is($standby->safe_psql('postgres', "SELECT faultline.extend($other_lease) > faultline.clock_now()"),
    't', 'another is extended');
is($standby->safe_psql('postgres', "SELECT faultline.fail($other_lease, 'x')"), 'retrying',
    'and fails');
cmp_ok($reader->query_safe(q{SELECT faultline.enqueue('q', priority => -1)}), '>', 5,
    'the next job has a new id');
is($reader->query_safe(q{SELECT count(*) FROM faultline.claim('q', 'w', 10)}), '3',
    'claims work in a session from before');
is($standby->safe_psql('postgres', q{SELECT faultline.enqueue('q', '1', idempotency_key => 'a')}),
    '1', 'keys are remembered');
is($standby->safe_psql('postgres', q{SELECT verdict FROM faultline.redrive(queue => 'q')}),
    'queued', 'a dead letter is redriven');
is($standby->safe_psql('postgres', 'SELECT * FROM faultline.maintain() WHERE error IS NOT NULL'),
    '', 'maintenance works');
invariants_hold($standby, 'postgres');

$reader->quit;
log_is_clean($_) for $primary, $standby;
$standby->stop;
done_testing();
