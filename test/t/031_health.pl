# health() names what grows worse, why it matters and the command that ends it; the command is run
# and health() is well again.  The views of workers and activity, and metrics() as Prometheus reads
# it: the same samples for a queue from its first moment on.
use strict;
use warnings;
use FaultlineNode;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('health', conf => <<'CONF');
shared_preload_libraries = 'faultline'
faultline.background_worker = off
faultline.max_queues = 2
faultline.ready_age_limit = 1ms
faultline.horizon_age_limit = 0
max_prepared_transactions = 4
wal_level = logical
CONF

sub sql {
    my ($statements) = @_;
    return $node->safe_psql('postgres', $statements);
}

sub items { return sql(q{SELECT string_agg(item, ', ' ORDER BY item) FROM faultline.health()}) }

# What health() says of an item.
sub says {
    my ($item, $detail, $hint, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my ($found, $cure) = split /\n/,
      sql("SELECT detail, E'\\n' || hint FROM faultline.health() WHERE item = '$item'") =~ s/\|//r;
    like($found // 'nothing', $detail, "$name: what is wrong");
    like($cure // 'nothing', $hint, "$name: what to do");
    return $cure;
}

sql(q{SELECT faultline.create_queue('mail', max_attempts => 1); SELECT * FROM faultline.maintain()});
is(items(), '', 'a new server is well');

# The samples that a queue has, whatever happened to it.
sub samples {
    my @lines = grep { !/^#/ && /queue="mail"/ } split /\n/, sql('SELECT faultline.metrics()');
    return join "\n", map { s/ \S+$//r } @lines;
}
my $samples = samples();
like($samples, qr/^faultline_jobs_enqueued_total\{queue="mail"\}$/m, 'a new queue has its counters');
like($samples, qr/^faultline_job_run_seconds_bucket\{queue="mail",outcome="lease_expired",le="\+Inf"\}$/m,
    'and its histograms');

# Ready jobs, and nobody asks for them; then a worker does, and is too slow.
sql(q{SELECT faultline.enqueue_many('mail', '{1,2,3}')});
says('queue mail', qr/^3 jobs are ready, the oldest for .*, and no worker asks for them \(last: not since/,
    qr/pause_queue\('mail'\)/, 'no worker');
my ($job, $token) = split /\|/,
  sql(q{SELECT job_id, lease_token FROM faultline.claim('mail', 'robin', 1, '1 h')});
says('queue mail', qr/^2 jobs are ready, the oldest for .*: workers do not keep up/,
    qr/stat_workers WHERE queue = 'mail'/, 'a slow worker');
is(sql('SELECT job_id, queue, worker, attempt, running_for > interval \'0\', lease_left > interval \'59 min\'
    FROM faultline.stat_activity'), "$job|mail|robin|1|t|t", 'stat_activity has the running job');
is(sql('SELECT worker, queue, running, finished, failed, expired, claimed FROM faultline.stat_workers'),
    'robin|mail|1|0|0|0|1', 'stat_workers its worker');
is(sql(q{SELECT string_agg(segment || ': ' || slots_used || ' ' || holds, ', ') FROM faultline.stat_memory
    WHERE slots_used > 0 AND holds <> 'databases'}), 'leases: 1 running jobs, ready windows: 1 queues, ready windows: 2 ready jobs, '
      . 'statistics: 1 queues, workers by name: 1 workers', 'stat_memory what they take');
is(sql(q{SELECT m.slots FROM (VALUES ('running jobs'), ('ready jobs'), ('workers')) h (holds)
    JOIN faultline.stat_memory m USING (holds) ORDER BY 1}), "256\n8192\n65536",
    'and what they could');
is(sql(q{SELECT count(DISTINCT segment) = count(bytes), count(slots) + 1 = count(*) FROM faultline.stat_memory}),
    't|t', 'each segment has its size once, and all but the locks have slots');
sql(q{SELECT faultline.pause_queue('mail')});
is(items(), '', 'a paused queue is nobody\'s trouble');
sql(q{SELECT faultline.resume_queue('mail')});

# Dead letters.
sql("SELECT faultline.fail($job, $token, 'broken')");
says('dead letters mail', qr/^1 jobs failed for good in the last 5 minutes, 1 dead letters are kept/,
    qr/redrive\(queue => 'mail'\)/, 'dead letters');
is(samples(), $samples, 'the same samples after all that');
sql(q{SELECT faultline.cancel(array_agg(job_id)) FROM faultline.jobs WHERE state = 'queued';
    SELECT faultline.stat_reset()});
is(items(), '', 'well again');
my $waiting = $node->background_psql('postgres', on_error_stop => 0);
my $waiter = $waiting->query_safe('SELECT pg_backend_pid()');
background_call($waiting, q{CALL faultline.wait_for_jobs('{mail}')});
ok($node->poll_query_until('postgres',
    q{SELECT slots_used = 1 FROM faultline.stat_memory WHERE segment = 'waiters'}), 'a session that waits');
sql("SELECT pg_cancel_backend($waiter)");
end_call($waiting);
is(sql(q{SELECT slots_used FROM faultline.stat_memory WHERE segment = 'waiters'}), '0', 'and waits no more');
$waiting->quit;

# Everything that an operator looks at fits into 100 columns of psql, with \x auto.
sub lines_of {
    my ($view) = @_;
    my ($output) = run_command([ 'psql', '-X', '-d', $node->connstr('postgres'), '-P', 'columns=100',
        '-P', 'expanded=auto', '-P', 'pager=off', '-c', "SELECT * FROM faultline.$view" ]);
    return split /\n/, $output;
}
sql(q{SELECT faultline.enqueue_many('mail', '{1,2}'); SELECT count(*) FROM faultline.claim('mail', 'robin', 1, '1 h')});
for my $view (split /\n/, sql(q{SELECT relname FROM pg_class WHERE relkind = 'v' AND relname LIKE 'stat\_%'
    AND relnamespace = 'faultline'::regnamespace})) {
    my @lines = lines_of($view);
    cmp_ok(scalar @lines, '>=', 3, "$view has rows");
    is(join("\n", grep { length > 100 } @lines), '', "$view reads well at 100 columns");
}
sql(q{SELECT faultline.cancel(array_agg(job_id)) FROM faultline.jobs WHERE state = 'queued';
    SELECT faultline.complete(job_id, lease_token) FROM faultline.live_jobs; SELECT faultline.stat_reset()});

# Who keeps the horizon back: a session, a prepared transaction, a replication slot.
my $session = $node->background_psql('postgres');
my $pid = $session->query_safe('SELECT pg_backend_pid()');
$session->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1');
my $cure = says('horizon', qr/^session $pid of .*, idle in transaction\) keeps dead rows from being removed since/,
    qr/^SELECT pg_terminate_backend\($pid\);$/, 'an idle transaction');
like(sql('SELECT faultline.metrics()'), qr/^faultline_oldest_xmin_age_seconds (?!0$)[\d.]+$/m,
    'and metrics() have its age');
sql($cure);
$node->poll_query_until('postgres', "SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = $pid")
  or die 'the session stays';
is(items(), '', 'an idle transaction: the command ends it');
eval { $session->quit };

sql(q{BEGIN; SELECT faultline.enqueue('mail', delay => '1 h'); PREPARE TRANSACTION 'forgotten'});
$cure = says('horizon', qr/^prepared transaction forgotten of .* since/, qr/^ROLLBACK PREPARED 'forgotten';/,
    'a prepared transaction');
sql($cure);
is(items(), '', 'a prepared transaction: the command ends it');

# A slot does not tell since when; health() warns once it is a million transactions behind.
sql(q{SELECT pg_create_logical_replication_slot('unused', 'pgoutput')});
is(sql(q{SELECT holder, since, cure FROM faultline.horizon_holders()}),
    q{replication slot unused, which nobody uses||SELECT pg_drop_replication_slot('unused'); -- if it is not needed},
    'a slot that nobody uses is a holder');
is(items(), '', 'for a moment that is no trouble');
sql(q{SELECT pg_drop_replication_slot('unused')});

# Autovacuum.
sql('ALTER TABLE faultline.live_jobs SET (autovacuum_enabled = off)');
$cure = says('autovacuum', qr/^switched off for live_jobs: dead rows stay/,
    qr/^ALTER TABLE faultline.live_jobs RESET \(autovacuum_enabled\);$/, 'autovacuum off for a table');
sql($cure);
is(items(), '', 'autovacuum: the command switches it on');
sql('ALTER SYSTEM SET autovacuum = off; SELECT pg_reload_conf()');
$node->poll_query_until('postgres', q{SELECT current_setting('autovacuum') = 'off'}) or die 'not reloaded';
$cure = says('autovacuum', qr/^switched off for the server/, qr/^ALTER SYSTEM RESET autovacuum;/,
    'autovacuum off');
sql("$_;") for split /;/, $cure;
$node->poll_query_until('postgres', q{SELECT count(*) = 0 FROM faultline.health()})
  or fail('autovacuum: the command switches it on');

# A sequence near its end.
sql(q{SELECT setval('faultline.queue_id_seq', 2000000000)});
says('sequences', qr/^queue_id_seq is at 2000000000 of 2147483647; after the last number/,
    qr/pg_sequences/, 'a sequence');
sql(q{SELECT setval('faultline.queue_id_seq', 100)});

# More queues than slots.
sql(qq{SELECT faultline.create_queue('q$_'); SELECT faultline.enqueue('q$_', delay => '1 h')}) for 1, 2;
says('statistics', qr/^more queues than the 2 that have room/, qr/^ALTER SYSTEM SET faultline.max_queues = 4;/,
    'no room for a queue');
is(sql(q{SELECT slots, slots_used, overflowed FROM faultline.stat_memory WHERE segment = 'statistics'}),
    '2|2|t', 'stat_memory says so, too');
is(sql('SELECT init, applied, open_findings FROM faultline.stat_ledger'), '0|0|0', 'stat_ledger is there');

# The text as Prometheus reads it: each family once, with its type, and its samples behind it.
my (%seen, $family);
for my $line (split /\n/, sql('SELECT faultline.metrics()')) {
    if ($line =~ /^# HELP (\w+) \S/) {
        $family = $1;
        fail("$family comes twice") if $seen{$family}++;
    }
    elsif ($line !~ /^# TYPE \Q$family\E (gauge|counter|histogram)$/
        && $line !~ /^\Q$family\E(_bucket|_sum|_count)?(\{\w+="([^"\\]|\\.)*"(,\w+="([^"\\]|\\.)*")*\})? [-+\d.e]+$/) {
        fail("a sample of $family: $line");
    }
}
is(join(' ', sort keys %seen), sql(q{SELECT string_agg(name, ' ' ORDER BY name COLLATE "C")
    FROM faultline.metric_families()}), 'every family is there');

log_is_clean($node);
$node->stop;
done_testing();
