# wait_for_jobs() with a preloaded library: whom a commit wakes, what a waiter holds while it waits,
# and that nothing and nobody has to wait for a waiter.
use strict;
use warnings;
use FaultlineNode;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $rounds = 5;
my $soon_ms = 300;    # far less than the second after which one waiter looks by itself
my $node = new_node('wait', conf => <<'CONF');
shared_preload_libraries = 'faultline'
faultline.lab = on
max_prepared_transactions = 2
CONF
$node->safe_psql('postgres', q{SELECT faultline.create_queue('q', lease => '1 h'),
    faultline.create_queue('p')});

my $is_waiting = q{query LIKE 'CALL faultline.wait_for_jobs%' AND state = 'active'
    AND wait_event_type = 'Extension'};

sub new_session { return $node->background_psql('postgres', on_error_stop => 0) }

sub pid_of { return $_[0]->query_safe('SELECT pg_backend_pid()') }

# Lets the session wait, and do $then at once when it returns.
sub start_wait {
    my ($session, $queues, $then, $max_wait) = @_;
    my $waiting = waiting();
    background_call($session,
        sprintf(q{CALL faultline.wait_for_jobs('{%s}', '%s');%s}, $queues, $max_wait // '5 min',
            $then // ''));
    return if $node->poll_query_until('postgres',
        'SELECT count(*) = ' . ($waiting + 1) . " FROM pg_stat_activity WHERE $is_waiting");
    return fail('the session waits');
}

sub waiting {
    return $node->safe_psql('postgres', "SELECT count(*) FROM pg_stat_activity WHERE $is_waiting");
}

sub run_sql { return $node->safe_psql('postgres', join(';', @_)) }

my $claim = q{SELECT 'got ' || (payload #>> '{}') FROM faultline.claim('q', 'w')};
my $took = q{SELECT 'late ' || round(extract(epoch FROM clock_timestamp() - max(next_run_at)) * 1000)
    FROM faultline.jobs WHERE state = 'queued'};

# No job is left ready.
sub take_all {
    run_sql(q{SELECT count(*) FROM faultline.claim_any('{q,p}', 'w', 100, '1 h')});
    return;
}

sub median { return (sort { $a <=> $b } @_)[ @_ / 2 ] }

my ($first, $second) = (new_session(), new_session());
my ($first_pid, $second_pid) = (pid_of($first), pid_of($second));

# What a waiter holds: nothing.
start_wait($first, 'q', $claim);
is($node->safe_psql('postgres', "SELECT backend_xmin, backend_xid, xact_start, state
        FROM pg_stat_activity WHERE pid = $first_pid"), '|||active',
    'a waiter has no snapshot, no transaction id and no transaction');
is($node->safe_psql('postgres', "SELECT count(*) FROM pg_locks WHERE pid = $first_pid"), 0,
    'and no lock');
start_wait($second, 'q', $claim);

# Nothing of what is rolled back wakes anybody; one job wakes the one who has waited longest.
run_sql('BEGIN', q{SELECT faultline.enqueue_many('q', '{1,2}')}, 'ROLLBACK', 'BEGIN', 'SAVEPOINT s',
    q{SELECT faultline.enqueue_many('q', '{3,4}')}, 'ROLLBACK TO s', 'SAVEPOINT t',
    q{SELECT faultline.enqueue('q', '5')}, 'RELEASE t', 'COMMIT');
is((end_call($first))[0], 'got 5', 'the job wakes the first waiter');
is(waiting(), 1, 'and not the second');
start_wait($first, 'q,p', $claim);
run_sql(q{SELECT faultline.enqueue('p', '6')});
is((end_call($first))[0], '', 'another queue: its waiter returns');
is(waiting(), 1, 'and nobody else');
start_wait($first, 'q', $claim);
run_sql(q{SELECT faultline.enqueue_many('q', '{7,8}')});
is(join(' ', sort map { (end_call($_))[0] } $first, $second), 'got 7 got 8',
    'two jobs wake two waiters');
take_all();

# A claim that is rolled back leaves a ready job behind.
my $claimer = new_session();
run_sql(q{SELECT faultline.enqueue('q', '9')});
$claimer->query_safe('BEGIN');
is($claimer->query_safe($claim), 'got 9', 'a claim that is not committed yet');
start_wait($first, 'q', $claim);
$claimer->query_safe('ROLLBACK');
is((end_call($first))[0], 'got 9', 'what it gives back wakes a waiter');
take_all();

# Delayed jobs: the waiter that knows of them already, and one that is told while it sleeps.
my (@known, @told);
for my $round (1 .. $rounds) {
    run_sql(q{SELECT faultline.enqueue('q', delay => '900 ms')});
    start_wait($first, 'q', $took);
    push @known, (end_call($first))[0] =~ /late (-?\d+)/;
    take_all();
    start_wait($first, 'q', $took);
    run_sql(q{SELECT faultline.enqueue('q', delay => '150 ms')});
    push @told, (end_call($first))[0] =~ /late (-?\d+)/;
    take_all();
}
is(scalar(grep { $_ < 0 } @known, @told), 0, 'no delayed job wakes a waiter before it is due');
cmp_ok(median(@known), '<', $soon_ms, "a job that is due wakes a waiter (late by ms: @known)");
cmp_ok(median(@told), '<', $soon_ms, "also one that came while it slept (late by ms: @told)");
run_sql(q{SELECT faultline.enqueue_many('q', '{10,11}', delay => '2 s')});
start_wait($_, 'q', $claim) for $first, $second;
is(join(' ', sort map { (end_call($_))[0] } $first, $second), 'got 10 got 11',
    'two jobs that become due wake two waiters');
take_all();

# Paused is not ready; the end of the pause wakes.
my @resumed;
for my $round (1 .. $rounds) {
    run_sql(q{SELECT faultline.pause_queue('q')}, q{SELECT faultline.enqueue('q')});
    start_wait($first, 'q', q{SELECT 'at ' || extract(epoch FROM clock_timestamp())});
    my $before = time();
    run_sql(q{SELECT faultline.resume_queue('q')});
    my ($at) = (end_call($first))[0] =~ /at ([\d.]+)/;
    push @resumed, int(($at - $before) * 1000);
    take_all();
}
cmp_ok(median(@resumed), '<', $soon_ms, "resume_queue() wakes (after ms: @resumed)");
cmp_ok((sort { $a <=> $b } @resumed)[0], '>', 0, 'and nobody returned before');

# A waiter that is woken and dies before it claims: another one is woken.
my @handed_on;
for my $round (1 .. $rounds) {
    my $dying = new_session();
    my $pid = pid_of($dying);
    start_wait($dying, 'q', q{SELECT 'woken'});
    start_wait($first, 'q', q{SELECT 'at ' || extract(epoch FROM clock_timestamp())});
    run_sql(q{SELECT faultline.enqueue('q')});
    is((end_call($dying))[0], 'woken', "round $round: one is woken") if $round == 1;
    my $before = time();
    run_sql("SELECT pg_terminate_backend($pid)");
    my ($at) = (end_call($first))[0] =~ /at ([\d.]+)/;
    push @handed_on, int(($at - $before) * 1000);
    $dying->{run}->finish;
    take_all();
}
cmp_ok(median(@handed_on), '<', $soon_ms, "its wake-up is handed on (after ms: @handed_on)");

# One that is stopped while it sleeps, woken, and cancelled before it can look.
start_wait($first, 'q');
start_wait($second, 'q', $claim);
kill 'STOP', $first_pid;
run_sql(q{SELECT faultline.enqueue('q', '12')}, "SELECT pg_cancel_backend($first_pid)");
kill 'CONT', $first_pid;
like((end_call($first))[1], qr/canceling statement due to user request/, 'a waiter is cancelled');
is((end_call($second))[0], 'got 12', 'its wake-up is handed on as well');
is($first->query_safe('SELECT 1'), 1, 'its session goes on');
take_all();

# What no commit of ours announces is noticed within about a second.
start_wait($first, 'q', $claim);
run_sql('BEGIN', q{SELECT faultline.enqueue('q', '13')}, q{PREPARE TRANSACTION 'x'});
is(waiting(), 1, 'a prepared job is not ready');
run_sql(q{COMMIT PREPARED 'x'});
is((end_call($first))[0], 'got 13', 'it is found once its transaction is committed');
take_all();

# Timeouts, dropped queues, lost rights, termination.
is(sqlstate($node, q{CALL faultline.wait_for_jobs('{q}')}, prelude => q{SET statement_timeout = '50 ms';}),
    '57014', 'statement_timeout ends a wait');
run_sql(q{SELECT faultline.create_queue('gone')});
start_wait($first, 'q,gone');
run_sql(q{SELECT faultline.drop_queue('gone')});
like((end_call($first))[1], qr/queue "gone" does not exist/, 'the queue is dropped under the waiter');
my $dying = new_session();
my $dying_pid = pid_of($dying);
start_wait($dying, 'q');
run_sql("SELECT pg_terminate_backend($dying_pid)");
ok($node->poll_query_until('postgres', "SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = $dying_pid"),
    'a waiter is terminated');
$dying->{run}->finish;

# A client that is killed leaves no waiter behind.
$dying = new_session();
$dying_pid = pid_of($dying);
start_wait($dying, 'q');
$dying->{run}->kill_kill;
ok($node->poll_query_until('postgres', "SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = $dying_pid"),
    'nor does a client that is gone');

# Nothing waits for a waiter: other databases are dropped, tables rewritten, the extension dropped.
sub takes_less_than {
    my ($seconds, $sql, $name) = @_;
    my $began = time();
    run_sql($sql);
    return cmp_ok(time() - $began, '<', $seconds, $name);
}
start_wait($first, 'q', $claim);
run_sql('CREATE DATABASE other');
takes_less_than(4, 'DROP DATABASE other', 'DROP DATABASE of another database beside a waiter');
run_sql('CREATE DATABASE victim');
create_extension($node, 'victim');
$node->safe_psql('victim', q{SELECT faultline.create_queue('q')});
my $victim = $node->background_psql('victim', on_error_stop => 0);
start_wait($victim, 'q');
takes_less_than(4, 'DROP DATABASE victim WITH (FORCE)', 'DROP DATABASE of its own, with force');
$victim->{run}->finish;
run_sql('VACUUM FULL faultline.live_jobs', q{SELECT faultline.enqueue('q', '14')});
is((end_call($first))[0], 'got 14', 'VACUUM FULL passes, and the next job wakes the waiter');
take_all();
invariants_hold($node, 'postgres');
start_wait($first, 'q');
takes_less_than(5, 'DROP EXTENSION faultline CASCADE', 'DROP EXTENSION passes');
like((end_call($first))[1], qr/relation "faultline\.queues" does not exist/, 'and ends the wait');
create_extension($node);
run_sql(q{SELECT faultline.create_queue('q')});
start_wait($first, 'q', $claim);
run_sql(q{SELECT faultline.enqueue('q', '15')});
is((end_call($first))[0], 'got 15', 'made anew it wakes the same session');
log_is_clean($node);

# Whoever waits leaves with the server.
start_wait($second, 'q');
$node->kill9;
is(system("$ENV{FAULTLINE_ROOT}/scripts/wait-until", $PostgreSQL::Test::Utils::timeout_default,
        'test', '!', '-e', "/proc/$second_pid"), 0, 'a waiter ends when the postmaster is killed');
$_->{run}->kill_kill for $first, $second, $claimer;
done_testing();
