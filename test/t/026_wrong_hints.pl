# Hints of the ready windows that are wrong or missing: what a claim decides by the row, what is
# found in spite of them, and what looking for it costs.
use strict;
use warnings;
use FaultlineNode;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('wrong_hints', conf => <<'CONF');
shared_preload_libraries = 'faultline'
faultline.background_worker = off
faultline.lab = on
CONF

my ($worker, $other, $gate) = map { $node->background_psql('postgres', on_error_stop => 1) } 1 .. 3;
sub sql { return $node->safe_psql('postgres', shift) }

# A queue that has a window.
sub new_queue {
    my $queue = shift;
    sql("SELECT faultline.create_queue('$queue')");
    return sql("SELECT * FROM faultline.claim('$queue', 'w')");
}
sub enqueue { return sql("SELECT faultline.enqueue('$_[0]', '{}'" . ($_[1] // '') . ')') }
sub claim   { return $worker->query_safe("SELECT job_id FROM faultline.claim('$_[0]', 'w')") }

# A hint does not decide when a job runs, nor in which turn.
new_queue('delayed');
my $delayed = enqueue('delayed', ", delay => '1 hour'");
for my $place ([ 0, '-1 minute' ], [ -1, '-1 minute' ], [ -1, '1 hour' ]) {
    sql("SELECT faultline.plant_hint('delayed', job_id, ctid, $place->[0],
        clock_timestamp() + interval '$place->[1]') FROM faultline.live_jobs WHERE job_id = $delayed");
    is(claim('delayed'), '', "a hint (@$place) makes no job run before its time");
}
my $due = enqueue('delayed');
is(claim('delayed'), $due, 'nor does it hide one that is due');

# A refill that read a row before somebody claimed it and gave it back.
sql(q{SELECT faultline.create_queue('returned')});
my @returned = map { enqueue('returned') } 1 .. 2;
my $lock = q{hashtext('faultline.debug_points'), hashtext('refill_before_merge')};
$gate->query_safe("SELECT pg_advisory_lock($lock)");
$other->query_safe(q{SET faultline.debug_points = 'refill_before_merge=wait'});
background_call($other, q{SELECT job_id FROM faultline.claim('returned', 'w')});
ok($node->poll_query_until('postgres', 'SELECT count(*) > 0 FROM pg_locks WHERE NOT granted'),
    'a session refills');
my ($returned, $token) = split /\|/,
  sql(q{SELECT job_id, lease_token FROM faultline.claim('returned', 'w')});
is($returned, $returned[0], 'another claims the first job meanwhile');
sql("SELECT faultline.release($returned, $token)");
$gate->query_safe('SELECT pg_advisory_unlock_all()');
my ($refilled) = end_call($other);
is(join(' ', sort { $a <=> $b } $refilled =~ /(\d+)/, claim('returned')),
    "@returned", 'the job given back is not lost, though the refill had read it elsewhere');

# A job that its window does not know, and a worker that waits for jobs.
new_queue('unknown');
my $unknown = enqueue('unknown');
sql(q{SELECT faultline.drop_hints('unknown')});
is(claim('unknown'), '', 'a window without its hints says that there is no job');
$worker->query_safe(q{CALL faultline.wait_for_jobs('{unknown}', '1 min')});
is(claim('unknown'), $unknown, 'who was woken for a job finds it all the same');

# A lease that has ended and cannot be settled, because somebody has the row.
new_queue('held');
my $held = enqueue('held', ', priority => -1');
sql(q{SELECT FROM faultline.claim('held', 'w', lease => '100 ms')});
$other->query_safe(
    "BEGIN; SELECT FROM faultline.live_jobs WHERE job_id = $held FOR UPDATE");
my $waiting = 3000;
my $claims  = 100;
sql("SELECT count(*) FROM faultline.enqueue_many('held', array_fill('{}'::jsonb, ARRAY[$waiting]))");
ok($node->poll_query_until('postgres',
    "SELECT clock_timestamp() > lease_expires_at FROM faultline.live_jobs WHERE job_id = $held"),
    'a lease has ended');
my ($claimed, $read) = split /\n/, $worker->query_safe(<<"SQL");
BEGIN;
SELECT count(*) FROM generate_series(1, $claims), LATERAL faultline.claim('held', 'w');
SELECT idx_tup_fetch FROM pg_stat_xact_user_tables WHERE relname = 'live_jobs';
ROLLBACK;
SQL
is($claimed, $claims, 'jobs behind it are claimed');
cmp_ok($read, '<', $claims * $waiting / 2, 'and few of these claims look at all jobs');
$other->query_safe('ROLLBACK');
ok($node->poll_query_until('postgres', <<"SQL", "t\nt"), 'once it is free, a claim settles it');
SELECT count(*) >= 0 FROM faultline.claim('held', 'w');
SELECT state = 'q' FROM faultline.live_jobs WHERE job_id = $held;
SQL

$_->quit for $worker, $other, $gate;
invariants_hold($node, 'postgres');
log_is_clean($node);
done_testing();
