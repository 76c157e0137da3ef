# kill -9 of a backend in the middle of each verb: the server restarts by itself, and the same
# holds as after a power loss.
use strict;
use warnings;
use FaultlineLoad;
use FaultlineNode;
use PostgreSQL::Test::Utils;
use Test::More;

my $completions_before_kill = 100;
my $seconds_to_catch_max = 20;
my @victims = ('enqueue', 'claim', 'complete_many', 'fail_many');

my $node = new_node('kill',
    conf => "restart_after_crash = on\nfaultline.allow_virtual_clock = on\n");
prepare_load($node);
# The pid of a session that is in such a call at this moment; null if none was seen in time.
$node->safe_psql('postgres', <<"SQL");
CREATE FUNCTION session_in(call text) RETURNS integer LANGUAGE plpgsql AS \$\$
DECLARE
  deadline timestamptz := clock_timestamp() + interval '$seconds_to_catch_max s';
  seen integer;
BEGIN
  WHILE seen IS NULL AND clock_timestamp() < deadline LOOP
    PERFORM pg_stat_clear_snapshot();
    SELECT pid INTO seen FROM pg_stat_activity
     WHERE backend_type = 'client backend' AND state = 'active' AND pid <> pg_backend_pid()
       AND query LIKE '%' || call || '%' LIMIT 1;
  END LOOP;
  RETURN seen;
END \$\$
SQL

for my $victim (@victims) {
    my $before = $node->safe_psql('postgres', 'SELECT count(*) FROM effects');
    my @clients = start_load($node, producer => 2, worker => 3);
    ok($node->poll_query_until('postgres',
            "SELECT count(*) >= $before + $completions_before_kill FROM effects"),
        "$victim: the load runs");
    my $log_end = -s $node->logfile;

    my $pid = $node->safe_psql('postgres', "SELECT session_in('faultline.$victim(')");
    like($pid, qr/^\d+$/, "$victim: a session is in a call");
    is($pid ? kill('KILL', $pid) : 0, 1, "$victim: it is killed");
    ok($node->wait_for_log(qr/server process \(PID $pid\) was terminated by signal 9/, $log_end),
        "$victim: the server notices");
    await_load_end(@clients);
    ok($node->poll_query_until('postgres', 'SELECT true'), "$victim: the server is back");
    check_load($node, $victim);
}

drain($node);
is($node->safe_psql('postgres', q{SELECT count(*) FROM faultline.jobs WHERE state <> 'succeeded'}),
    '0', 'after the kills every job runs to its end');
check_load($node, 'drained');

log_is_clean($node, killed => scalar @victims);
$node->stop;
done_testing();
