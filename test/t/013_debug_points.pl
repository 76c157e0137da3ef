# Sessions that die, freeze or lose their client at an exact place; above all around the commit,
# where the client cannot know what became of its call.
use strict;
use warnings;
use FaultlineNode;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('points', conf => "restart_after_crash = on\n");
my $killed = 0;
my $armed = q{SET faultline.debug_points = 'complete_after_delete=error'};

# Without faultline.lab nothing can be armed.
is(sqlstate($node, $armed, prelude => 'SELECT faultline.clock_now();'),
    '55000', 'lab off: debug points are refused');
$node->safe_psql('postgres', q{SELECT faultline.create_queue('q', backoff_base => '0')});

# A new running job; returns the arguments that complete it.
sub running_job {
    return $node->safe_psql('postgres', q{SELECT faultline.enqueue('q') \g /dev/null
        SELECT job_id || ', ' || lease_token FROM faultline.claim('q', 'w')});
}

sub complete { return $node->safe_psql('postgres', "SELECT faultline.complete($_[0])"); }

sub state_of {
    my ($job_id) = $_[0] =~ /^(\d+)/;
    return $node->safe_psql('postgres', "SELECT state FROM faultline.jobs WHERE job_id = $job_id");
}

my $lease = running_job();
for my $how ('session', 'connection') {
    local $ENV{PGOPTIONS} = '-c faultline.debug_points=complete_after_delete=error'
      if $how eq 'connection';
    my (undef, undef, $warning) = $node->psql('postgres', ($how eq 'session' ? "$armed;" : '')
          . "SELECT faultline.extend($lease)");
    like($warning, qr/faultline.lab is off/, "lab off: set by the $how before the library is there");
}
is($node->safe_psql('postgres', "SET faultline.lab = on; $armed; SELECT faultline.complete($lease)"),
    'succeeded', 'lab off: a session cannot switch it on');

# The file names it below the switch, so a reload and a first call take both.
$node->append_conf('postgresql.conf',
    "faultline.lab = on\nfaultline.debug_points = 'extend_after_update=error'\n");
$node->reload;
$lease = running_job();
ok($node->poll_query_until('postgres', "SELECT current_setting('faultline.lab', true) = 'on'"),
    'lab on: reloaded');
is(sqlstate($node, "SELECT faultline.extend($lease)"), '38000', 'lab on: armed by the file');
my $session = $node->background_psql('postgres', on_error_stop => 0);
$session->query_safe('SELECT faultline.clock_now()');
$node->adjust_conf('postgresql.conf', 'faultline.lab', 'off');
$node->reload;
my $deadline = time + $PostgreSQL::Test::Utils::timeout_default;
while ($session->query_safe('SHOW faultline.lab') ne 'off') { die 'not reloaded' if time > $deadline }
is($session->query_safe("SELECT faultline.extend($lease) IS NOT NULL"),
    't', 'lab off again: a session that was armed is not any more');
$session->quit;

# Preloaded, it is fixed at server start.
$node->adjust_conf('postgresql.conf', 'faultline.lab', 'on');
$node->adjust_conf('postgresql.conf', 'faultline.debug_points', q{''});
$node->append_conf('postgresql.conf', 'shared_preload_libraries = faultline');
$node->restart;
is($node->safe_psql('postgres', q{SELECT context FROM pg_settings WHERE name = 'faultline.lab'}),
    'postmaster', 'preloaded: who may change it');
is(complete($lease), 'succeeded', 'nothing is armed');

# What hangs on the server's own injection points is taken only where it has them.
my ($configured) = run_command([ 'pg_config', '--configure' ]);
my $has_injection_points = $configured =~ /enable-injection-points/;
my $injected = q{SET faultline.debug_points = 'complete_after_delete=inject'};
is(sqlstate($node, $injected, prelude => 'SELECT faultline.clock_now();'),
    $has_injection_points ? '00000' : '0A000', 'injection points');
SKIP: {
    my $installed = q{SELECT count(*) FROM pg_available_extensions WHERE name = 'injection_points'};
    skip 'this server has no injection points, or not the extension that attaches to them', 4
      unless $has_injection_points && $node->safe_psql('postgres', $installed);
    $lease = running_job();
    $node->safe_psql('postgres', 'CREATE EXTENSION injection_points');
    $node->safe_psql('postgres',
        q{SELECT injection_points_attach('faultline-complete_after_delete', 'error')});
    my (undef, undef, $error) =
      $node->psql('postgres', "$injected; SELECT faultline.complete($lease)");
    like($error, qr/error triggered for injection point faultline-complete_after_delete/,
        'an injection point does what is attached to it');
    is(state_of($lease), 'running', 'an injection point: the transaction was rolled back');
    is(complete($lease), 'succeeded', 'an injection point: sessions without inject pass by');
    $node->safe_psql('postgres',
        q{SELECT injection_points_detach('faultline-complete_after_delete')});
    $lease = running_job();
    is($node->safe_psql('postgres', "$injected; SELECT faultline.complete($lease)"),
        'succeeded', 'an injection point that nothing is attached to lets go on');
}

# complete() in a session with one point armed: the output, and whether its connection broke.
sub complete_at {
    my ($point, $action, $arguments) = @_;
    my ($status, $stdout, $stderr) = $node->psql('postgres',
        "SET faultline.debug_points = '$point=$action';\nSELECT faultline.complete($arguments)");
    my $is_broken = $stderr =~ /server closed the connection|connection to server was lost/ ? 1 : 0;
    $stdout =~ s/^SET\n?//;
    return ($stdout, $is_broken);
}

# Waits until the server has restarted after a backend died.
sub server_is_back {
    my ($log_end, $name) = @_;
    $killed++;
    return ok($node->wait_for_log(qr/all server processes terminated; reinitializing/, $log_end)
          && $node->poll_query_until('postgres', 'SELECT true'), $name);
}

for my $case (
    [ 'transaction_committed',  'succeeded', 'already_succeeded' ],
    [ 'transaction_pre_commit', 'running',   'succeeded' ],
    [ 'complete_after_archive', 'running',   'succeeded' ])
{
    my ($point, $state, $answer) = @$case;
    $lease = running_job();
    my $log_end = -s $node->logfile;
    is_deeply([ complete_at($point, 'kill', $lease) ],
        [ '', 1 ], "$point, killed: the client gets no answer");
    server_is_back($log_end, "$point, killed: the server is back");
    is(state_of($lease), $state, "$point, killed: the job is $state");
    is(complete($lease), $answer, "$point, killed: asked again, $answer");

    $lease = running_job();
    is_deeply([ complete_at($point, 'drop_connection', $lease) ],
        [ '', 1 ], "$point, connection lost: the client gets no answer");
    # The session goes on, so all of these commit.
    my ($job_id) = $lease =~ /^(\d+)/;
    ok($node->poll_query_until('postgres',
            "SELECT state = 'succeeded' FROM faultline.jobs WHERE job_id = $job_id"),
        "$point, connection lost: the job succeeds");
    is(complete($lease), 'already_succeeded',
        "$point, connection lost: asked again, already_succeeded");
}

# A session that leaves by itself takes its transaction with it, and the server goes on.
$lease = running_job();
my $log_end = -s $node->logfile;
is_deeply([ complete_at('complete_after_delete', 'exit', $lease) ],
    [ '', 1 ], 'exit: the client gets no answer');
is(state_of($lease), 'running', 'exit: the job is running');
unlike(slurp_file($node->logfile, $log_end), qr/reinitializing/, 'exit: the server goes on');
is(complete($lease), 'succeeded', 'exit: the lease is good');

# Frozen in the middle, and killed from outside.
for my $case ([ 'complete_after_delete', 'running' ], [ 'transaction_committed', 'succeeded' ]) {
    my ($point, $state) = @$case;
    $lease = running_job();
    $session = $node->background_psql('postgres', on_error_stop => 0);
    my $pid = $session->query_safe('SELECT pg_backend_pid()');
    $session->query_safe("SET faultline.debug_points = '$point=stop'");
    background_call($session, "SELECT faultline.complete($lease)");
    ok($node->poll_query_until('postgres',
            "SELECT split_part(pg_read_file('/proc/$pid/stat'), ' ', 3) = 'T'"),
        "$point, stopped: the session is frozen");
    is(state_of($lease), $state, "$point, stopped: others see the job as $state");
    my $log_end = -s $node->logfile;
    is(kill('KILL', $pid), 1, "$point, stopped: it is killed");
    server_is_back($log_end, "$point, stopped: the server is back");
    $session->{run}->finish;
    is(state_of($lease), $state, "$point, stopped: the job is $state");
    is(complete($lease), $state eq 'running' ? 'succeeded' : 'already_succeeded',
        "$point, stopped: and can be asked again");
}

log_is_clean($node, killed => $killed);

# An abort is a crash as well.
$lease = running_job();
$log_end = -s $node->logfile;
is_deeply([ complete_at('complete_after_delete', 'abort', $lease) ],
    [ '', 1 ], 'abort: the client gets no answer');
ok($node->wait_for_log(qr/was terminated by signal 6/, $log_end)
      && $node->poll_query_until('postgres', 'SELECT true'), 'abort: the server is back');
is(complete($lease), 'succeeded', 'abort: the lease is good');

invariants_hold($node, 'postgres');
$node->stop;
done_testing();
