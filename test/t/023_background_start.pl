# Where the background worker starts: not on a standby before its promotion; without preload by
# start_worker(), until the next restart.
use strict;
use warnings;
use FaultlineBackground;
use FaultlineNode;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $primary = preloaded_node('first', init => { allows_streaming => 1 });
$primary->safe_psql('postgres', q{SELECT faultline.create_queue('q', lease => '1 s')});
$primary->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('second');
$standby->init_from_backup($primary, 'base', has_streaming => 1);
$standby->start;

# A standby: no process of ours, and status() says why.
$primary->wait_for_catchup($standby);
is($standby->safe_psql('postgres', q{SELECT count(*) FROM pg_stat_activity
    WHERE backend_type ~ 'faultline'}), '0', 'a standby has no launcher and no worker');
is($standby->safe_psql('postgres', q{SELECT state, detail ~ 'standby' FROM faultline.status()
    WHERE item = 'worker'}), 'info|t', 'status() of a standby says so');
is(sqlstate($standby, 'SELECT faultline.start_worker()'), '25006',
    'start_worker() is refused on a standby');

# A job whose worker and server die runs again after the promotion.
$primary->safe_psql('postgres', q{ALTER SYSTEM SET faultline.background_worker = off});
$primary->reload;
$primary->safe_psql('postgres', q{SELECT faultline.enqueue('q')});
$primary->safe_psql('postgres', q{SELECT faultline.claim('q', 'dead')});
$primary->wait_for_catchup($standby);
$primary->stop('immediate');
$standby->promote;
ok($standby->poll_query_until('postgres', q{SELECT state = 'queued' FROM faultline.jobs}),
    'promoted: the job is queued again');
expires_soon($standby, 'postgres', 'promoted: the worker is at work');
log_is_clean($standby);
$standby->stop;

# Without preload.
my $node = new_node('plain', conf => "faultline.naptime = '100 ms'\n");
is($node->safe_psql('postgres', q{SELECT state, hint FROM faultline.status() WHERE item = 'worker'}),
    'info|SELECT faultline.start_worker(); -- until the next restart of the server',
    'status() says what to do');
is($node->safe_psql('postgres', 'SELECT faultline.start_worker()'), 'started', 'it is started');
is($node->safe_psql('postgres', 'SELECT faultline.start_worker()'), 'already_running',
    'a second time it runs already');
expires_soon($node, 'postgres', 'started: jobs are queued again');
is($node->safe_psql('postgres', q{SELECT state FROM faultline.status() WHERE item = 'worker'}),
    'ok', 'started: status() is content');
$node->safe_psql('postgres', 'CREATE DATABASE other');
create_extension($node, 'other');
is($node->safe_psql('other', q{SELECT state FROM faultline.status() WHERE item = 'worker'}),
    'info', 'another database has none');
is($node->safe_psql('other', 'SELECT faultline.start_worker()'), 'started',
    'until it is started there, too');
expires_soon($node, 'other', 'jobs of both are queued again');

# It survives what the preloaded one survives.
for my $round (1 .. 2) {
    $node->safe_psql('postgres', q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE backend_type ~ 'faultline'});
    expires_soon($node, 'postgres', "round $round: terminated: jobs are queued again");
}
within($node, 'postgres', 'DROP DATABASE other', 'drop of its database');
ok($node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM pg_stat_activity
    WHERE backend_type = 'faultline launcher'}), 'its launcher ends with the database');
within($node, 'postgres', 'DROP EXTENSION faultline', 'drop of the extension');
ok($node->poll_query_until('postgres', q{SELECT count(*) = 0 FROM pg_stat_activity
    WHERE backend_type ~ 'faultline'}), 'and with the extension');
create_extension($node);
is($node->safe_psql('postgres', 'SELECT faultline.start_worker()'), 'started',
    'created again: it is started again');
expires_soon($node, 'postgres', 'created again: jobs are queued again');
$node->restart;
is($node->safe_psql('postgres', q{SELECT state FROM faultline.status() WHERE item = 'worker'}),
    'info', 'a restart of the server ends it');

# What the settings forbid, and a server without room.
set_config('background_worker', 'off');
is(sqlstate($node, 'SELECT faultline.start_worker()'), '55000', 'switched off: refused');
set_config('background_worker', 'on');
set_config('databases', 'elsewhere');
is(sqlstate($node, 'SELECT faultline.start_worker()'), '55000', 'not named: refused');
$node->append_conf('postgresql.conf',
    "faultline.databases = ''\nmax_worker_processes = 1\n"); # the logical replication launcher
$node->restart;
is(sqlstate($node, 'SELECT faultline.start_worker()'), '53000', 'no room: refused');
$node->safe_psql('postgres', 'CREATE ROLE nobody_in_particular; CREATE ROLE on_call;
    SELECT faultline.grant_access(\'on_call\', \'operator\')');
is(sqlstate($node, 'SET ROLE nobody_in_particular; SELECT faultline.start_worker()'), '42501',
    'others than operators are refused');
is(sqlstate($node, 'SET ROLE on_call; SELECT faultline.start_worker()'), '53000',
    'operators are not');

log_is_clean($node);
$node->stop;
done_testing();

sub set_config {
    my ($name, $value) = @_;
    $node->append_conf('postgresql.conf', "faultline.$name = '$value'\n");
    $node->reload;
    # A call loads the library, and with it the setting.
    $node->poll_query_until('postgres', qq{SELECT faultline.clock_now() IS NOT NULL
        AND current_setting('faultline.$name') = '$value'}) or die 'not reloaded';
    return;
}
