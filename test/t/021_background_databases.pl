# The background worker stands in nobody's way: databases and the extension are dropped, renamed,
# moved and copied while it works in them.  It finds new databases, as many as there are, and says
# so when the server has no room for it.
use strict;
use warnings;
use FaultlineBackground;
use FaultlineNode;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes ();

my $databases = 50;

my $node = preloaded_node('databases', extension => 0,
    conf => "restart_after_crash = on\nlog_min_messages = info\n");

sub busy_database {
    my ($name) = @_;
    $node->safe_psql('postgres', "CREATE DATABASE $name");
    create_extension($node, $name);
    make_busy($node, $name);
    return await_worker($node, $name);
}

# A database that gets the extension later is found without a restart.
$node->safe_psql('postgres', 'CREATE DATABASE app');
create_extension($node, 'app');
expires_soon($node, 'app', 'a new database is served');
create_extension($node, 'postgres');
expires_soon($node, 'postgres', 'so is one that gets the extension later');

# What wants the database for itself.
busy_database('victim');
within($node, 'postgres', 'ALTER DATABASE victim RENAME TO renamed', 'rename');
await_worker($node, 'renamed');
mkdir($node->basedir . '/space') or die $!;
$node->safe_psql('postgres', "CREATE TABLESPACE space LOCATION '" . $node->basedir . "/space'");
within($node, 'postgres', 'ALTER DATABASE renamed SET TABLESPACE space', 'another tablespace');
await_worker($node, 'renamed');
within($node, 'postgres', 'CREATE DATABASE copy TEMPLATE renamed', 'copy');
await_worker($node, 'renamed');
within($node, 'postgres', 'DROP DATABASE renamed', 'drop');
busy_database('victim');
within($node, 'postgres', 'DROP DATABASE victim WITH (FORCE)', 'drop with force');

# The copy of a database is left alone until it is adopted.
ok($node->wait_for_log(qr/faultline leaves database "copy" alone/), 'the log tells of the copy');
is($node->safe_psql('copy', q{SELECT count(*) > 0 FROM faultline.jobs WHERE state = 'running'
    AND lease_expires_at < now() - interval '1 s'}), 't', 'in the copy nobody settles leases');
within($node, 'postgres', 'DROP DATABASE copy', 'drop of the copy');

# Again and again, so that every moment of the worker's life is hit.
for my $round (1 .. 5) {
    $node->safe_psql('postgres', "CREATE DATABASE round$round");
    create_extension($node, "round$round");
    make_busy($node, "round$round", 30);
    within($node, 'postgres', "DROP DATABASE round$round", "round $round: drop");
}

# DROP EXTENSION, and the same session makes it again.
busy_database('again');
within($node, 'again', 'DROP EXTENSION faultline', 'drop extension');
$node->safe_psql('again', 'CREATE EXTENSION faultline');
expires_soon($node, 'again', 'created again: it is served');
make_busy($node, 'again');
await_worker($node, 'again');
within($node, 'again', 'DROP EXTENSION faultline; CREATE EXTENSION faultline',
    'dropped and created in one go');
expires_soon($node, 'again', 'and again');
# A drop that rolls back leaves the worker at work.
make_busy($node, 'again');
await_worker($node, 'again');
within($node, 'again', 'BEGIN; DROP EXTENSION faultline; ROLLBACK', 'a drop that rolls back');
expires_soon($node, 'again', 'it is served still');

# An extension that is older than the library.
$node->safe_psql('again', q{ALTER EXTENSION faultline DROP FUNCTION faultline.duties();
    ALTER FUNCTION faultline.duties() RENAME TO duties_of_tomorrow});
make_late_lease('again');
ok($node->wait_for_log(qr/faultline leaves database "again" alone.*\n.*ALTER EXTENSION/),
    'older SQL: the log says what to do');
$node->safe_psql('again', q{ALTER FUNCTION faultline.duties_of_tomorrow() RENAME TO duties;
    ALTER EXTENSION faultline ADD FUNCTION faultline.duties()});
$node->restart;
expires_soon($node, 'again', 'updated: it is served');

# Only the databases that are named.
$node->safe_psql('postgres', q{ALTER SYSTEM SET faultline.databases = 'again, "No Such"'});
$node->reload;
expires_soon($node, 'again', 'a database that is named is served');
ok($node->poll_query_until('app', q{SELECT state = 'info' AND detail ~ 'faultline.databases'
    FROM faultline.status() WHERE item = 'worker'}), 'status() of another one says why not');
make_late_lease('app');
expires_soon($node, 'again', 'the one that is named is served again');
is($node->safe_psql('app', q{SELECT count(*) FROM faultline.jobs WHERE state = 'running'
    AND lease_expires_at < clock_timestamp()}), '1', 'the other one is not');
$node->safe_psql('postgres', 'ALTER SYSTEM RESET faultline.databases');
$node->reload;
ok($node->poll_query_until('app', q{SELECT count(*) = 0 FROM faultline.jobs WHERE state = 'running'
    AND lease_expires_at < clock_timestamp()}), 'until all are');

# No room for workers: said, shown, and tried again.
$node->append_conf('postgresql.conf', 'max_worker_processes = 2'); # both launchers
$node->restart;
make_late_lease('app');
await_health($node, 'app', 'worker: all of max_worker_processes are in use', 'no room: health()');
my $log = slurp_file($node->logfile);
is(() = $log =~ /no room for the faultline worker/g, 1, 'no room: one line in the log');
like($log, qr/HINT:  Raise max_worker_processes/, 'no room: with what to do');
$node->append_conf('postgresql.conf', 'max_worker_processes = 8');
$node->restart;
await_health($node, 'app', '^well$', 'room again: health()');

# Many databases, more than there are workers at a time.
$node->safe_psql('app', q{SELECT faultline.create_queue('many', lease => '1 s');
    SELECT faultline.drop_queue('late', force => true)});
$node->safe_psql('postgres', "CREATE DATABASE many$_ TEMPLATE app") for 1 .. $databases;
my @late;
my $begin = Time::HiRes::time;
for my $i (1 .. $databases) {
    $node->safe_psql("many$i", q{SELECT faultline.adopt(); SELECT faultline.enqueue('many')});
    $node->safe_psql("many$i", q{SELECT faultline.claim('many', 'dead')});
}
for my $i (1 .. $databases) {
    $node->poll_query_until("many$i", q{SELECT count(*) = 0 FROM faultline.jobs
        WHERE state = 'running'}) or push @late, $i;
}
is("@late", '', "each of $databases databases is served");
is($node->safe_psql('many7', q{SELECT max(ended_at - started_at) < '5 s' FROM faultline.attempts
    WHERE queue = 'many'}), 't', 'and soon');
note(sprintf '%d databases in %.1f s', $databases, Time::HiRes::time - $begin);

log_is_clean($node);
$node->stop;
done_testing();

# A lease that ends at once and that nobody but the worker settles.
sub make_late_lease {
    my ($database) = @_;
    $node->psql($database, q{SELECT faultline.create_queue('late', lease => '100 ms')});
    $node->safe_psql($database, q{SELECT faultline.enqueue('late')});
    $node->safe_psql($database, q{SELECT faultline.claim('late', 'dead')});
    return;
}
