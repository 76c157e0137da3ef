# Dump and restore, in each form that people use: every job, key, sequence, partition, policy and
# grant comes back, nothing twice, and work goes on there once the copy is adopted.
use strict;
use warnings;
use FaultlineNode;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('dump', conf => "faultline.allow_virtual_clock = on\n");
my $host = $node->host;
my $port = $node->port;
my $folder = PostgreSQL::Test::Utils::tempdir();

# Everything there can be: queues with policies, one paused, one dropped with its history; jobs in
# each state, with keys, progress and results; attempts of several days; the event log; access.
$node->safe_psql('postgres', <<'SQL');
CREATE ROLE app_worker;
CREATE ROLE app_monitor;
CREATE ROLE "Odd Role";
SET faultline.trace_events = on;
SELECT faultline.set_clock('2031-05-01 12:00+00');
SELECT faultline.create_queue('mail', max_attempts => 2, lease => '10 s', backoff_base => '0',
                              description => 'with ''quotes'' and \backslash');
SELECT faultline.create_queue('paused');
SELECT faultline.pause_queue('paused');
SELECT faultline.create_queue('dropped');
SELECT faultline.grant_access('app_worker', 'worker', '{mail}');
SELECT faultline.grant_access('app_worker', 'producer');
SELECT faultline.grant_access('app_monitor', 'monitor');
SELECT faultline.grant_access('"Odd Role"', 'operator', '{paused}');

SELECT faultline.enqueue('dropped') AS job \gset
SELECT job_id, lease_token FROM faultline.claim('dropped', 'w') \gset
SELECT faultline.complete(:job_id, :lease_token, '{"r": 1}');
SELECT faultline.drop_queue('dropped');
SELECT faultline.enqueue('paused');

SELECT faultline.enqueue_many('mail', array_agg(jsonb_build_object('n', i, 'text', E'\t\\ "ü"')),
         idempotency_keys => array_agg('key ' || i), headers => '{"h": 1}')
  FROM generate_series(1, 60) i;
CREATE TEMP TABLE held AS SELECT * FROM faultline.claim('mail', 'w', 50);
SELECT count(*) FROM held, faultline.complete(job_id, lease_token, '[1]') WHERE job_id % 5 = 0;
SELECT count(*) FROM held, faultline.fail(job_id, lease_token, 'no') WHERE job_id % 5 = 1;
SELECT count(*) FROM held, faultline.fail(job_id, lease_token, 'dead', discard => true)
 WHERE job_id % 5 = 2;
SELECT count(*) FROM held, faultline.extend(job_id, lease_token, progress => '{"at": 5}')
 WHERE job_id % 5 >= 3;
SELECT faultline.cancel(ARRAY[max(job_id)]) FROM faultline.jobs WHERE state = 'queued';
SELECT faultline.redrive(queue => 'mail', max_jobs => 2);
-- The next day, in partitions of its own.
SELECT faultline.advance_clock('1 day');
SELECT faultline.expire_leases();
SELECT count(*) FROM faultline.maintain();
SELECT job_id, lease_token FROM faultline.claim('mail', 'w', 1, lease => '24 h') \gset
-- The application's own tables, and its trigger.
CREATE TABLE invoice (id int);
CREATE TRIGGER enqueue AFTER INSERT ON invoice
  FOR EACH ROW EXECUTE FUNCTION faultline.enqueue_trigger('mail');
INSERT INTO invoice VALUES (7);
SELECT faultline.set_clock(NULL);
SQL

my @tables = qw(queues live_jobs finished_jobs ended_attempts failed_jobs idempotency_keys
  job_events queue_access instance);

# What a database holds, as text: rows of every table, sequences, partitions with their bounds and
# indexes, privileges, settings of tables, triggers, comments.
sub contents {
    my ($database) = @_;
    my %content;
    for my $table (@tables) {
        $content{$table} = $node->safe_psql($database,
            "SELECT t::text FROM faultline.$table AS t ORDER BY 1");
    }
    $content{sequences} = $node->safe_psql($database, <<'SQL');
SELECT 'job_id', last_value, is_called FROM faultline.job_id_seq
UNION ALL SELECT 'queue_id', last_value, is_called FROM faultline.queue_id_seq
UNION ALL SELECT 'event_id', last_value, is_called FROM faultline.event_id_seq
SQL
    $content{partitions} = $node->safe_psql($database, <<'SQL');
SELECT inhparent::regclass::text, c.oid::regclass::text, pg_get_expr(relpartbound, c.oid),
       (SELECT string_agg(pg_get_indexdef(indexrelid), ' ' ORDER BY indexrelid::regclass::text)
          FROM pg_index WHERE indrelid = c.oid)
  FROM pg_inherits JOIN pg_class c ON c.oid = inhrelid WHERE relkind = 'r' ORDER BY 1, 2
SQL
    $content{privileges} = $node->safe_psql($database, <<'SQL');
SELECT a FROM (
  SELECT 'schema', nspacl::text[] FROM pg_namespace WHERE nspname = 'faultline' UNION ALL
  SELECT proname::text, proacl::text[] FROM pg_proc WHERE pronamespace = 'faultline'::regnamespace
  UNION ALL SELECT relname, relacl::text[] FROM pg_class
   WHERE relnamespace = 'faultline'::regnamespace AND relkind <> 'i' UNION ALL
  SELECT relname || '.' || attname, attacl::text[]
      FROM pg_attribute JOIN pg_class c ON c.oid = attrelid
   WHERE relnamespace = 'faultline'::regnamespace AND attacl IS NOT NULL
) AS v (name, acl), format('%s %s', name, (SELECT array_agg(x ORDER BY x) FROM unnest(acl) x)) AS a
ORDER BY 1
SQL
    $content{members} = $node->safe_psql($database, <<'SQL');
SELECT pg_describe_object(classid, objid, 0)
    FROM pg_depend d JOIN pg_extension e ON e.oid = refobjid
 WHERE extname = 'faultline' AND deptype = 'e' ORDER BY 1
SQL
    return \%content;
}

sub same_contents {
    my ($database, $expected, $form, @without) = @_;
    my $found = contents($database);
    delete @{$found}{@without};
    my %wanted = %$expected;
    delete @wanted{@without};
    is($found->{$_}, $wanted{$_}, "$form: $_") for sort keys %wanted;
    return;
}

# A copy refuses to run production's jobs until it is told to; then everything works.
sub copy_works {
    my ($database, $form, $expected) = @_;
    my $claim = q{SELECT faultline.claim('mail', 'w')};
    is(sqlstate($node, $claim, database => $database), 'JQ011', "$form: the copy is not adopted");
    $node->safe_psql($database, 'SELECT faultline.adopt()');
    my ($highest) = $expected->{sequences} =~ /^job_id\|(\d+)/m;
    is($node->safe_psql($database, <<"SQL"), "t\nt\nsucceeded", "$form: a new id, claim, complete");
SELECT faultline.enqueue('mail', priority => -5) AS new \\gset
SELECT :new > $highest;
SELECT job_id, lease_token FROM faultline.claim('mail', 'w') \\gset
SELECT :job_id = :new;
SELECT faultline.complete(:job_id, :lease_token);
SQL
    my $first = $node->safe_psql($database, q{SELECT job_id FROM faultline.jobs
        WHERE idempotency_key = 'key 10'});
    is($node->safe_psql($database, q{SELECT faultline.enqueue('mail',
            jsonb_build_object('n', 10, 'text', E'\t\\\\ "ü"'), idempotency_key => 'key 10')}),
        $first, "$form: a key of before still answers with its job");
    is(sqlstate($node, q{SET ROLE app_worker; SELECT faultline.claim('mail', 'w')},
            database => $database), '00000', "$form: a role's access came along");
    is(sqlstate($node, q{SET ROLE app_worker; SELECT faultline.claim('paused', 'w')},
            database => $database), '42501', "$form: and so did its limits");
    is(sqlstate($node, q{SET ROLE app_monitor; SELECT payload FROM faultline.jobs},
            database => $database), '42501', "$form: payloads are hidden from monitors");
    is($node->safe_psql($database, q{SELECT count(*) FROM faultline.claim('paused', 'w')}),
        '0', "$form: the paused queue is paused");
    is($node->safe_psql($database, 'SELECT * FROM faultline.maintain() WHERE error IS NOT NULL'),
        '', "$form: maintenance works");
    is($node->safe_psql($database, q{SELECT faultline.create_queue('later');
            SELECT count(*) FROM faultline.queues WHERE name = 'later'}) =~ s/^\n//r,
        '1', "$form: a queue can be created");
    invariants_hold($node, $database, "$form: no invariant is violated");
    return;
}

my $before = contents('postgres');
for my $what (sort keys %$before) {
    isnt($before->{$what}, '', "there is something to dump: $what");
}
like($before->{partitions}, qr/finished_jobs_20310502/, 'there are partitions of several days');

my @connect = ('-h', $host, '-p', $port);
my @psql = ('psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', @connect);
my %form = (
    'plain pg_dump' => {
        dump    => [ 'pg_dump', @connect, '-f', "$folder/plain.sql", 'postgres' ],
        restore => [ @psql, '-f', "$folder/plain.sql" ],
    },
    'pg_dump -Fc' => {
        dump    => [ 'pg_dump', @connect, '-Fc', '-f', "$folder/custom.dump", 'postgres' ],
        restore => [ 'pg_restore', @connect, '--exit-on-error', "$folder/custom.dump" ],
    },
    'pg_dump -n faultline -e faultline' => {
        dump => [ 'pg_dump', @connect, '-n', 'faultline', '-e', 'faultline', '-f',
            "$folder/schema.sql", 'postgres' ],
        restore => [ @psql, '-f', "$folder/schema.sql" ],
    },
);

my %copy_of;
for my $form (sort keys %form) {
    my $copy = $copy_of{$form} = 'copy' . (1 + keys %copy_of);
    command_ok($form{$form}{dump}, "$form: dump");
    $node->safe_psql('postgres', "CREATE DATABASE $copy TEMPLATE template0");
    command_ok([ @{ $form{$form}{restore} }, '-d', $copy ], "$form: restore without an error");
    same_contents($copy, $before, $form);
    copy_works($copy, $form, $before);
}

# The trigger of the application came along with its table.
my $copy = $copy_of{'plain pg_dump'};
$node->safe_psql($copy, 'INSERT INTO invoice VALUES (8)');
is($node->safe_psql($copy, q{SELECT payload FROM faultline.jobs ORDER BY job_id DESC LIMIT 1}),
    '{"id": 8}', 'plain pg_dump: the trigger enqueues');

# The rows alone, into a database that has the extension and its partitions already.
$node->safe_psql('postgres', 'CREATE DATABASE rows_only TEMPLATE template0');
create_extension($node, 'rows_only');
$node->safe_psql('rows_only', 'SELECT count(*) FROM faultline.maintain()');
command_ok([ 'pg_dump', @connect, '--data-only', '--load-via-partition-root', '-n', 'faultline',
        '-e', 'faultline', '-f', "$folder/rows.sql", 'postgres' ], 'data-only: dump');
command_ok([ @psql, '-f', "$folder/rows.sql", '-d', 'rows_only' ], 'data-only: restore');
same_contents('rows_only', $before, 'data-only', 'partitions', 'privileges');
$node->safe_psql('rows_only',
    q{SELECT faultline.grant_access(quote_ident(role_name)::regrole, level,
        CASE WHEN queue IS NOT NULL THEN ARRAY[queue] END) FROM faultline.queue_access});
copy_works('rows_only', 'data-only', $before);

# The original was only read.
same_contents('postgres', $before, 'the original');
is(sqlstate($node, q{SELECT faultline.claim('mail', 'w')}), '00000', 'the original still claims');

log_is_clean($node);
$node->stop;
done_testing();
