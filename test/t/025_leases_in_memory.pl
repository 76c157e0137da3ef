# Leases that are extended in memory: what an extension costs, which end counts, the orders in which
# an extension can meet expiry, the holder's other calls and a rollback, and what becomes of the
# leases when the memory is lost or full.
use strict;
use warnings;
use FaultlineNode;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $conf = <<'CONF';
shared_preload_libraries = faultline
faultline.background_worker = off
faultline.allow_virtual_clock = on
faultline.lab = on
max_prepared_transactions = 4
restart_after_crash = on
CONF
my $node = new_node('leases', init => { allows_streaming => 1 }, conf => $conf);

# The sessions that meet each other, and one that holds up the others at debug points.
my ($holder, $other, $gate);
my %pid_of;
sub open_sessions {
    for my $session ($holder, $other, $gate) {
        $session = $node->background_psql('postgres', on_error_stop => 0);
        $pid_of{$session} = $session->query_safe(
            q{SET timezone = 'UTC'; SELECT pg_backend_pid() FROM faultline.clock_now()});
    }
    return;
}
open_sessions();

sub sql { return $node->safe_psql('postgres', "SET timezone = 'UTC'; " . shift) }
sub clock { return sql("SELECT FROM faultline.set_clock('2030-01-01 $_[0]Z')") }
sub answer {
    my ($session, $sql) = @_;
    my $output = $session->query($sql);
    my $errors = $session->{stderr};
    $session->{stderr} = '';
    return $errors eq '' ? $output : $errors =~ /ERROR: +(.*)/ ? "error: $1" : $errors;
}
sub answer_of_call {
    my ($output, $errors) = end_call(shift);
    return $errors =~ /ERROR: +(.*)/ ? "error: $1" : $output;
}

sub close_gate {
    return $gate->query_safe("SELECT pg_advisory_lock(hashtext('faultline.debug_points'), hashtext('$_[0]'))");
}
sub open_gate {
    return $gate->query_safe('SELECT pg_advisory_unlock_all()');
}
sub waits {
    my ($session, $name) = @_;
    return ok($node->poll_query_until('postgres',
            "SELECT count(*) > 0 FROM pg_locks WHERE NOT granted AND pid = $pid_of{$session}"), $name);
}
# Starts a call that stops at the point, whose gate must be closed.
sub call_up_to {
    my ($session, $point, $sql) = @_;
    $session->query_safe("SET faultline.debug_points = '$point=wait'");
    background_call($session, $sql);
    waits($session, "it stops at $point");
    return;
}
sub disarm { $_->query_safe(q{SET faultline.debug_points = ''}) for @_; return }

# A job that runs from 12:00 to 12:01.
my ($job_id, $lease);
sub running_job {
    my ($arguments) = @_;
    clock('12:00');
    sql(q{DELETE FROM faultline.live_jobs});
    $lease = sql(q{SELECT faultline.enqueue('q') \g /dev/null
        SELECT job_id || ', ' || lease_token FROM faultline.claim('q', 'w')});
    ($job_id) = $lease =~ /^(\d+)/;
    return;
}
sub extend_sql { return "SELECT to_char(faultline.extend($lease" . ($_[0] // '') . "), 'HH24:MI:SS')" }
sub extend { return sql(extend_sql(@_)) }
sub ends {
    return sql("SELECT to_char(lease_expires_at, 'HH24:MI:SS') FROM faultline.jobs
        WHERE job_id = $job_id");
}
sub row_ends {
    return sql("SELECT to_char(lease_expires_at, 'HH24:MI:SS') FROM faultline.live_jobs
        WHERE job_id = $job_id");
}
sub expire { return sql('SELECT faultline.expire_leases()') }
sub state_is { return sql("SELECT state || ' ' || attempt FROM faultline.jobs WHERE job_id = $job_id") }
my $stale = "error: lease of job ";

sql(q{SELECT faultline.create_queue('q', lease => '1 min', backoff_base => '0')});

# What it costs.
running_job();
my $version = sql("SELECT ctid, xmin, xmax FROM faultline.live_jobs");
clock('12:00:40');
is(sql('BEGIN; ' . extend_sql() . '; SELECT pg_current_xact_id_if_assigned() IS NULL; COMMIT'),
    "12:01:40\nt", 'an extension takes no transaction id');
is(sql('SELECT ctid, xmin, xmax FROM faultline.live_jobs'), $version, 'and leaves the row alone');
is(ends() . ' ' . row_ends(), '12:01:40 12:01:00', 'the view shows the end that counts');
clock('12:01:30');
is(expire(), '0', 'expiry knows it');
is(sql('SELECT faultline.expire_round(1000, false)'), '0', 'also where claims begin');
is(sql(q{SET faultline.fast_path = off; SELECT count(*) FROM faultline.claim('q', 'w2')}),
    '0', 'a claim takes nothing over');
is(expire(), '0', 'nor does it settle the lease');
is(sql('SELECT count(*) FROM faultline.check_invariants(\'0\')'), '0', 'the invariants know it');
like(sql(q{SELECT detail FROM faultline.status() WHERE item = 'leases'}), qr/^0 leases/,
    'so does status()');
is(sql("SET faultline.strict_lease = on; SELECT faultline.complete($lease)"),
    'succeeded', 'and a strict lease');

# Which extensions write the row.
running_job();
clock('12:00:10');
is(extend(q{, progress => '1'}) . ' ' . row_ends(), '12:01:10 12:01:10', 'progress is written');
clock('12:00:20');
is(extend(q{, lease => '30 s'}) . ' ' . row_ends(), '12:00:50 12:00:50', 'a shorter lease, too');
clock('12:00:25');
is(extend(q{, lease => '30 s'}) . ' ' . row_ends(), '12:00:55 12:00:50', 'the next as long is not');
is(extend(q{, lease => '2 min'}) . ' ' . row_ends(), '12:02:25 12:02:25', 'a longer one is');
is(sql('SET faultline.fast_path = off; ' . extend_sql()) . ' ' . row_ends(),
    '12:01:25 12:01:25', 'any without the fast path');
is(ends(), '12:01:25', 'and then the row counts');
clock('12:01:25');
is(extend() . ' ' . row_ends(), '12:02:25 12:02:25', 'that of a lease which is over asks the row');
sql("SELECT FROM faultline.cancel(ARRAY[$job_id])");
like(answer($holder, extend_sql()), qr/was asked to stop/, 'a job that is to stop is not extended');
sql("SELECT faultline.complete($lease)");

# max_runtime bounds them.
sql(q{SELECT faultline.alter_queue('q', max_runtime => '90 s')});
running_job();
clock('12:00:50');
is(extend() . ' ' . row_ends(), '12:01:30 12:01:00', 'max_runtime cuts what is kept in memory');
clock('12:01:30');
is(expire(), '1', 'and it ends there');
is(sql("SELECT last_error FROM faultline.jobs WHERE job_id = $job_id"), 'max_runtime reached', 'why');
sql(q{SELECT faultline.alter_queue('q', max_runtime => '0')});

# Rollbacks.
running_job();
clock('12:00:40');
is(sql('BEGIN; ' . extend_sql() . '; ROLLBACK') . ' ' . ends(),
    '12:01:40 12:01:40', 'an extension was heard of by others, so a rollback keeps it');
is(sql('BEGIN; ' . extend_sql(q{, progress => '2'}) . '; ROLLBACK') . ' ' . ends(),
    '12:01:40 12:01:40', 'one that wrote the row is taken back');
is(sql("BEGIN; SELECT faultline.complete($lease); ROLLBACK") . ' ' . ends(),
    'succeeded 12:01:40', 'an end that is rolled back leaves the lease');
clock('12:01:00');
is(extend() . ' ' . row_ends(), '12:02:00 12:01:00', 'in memory');
is(sql(<<"SQL"), "succeeded\n12:02:00", 'the same by a savepoint');
BEGIN;
SAVEPOINT s;
SELECT faultline.complete($lease);
ROLLBACK TO s;
COMMIT;
SELECT to_char(lease_expires_at, 'HH24:MI:SS') FROM faultline.jobs WHERE job_id = $job_id
SQL
sql("SELECT faultline.complete($lease)");
running_job();
sql("SELECT faultline.release($lease)");
is(sql(<<'SQL'), "2\n3", 'a claim that is rolled back to a savepoint');
BEGIN;
SAVEPOINT a;
SELECT attempt FROM faultline.claim('q', 'w');
ROLLBACK TO a;
SAVEPOINT b;
SAVEPOINT c;
RELEASE c;
SELECT attempt + 1 FROM faultline.claim('q', 'w');
COMMIT
SQL
$lease = sql("SELECT job_id || ', ' || lease_token FROM faultline.live_jobs");
clock('12:00:30');
is(extend() . ' ' . row_ends(), '12:01:30 12:01:00', 'leaves the next one to be extended in memory');
sql("SELECT faultline.complete($lease)");

# An extension meets expiry.
# It has read the row; then the lease runs out and the expiry commits.
running_job();
clock('12:00:30');
close_gate('extend_before_memory');
call_up_to($holder, 'extend_before_memory', extend_sql());
clock('12:01:00');
is(expire(), '1', 'expiry before the memory is asked');
open_gate();
like(answer_of_call($holder), qr/^$stale/, 'the extension is refused');
is(state_is(), 'queued 1', 'the job is queued');
# The expiry has the row, the lease is extended: by a clock that was set back it is alive.
running_job();
clock('12:01:00');
close_gate('expire_after_lock');
call_up_to($other, 'expire_after_lock', 'SELECT faultline.expire_leases()');
clock('12:00:59');
is(extend(), '12:01:59', 'extended in memory while expiry has the row and has not decided');
open_gate();
is(answer_of_call($other), '0', 'the expiry lets it go');
is(state_is() . ' ' . ends(), 'running 1 12:01:59', 'it goes on');
# The expiry has decided, and the clock is set back: the extension waits for the row.
for my $end ('COMMIT', 'ROLLBACK') {
    running_job();
    clock('12:01:00');
    disarm($other);
    is(answer($other, 'BEGIN; SELECT faultline.expire_leases()'), '1', "$end: expiry has decided");
    clock('12:00:59');
    disarm($holder);
    background_call($holder, extend_sql());
    waits($holder, "$end: the extension waits for the row");
    $other->query_safe($end);
    if ($end eq 'COMMIT') {
        like(answer_of_call($holder), qr/^$stale/, "$end: it is refused");
        is(state_is(), 'queued 1', "$end: the job is queued");
    } else {
        is(answer_of_call($holder), '12:01:59', "$end: it succeeds");
        is(state_is() . ' ' . row_ends(), 'running 1 12:01:59', "$end: and is written");
        clock('12:01:10');
        is(extend() . ' ' . row_ends(), '12:02:10 12:01:59', "$end: the next one is in memory");
    }
}
# The expiry has looked and found it over, then it was extended.
running_job();
clock('12:01:00');
close_gate('settle_before_update');
call_up_to($other, 'settle_before_update', 'SELECT faultline.expire_leases()');
background_call($holder, extend_sql());
waits($holder, 'extending a lease that is being settled waits');
open_gate();
is(answer_of_call($other), '1', 'it is settled');
like(answer_of_call($holder), qr/^$stale/, 'and not extended');
# A prepared expiry.
running_job();
clock('12:01:00');
disarm($other, $holder);
is(sql(q{BEGIN; SELECT faultline.expire_leases(); PREPARE TRANSACTION 'expiry'}), '1', 'prepared');
background_call($holder, extend_sql());
waits($holder, 'an extension waits for a prepared expiry');
sql(q{COMMIT PREPARED 'expiry'});
like(answer_of_call($holder), qr/^$stale/, 'and is refused');

# A heartbeat meets another one that writes the row: neither is lost.
running_job();
clock('12:00:10');
is(answer($other, 'BEGIN; ' . extend_sql(q{, progress => '1'})), '12:01:10', 'the row is written');
clock('12:00:20');
background_call($holder, extend_sql());
waits($holder, 'the heartbeat waits');
$other->query_safe('COMMIT');
is(answer_of_call($holder) . ' ' . ends(), '12:01:20 12:01:20', 'and counts');
# A completion meets one: it does not wait.
is(answer($other, "BEGIN; SELECT faultline.complete($lease)"), 'succeeded', 'completed');
clock('12:00:30');
is(answer($holder, extend_sql()), '12:01:30', 'a heartbeat does not wait for what is not committed');
$other->query_safe('COMMIT');
like(answer($holder, extend_sql()), qr/^$stale/, 'and is refused afterwards');

# Expiry by what is known in memory.
my $round = 'SELECT faultline.expire_round(1000)';
running_job();
is(answer($other, $round), '0', 'a full look');
sql("UPDATE faultline.live_jobs SET lease_expires_at = '2030-01-01 11:59Z'");
is(answer($other, $round), '0', 'a look into memory does not see what is written by hand');
is(sql($round), '1', 'a full look does');
running_job();
clock('12:00:30');
extend();
clock('12:01:29');
is(answer($other, $round), '0', 'in memory: not before its time');
clock('12:01:30');
is(answer($other, $round), '1', 'in memory: the lease that has ended');
is(answer($other, $round), '0', 'in memory: once');
is(state_is(), 'queued 1', 'in memory: its job is queued');
# Between the memory and the rows its attempt ends and the next one begins.
running_job();
clock('12:01:00');
close_gate('look_after_memory');
call_up_to($other, 'look_after_memory', $round);
sql("SELECT faultline.release($lease)");
sql(q{SELECT FROM faultline.claim('q', 'w')});
open_gate();
is(answer_of_call($other), '0', 'an attempt that began meanwhile is not ended');
is(state_is() . ' ' . ends(), 'running 2 12:02:00', 'it goes on');
clock('12:02:00');
disarm($other);
is(answer($other, $round), '1', 'its own end is known');
# What ended in a prepared transaction nobody was told of.
running_job();
is(sql("BEGIN; SELECT faultline.fail($lease, 'x'); PREPARE TRANSACTION 'end'"), 'retrying', 'prepared');
is(extend() . ' ' . ends(), '12:01:00 12:01:00', 'until it is committed the lease goes on');
sql(q{COMMIT PREPARED 'end'});
clock('12:05');
is(answer($other, $round), '0', 'a lease that is over and was not told of is forgotten');
is(sql(q{SELECT attempt FROM faultline.claim('q', 'w')}), '2', 'the job is claimed again');

# A claim that is late to tell of itself does not replace the next one's lease.
running_job();
sql("SELECT faultline.release($lease)");
my $late = $node->background_psql('postgres', on_error_stop => 0);
my $late_pid = $late->query_safe('SELECT pg_backend_pid() FROM faultline.clock_now()');
$late->query_safe(q{SET faultline.debug_points = 'transaction_committed=stop'});
background_call($late, q{SELECT attempt FROM faultline.claim('q', 'late')});
ok($node->poll_query_until('postgres', "SELECT count(*) = 1 FROM faultline.live_jobs WHERE state = 'r'"),
    'a claim is committed and its session stops');
clock('12:01:00');
is(expire(), '1', 'its lease ends');
$lease = sql(q{SELECT job_id || ', ' || lease_token FROM faultline.claim('q', 'w')});
clock('12:01:30');
is(extend() . ' ' . row_ends(), '12:02:30 12:02:00', 'the next one is extended in memory');
kill 'CONT', $late_pid;
is(answer_of_call($late), '2', 'the session goes on');
is(ends(), '12:02:30', 'which takes nothing from the next one');
clock('12:02:00');
is(extend() . ' ' . row_ends(), '12:03:00 12:02:00', 'nor keeps it from being extended');
$late->quit;

# Restart and crash: everybody has a full lease from then.
for my $how ('restart', 'crash', 'backend killed') {
    running_job();
    clock('12:00:50');
    extend();
    clock('12:01:30');
    is(extend(), '12:02:30', "$how: a lease that only the memory knows");
    clock('12:02:00');
    $_->quit for $holder, $other, $gate;
    if ($how eq 'restart') {
        $node->restart;
    } elsif ($how eq 'crash') {
        $node->stop('immediate');
        $node->start;
    } else {
        my $victim = $node->background_psql('postgres', on_error_stop => 0);
        kill 'KILL', $victim->query_safe('SELECT pg_backend_pid()');
        $node->poll_query_until('postgres', 'SELECT 1', '1');
        ok($node->poll_query_until('postgres', "SELECT lease_expires_at IS NOT NULL
            FROM faultline.jobs WHERE job_id = $job_id"), "$how: the server is back");
    }
    clock('12:02:10') if $how eq 'restart';
    my $full = $how eq 'restart' ? '12:03:10' : '12:03:00';
    is(ends() . ' ' . row_ends(), "$full 12:01:00", "$how: the lease is full again");
    clock($how eq 'restart' ? '12:03:09' : '12:02:59');
    is(expire(), '0', "$how: nobody takes it over before");
    is(sql($round), '0', "$how: nor by any other look");
    is(sql('SELECT count(*) FROM faultline.check_invariants(\'0\')'), '0', "$how: it is no violation");
    clock('12:05');
    is(sql($round), '1', "$how: in the end it is over");
    open_sessions();
}
is(sql(q{SELECT count(*) FROM faultline.check_invariants()}), '0', 'no invariant is violated');

# Promotion.
running_job();
clock('12:00:50');
extend();
$node->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'base', has_streaming => 1);
$standby->start;
clock('12:01:40');
is(extend(), '12:02:40', 'promotion: extended in memory');
$node->wait_for_catchup($standby);
my $ends = "SET timezone = 'UTC'; SELECT to_char(lease_expires_at, 'HH24:MI:SS') FROM faultline.jobs
    WHERE job_id = $job_id";
is($standby->safe_psql('postgres', $ends), '12:01:00', 'promotion: the standby knows the row');
$_->quit for $holder, $other, $gate;
$node->stop;
$standby->promote;
is($standby->safe_psql('postgres', $ends), '12:02:40', 'promotion: the lease is full again');
is($standby->safe_psql('postgres', 'SELECT faultline.expire_leases()'), '0', 'promotion: not taken over');
$standby->safe_psql('postgres', q{SELECT faultline.set_clock('2030-01-01 12:02:39Z')});
is($standby->safe_psql('postgres', "SELECT faultline.complete($lease)"), 'succeeded',
    'promotion: its worker completes it');
log_is_clean($standby);
$standby->stop;

# More jobs than leases fit.
my $small = new_node('small', conf => $conf . "faultline.max_leases = 16\n");
my $overfull = <<'SQL';
SELECT faultline.set_clock('2030-01-01 12:00Z') \g /dev/null
SELECT faultline.create_queue('q', lease => '1 min') \g /dev/null
SELECT count(faultline.enqueue('q')) FROM generate_series(1, 200);
SELECT array_agg(job_id) AS ids, array_agg(lease_token) AS tokens FROM faultline.claim('q', 'w', 200) \gset
SELECT faultline.set_clock('2030-01-01 12:00:30Z') \g /dev/null
SELECT verdict, count(*) FROM faultline.extend_many(:'ids', :'tokens') GROUP BY 1;
SELECT count(*) FILTER (WHERE lease_expires_at = '2030-01-01 12:01Z') BETWEEN 1 AND 16,
       count(*) FROM faultline.live_jobs;
SELECT lease_expires_at = '2030-01-01 12:01:30Z', count(*) FROM faultline.jobs GROUP BY 1;
SELECT faultline.expire_round(1000);
SELECT faultline.expire_round(1000);
SELECT faultline.set_clock('2030-01-01 12:01:29Z') \g /dev/null
SELECT faultline.expire_round(1000);
SELECT faultline.set_clock('2030-01-01 12:01:30Z') \g /dev/null
SELECT faultline.expire_round(1000);
SELECT * FROM faultline.check_invariants();
SQL
is($small->safe_psql('postgres', $overfull), "200\nextended|200\nt|200\nt|200\n0\n0\n0\n200",
    'a table that is full: every lease is extended and ends');
$small->adjust_conf('postgresql.conf', 'faultline.max_leases', '0');
$small->restart;
is($small->safe_psql('postgres', "DROP EXTENSION faultline CASCADE; CREATE EXTENSION faultline;\n$overfull"),
    "200\nextended|200\nf|200\nt|200\n0\n0\n0\n200", 'without any memory for them as well');
log_is_clean($small);
$small->stop;
log_is_clean($node, killed => 1);
done_testing();
