# What the tests of the background worker share: a database that keeps its worker busy, its
# processes, and how long statements wait.
package FaultlineBackground;

use strict;
use warnings;
use Exporter 'import';
use FaultlineNode;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

our @EXPORT = qw(preloaded_node make_busy await_worker await_launcher expires_soon within
  await_health);

my $wait_seconds_max = 2;

sub preloaded_node {
    my ($name, %option) = @_;
    my $conf = "shared_preload_libraries = 'faultline'\n" . ($option{conf} // '');
    return new_node($name, %option, conf => $conf);
}

# Jobs of dead workers whose leases end one after the other, so that the worker stays: nobody may be
# connected to a database that is dropped, so no client can keep it busy.
sub make_busy {
    my ($node, $database, $leases) = @_;
    $leases //= 300;
    $node->safe_psql($database, <<"SQL");
SELECT faultline.create_queue('busy', max_attempts => 1);
SELECT count(faultline.enqueue('busy')) FROM generate_series(1, $leases);
SELECT count(*) FROM generate_series(1, $leases) i,
  LATERAL faultline.claim('busy', 'dead', 1, interval '100 ms' * (1 + i));
SQL
    return;
}

# Waits until the worker is in the database; returns its pid.
sub await_worker {
    my ($node, $database) = @_;
    my $who = "backend_type = 'faultline worker' AND datname = '$database'";
    $node->poll_query_until('postgres',
        "SELECT count(*) = 1 FROM pg_stat_activity WHERE $who")
      or die "no worker in $database";
    return $node->safe_psql('postgres', "SELECT pid FROM pg_stat_activity WHERE $who");
}

sub await_launcher {
    my ($node) = @_;
    my $who = "backend_type = 'faultline launcher'";
    $node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity WHERE $who")
      or die 'no launcher';
    return $node->safe_psql('postgres', "SELECT pid FROM pg_stat_activity WHERE $who");
}

# A job of a dead worker runs again: the sign that the background worker serves the database.
my $probes = 0;
sub expires_soon {
    my ($node, $database, $name, %option) = @_;
    my $queue = 'probe' . ++$probes;
    $node->safe_psql($database, "SELECT faultline.create_queue('$queue', lease => '500 ms');
        SELECT faultline.enqueue('$queue')");
    $node->safe_psql($database, "SELECT faultline.claim('$queue', 'dead')");
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    return ok($node->poll_query_until($database,
        "SELECT state = 'queued' FROM faultline.jobs WHERE queue = '$queue'"), $name);
}

# Runs a statement that must not wait.
sub within {
    my ($node, $database, $sql, $name) = @_;
    my $begin = time;
    my ($status, undef, $errors) = $node->psql($database, $sql);
    my $seconds = time - $begin;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    is($status, 0, "$name: done") or diag($errors);
    cmp_ok($seconds, '<', $wait_seconds_max, sprintf '%s: it waited %.2f s', $name, $seconds);
    return;
}

# What is wrong with the jobs themselves is not the worker's.
sub await_health {
    my ($node, $database, $pattern, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $found = "SELECT coalesce(string_agg(item || ': ' || detail, ';'), 'well') ~ '$pattern'
        FROM faultline.health()
        WHERE item NOT IN ('partitions', 'findings') AND item !~ '^(dead letters|queue) '";
    return ok($node->poll_query_until($database, $found), $name)
      || diag($node->safe_psql($database, 'SELECT * FROM faultline.health()'));
}

1;
