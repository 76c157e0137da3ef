# Power loss in the middle of enqueues, claims and completions: what was acknowledged is there,
# what was not is wholly there or not at all, and work goes on.
use strict;
use warnings;
use FaultlineLoad;
use FaultlineNode;
use PostgreSQL::Test::Utils;
use Test::More;

my $crashes = 2;
my $completions_before_crash = 250;

my $node = new_node('crash', conf => "fsync = on\nfaultline.allow_virtual_clock = on\n");
prepare_load($node);

for my $crash (1 .. $crashes) {
    my $enough = $crash * $completions_before_crash;
    my @clients = start_load($node, producer => 2, worker => 3);
    ok($node->poll_query_until('postgres', "SELECT count(*) >= $enough FROM effects"),
        "crash $crash: the load runs");
    $node->stop('immediate');
    await_load_end(@clients);
    $node->start;
    check_load($node, "crash $crash");
}

# A lease granted before the crash is still good after it.
$node->safe_psql('postgres', q{SELECT faultline.create_queue('kept');
    SELECT faultline.enqueue('kept')});
my $lease = $node->safe_psql('postgres',
    q{SELECT job_id || ', ' || lease_token FROM faultline.claim('kept', 'w')});
$node->stop('immediate');
$node->start;
is($node->safe_psql('postgres', "SELECT faultline.complete($lease)"),
    'succeeded', 'a lease granted before the crash completes its job after it');
$node->safe_psql('postgres',
    q{INSERT INTO orders SELECT job_id FROM faultline.jobs WHERE queue = 'kept';
    INSERT INTO effects SELECT job_id FROM faultline.jobs WHERE queue = 'kept'});

drain($node);
is($node->safe_psql('postgres', q{SELECT count(*) FROM faultline.jobs WHERE state <> 'succeeded'}),
    '0', 'after the crashes every job runs to its end');
check_load($node, 'drained');

log_is_clean($node);
$node->stop;
done_testing();
