# The background worker's life: it does the duties, and comes back whatever ends it.
use strict;
use warnings;
use FaultlineBackground;
use FaultlineNode;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = preloaded_node('background', conf => "restart_after_crash = on\n");

expires_soon($node, 'postgres', 'a dead worker\'s job is queued again');
ok($node->poll_query_until('postgres', q{SELECT done > 0 AND failures = 0 AND lag < '1 min'
    AND last_success >= last_start FROM faultline.stat_maintenance WHERE duty = 'expire_leases'}),
    'and that is written down');
is($node->safe_psql('postgres', 'SELECT * FROM faultline.health()'), '', 'all is well');

# Visible while it works.
make_busy($node, 'postgres');
my $worker = await_worker($node, 'postgres');
is($node->safe_psql('postgres', qq{SELECT backend_type, datname, usename = (SELECT rolname
    FROM pg_roles WHERE oid = 10), backend_xmin IS NULL OR state = 'active' FROM pg_stat_activity
    WHERE pid = $worker}), 'faultline worker|postgres|t|t', 'pg_stat_activity shows it');
like($node->safe_psql('postgres', q{SELECT detail FROM faultline.status() WHERE item = 'worker'}),
    qr/at work/, 'status() shows it');

# pg_terminate_backend on each, again and again.
for my $round (1 .. 3) {
    my $launcher = await_launcher($node);
    $worker = await_worker($node, 'postgres');
    $node->safe_psql('postgres', "SELECT pg_terminate_backend($worker)");
    isnt(await_worker_other_than($worker), $worker, "round $round: another worker comes");
    $node->safe_psql('postgres', "SELECT pg_terminate_backend($launcher)");
    isnt(await_other('faultline launcher', $launcher), $launcher,
        "round $round: another launcher comes");
    expires_soon($node, 'postgres', "round $round: jobs are queued again");
}
# A cancel request ends what it does now, nothing more.
$worker = await_worker($node, 'postgres');
$node->safe_psql('postgres', "SELECT pg_cancel_backend($worker)") for 1 .. 3;
expires_soon($node, 'postgres', 'cancelled: jobs are queued again');

# SIGHUP: off, on, and another naptime.
$node->safe_psql('postgres', 'ALTER SYSTEM SET faultline.background_worker = off');
$node->reload;
ok($node->poll_query_until('postgres',
        q{SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'faultline worker'}),
    'switched off: the worker leaves');
is($node->safe_psql('postgres', q{SELECT state, detail ~ 'switched off' FROM faultline.status()
    WHERE item = 'worker'}), 'info|t', 'switched off: status() says so');
# claim() itself takes over what has ended, so the queue goes on.
$node->safe_psql('postgres', q{SELECT faultline.create_queue('alone', lease => '100 ms',
    backoff_base => '0'); SELECT count(faultline.enqueue('alone')) FROM generate_series(1, 5)});
$node->safe_psql('postgres', q{SELECT count(*) FROM faultline.claim('alone', 'dead', 5)});
ok($node->poll_query_until('postgres', q{SELECT count(*) = 0 FROM faultline.live_jobs j
    JOIN faultline.queues q USING (queue_id) WHERE q.name = 'alone'
    AND j.lease_expires_at > clock_timestamp()}), 'switched off: leases end');
is($node->safe_psql('postgres', q{SELECT count(*) FROM faultline.jobs WHERE queue = 'alone'
    AND state = 'running'}), '5', 'switched off: nobody settles them');
is($node->safe_psql('postgres', q{SELECT count(*) FROM faultline.claim('alone', 'w', 5, '1 h')}),
    '0', 'switched off: a claim finds none ready');
is($node->safe_psql('postgres', q{SELECT count(*) FROM faultline.claim('alone', 'w', 5, '1 h')}),
    '5', 'switched off: but it has settled them, and the next one gets them');
$node->safe_psql('postgres', 'ALTER SYSTEM RESET faultline.background_worker');
$node->reload;
expires_soon($node, 'postgres', 'switched on: jobs are queued again');

# kill -9: the server restarts all connections, and the worker returns.
make_busy_again();
$worker = await_worker($node, 'postgres');
is(kill('KILL', $worker), 1, 'the worker is killed');
$node->poll_query_until('postgres', "SELECT pg_postmaster_start_time() IS NOT NULL
    AND NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = $worker)") or die 'not back';
expires_soon($node, 'postgres', 'killed: jobs are queued again');
my $launcher = await_launcher($node);
is(kill('KILL', $launcher), 1, 'the launcher is killed');
$node->poll_query_until('postgres', "SELECT NOT EXISTS (SELECT FROM pg_stat_activity
    WHERE pid = $launcher)") or die 'not back';
expires_soon($node, 'postgres', 'launcher killed: jobs are queued again');

# Every way to stop the server while the worker works.
for my $mode ('smart', 'fast', 'immediate') {
    make_busy_again();
    await_worker($node, 'postgres');
    my $begin = time;
    $node->stop($mode);
    cmp_ok(time - $begin, '<', 10, "$mode shutdown is not held up");
    $node->start;
    expires_soon($node, 'postgres', "$mode shutdown: jobs are queued again");
}

invariants_hold($node, 'postgres');
my $log = slurp_file($node->logfile);
is(() = $log =~ /background worker "faultline \w+" \(PID \d+\) was terminated by signal 9/g, 2,
    'the log tells of the two processes that were killed');
is(() = $log =~ /terminated by signal|PANIC:|TRAP:/g, 2, 'and of no other crash');
$node->stop;
done_testing();

sub await_other {
    my ($type, $pid) = @_;
    my $others = "backend_type = '$type' AND pid <> $pid";
    $node->poll_query_until('postgres',
        "SELECT count(*) = 1 FROM pg_stat_activity WHERE $others") or die "no other $type";
    return $node->safe_psql('postgres', "SELECT pid FROM pg_stat_activity WHERE $others");
}

sub await_worker_other_than { return await_other('faultline worker', @_) }

sub make_busy_again {
    $node->safe_psql('postgres', q{SELECT faultline.drop_queue('busy', force => true)});
    make_busy($node, 'postgres');
    return;
}
