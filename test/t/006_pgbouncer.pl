# Through pgbouncer in transaction mode, with fewer connections than clients: each transaction may
# run in another session of the server, and every verb works.
use strict;
use warnings;
use FaultlineNode;
use IPC::Run;
use PostgreSQL::Test::Utils;
use Test::More;

my ($pgbouncer) = grep { -x } map { "$_/pgbouncer" } split(/:/, $ENV{PATH}), '/usr/sbin';
plan skip_all => 'pgbouncer is not installed' unless $pgbouncer;

my $pool_size = 2;
my $clients = 8;
my $transactions_per_client = 60;

my $node = new_node('pooled');
my $user = $node->safe_psql('postgres', 'SELECT current_user');
my $folder = PostgreSQL::Test::Utils::tempdir_short();
my $port = PostgreSQL::Test::Cluster::get_free_port();
my $configuration = sql_file('pgbouncer.ini', <<"INI");
[databases]
postgres = host=@{[ $node->host ]} port=@{[ $node->port ]} user=$user
[pgbouncer]
listen_addr =
listen_port = $port
unix_socket_dir = $folder
auth_type = any
pool_mode = transaction
default_pool_size = $pool_size
server_reset_query =
INI
my ($bouncer_output, $give_up) = ('', IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));
my $bouncer = IPC::Run::start([ $pgbouncer, $configuration ], '<', \undef,
    '>&', \$bouncer_output, $give_up);
$bouncer->pump until $bouncer_output =~ /process up/ || !$bouncer->pumpable;
like($bouncer_output, qr/process up/, 'pgbouncer runs');
my $pooled = "host=$folder port=$port dbname=postgres user=$user";

sub through_pool {
    my ($sql) = @_;
    return $node->safe_psql('postgres', $sql, connstr => $pooled);
}

# Every verb, each in a transaction of its own.
my $answers = through_pool(<<'SQL');
SELECT count(*) FROM faultline.create_queue('q', max_attempts => 2, backoff_base => '0');
SELECT count(*) FROM faultline.alter_queue('q', lease => '1 min');
SELECT faultline.enqueue('q', '"first"') AS first \gset
SELECT count(*) FROM faultline.enqueue_many('q', '{2,3,4,5}');
SELECT count(*) FROM faultline.pause_queue('q');
SELECT count(*) FROM faultline.claim('q', 'w');
SELECT count(*) FROM faultline.resume_queue('q');
CALL faultline.wait_for_jobs('{q}', '1 h');
SELECT job_id, lease_token AS token FROM faultline.claim('q', 'w') \gset
SELECT faultline.extend(:job_id, :token, progress => '1') > faultline.clock_now();
SELECT faultline.complete(:job_id, :token), :job_id = :first;
SELECT faultline.complete(:job_id, :token);
SELECT job_id, lease_token AS token FROM faultline.claim_any('{q}', 'w') \gset
SELECT faultline.fail(:job_id, :token, 'no', discard => true);
SELECT verdict FROM faultline.redrive(queue => 'q');
SELECT job_id, lease_token AS token FROM faultline.claim('q', 'w') \gset
SELECT count(*) FROM faultline.release(:job_id, :token);
SELECT array_agg(job_id) AS ids, array_agg(lease_token) AS tokens
    FROM faultline.claim('q', 'w', 4) \gset
SELECT count(*) FROM faultline.extend_many(:'ids', :'tokens') WHERE verdict = 'extended';
SELECT count(*) FROM faultline.cancel(:'ids') WHERE verdict = 'cancel_requested';
SELECT count(*) FROM faultline.fail_many(:'ids', :'tokens', '{a,b,c,d}')
    WHERE verdict = 'cancelled';
SELECT count(*) FROM faultline.complete_many(:'ids', :'tokens') WHERE verdict = 'stale_lease';
SELECT faultline.expire_leases(), faultline.purge_dead_letters('q', '0');
SELECT count(*) FROM faultline.maintain() WHERE error IS NOT NULL;
SELECT state, count(*) FROM faultline.jobs GROUP BY state ORDER BY state;
SELECT faultline.drop_queue('q');
SQL
is($answers, join("\n", qw(1 1 4 1 0 1 t succeeded|t already_succeeded failed queued 1 4 4 4 4 0|0 0
        cancelled|4 succeeded|1 0)), 'every verb works through the pool');

# More clients than connections, with the simple protocol and with parameters.
$node->safe_psql('postgres', q{SELECT faultline.create_queue('load')});
my $cycle = sql_file('cycle.sql', <<'SQL');
SELECT faultline.enqueue('load', to_jsonb(CAST(:client_id AS int))) AS enqueued \gset
SELECT coalesce(max(job_id), 0) AS job, coalesce(max(lease_token), 0) AS token
  FROM faultline.claim('load', 'client') \gset
\if :job > 0
SELECT faultline.extend(:job, :token);
BEGIN;
SELECT faultline.complete(:job, :token);
COMMIT;
\endif
SQL
for my $protocol ('simple', 'extended') {
    command_ok([ 'pgbench', '--no-vacuum', '-M', $protocol, '-c', $clients, '-j', 2,
            '-t', $transactions_per_client, '-f', $cycle, $pooled ],
        "$clients clients on $pool_size connections, $protocol protocol");
}
# A claim passes over jobs that others are just taking, so a few may be left.
through_pool(q{SELECT coalesce(array_agg(job_id), '{}') AS ids,
               coalesce(array_agg(lease_token), '{}') AS tokens
          FROM faultline.claim('load', 'w', 100) \gset
    SELECT faultline.complete_many(:'ids', :'tokens')});
is($node->safe_psql('postgres', q{SELECT count(*), count(*) FILTER (WHERE state = 'succeeded'),
        max(attempt) FROM faultline.jobs WHERE queue = 'load'}),
    join('|', (2 * $clients * $transactions_per_client) x 2, 1),
    'every job was enqueued, claimed once, and has succeeded');
is($node->safe_psql('postgres', q{SELECT count(*) <= 2 FROM pg_stat_activity
        WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()}),
    't', 'over no more connections than the pool has');

# A setting of one transaction is not left behind for the next client.
is(through_pool(q{BEGIN; SET LOCAL faultline.allow_same_transaction = on;
        SELECT faultline.enqueue('load') AS job \gset
        SELECT job_id, lease_token AS token FROM faultline.claim('load', 'w') \gset
        SELECT faultline.complete(:job_id, :token);
        COMMIT;
        SHOW faultline.allow_same_transaction}), "succeeded\noff", 'SET LOCAL works as it should');
invariants_hold($node, 'postgres');

$bouncer->signal('INT');
$bouncer->finish;
log_is_clean($node);
$node->stop;
done_testing();
