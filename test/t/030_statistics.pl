# Statistics in shared memory: depths that agree with counting whatever happened, totals that count
# what committed and nothing else, clean restarts and crashes, and more queues than slots.
use strict;
use warnings;
use FaultlineNode;
use IPC::Run qw(start finish);
use PostgreSQL::Test::Utils;
use Test::More;

my $seed = $ENV{FAULTLINE_SEED} // 20_261_121;
srand $seed;
note "seed $seed";
my $node = new_node('statistics', conf => <<'CONF');
shared_preload_libraries = 'faultline'
faultline.background_worker = off
faultline.max_queues = 8
faultline.lab = on
restart_after_crash = on
max_prepared_transactions = 20
CONF

sub sql {
    my ($statements) = @_;
    return $node->safe_psql('postgres', $statements);
}

# What stat_queues says, and what counting says.
my $said = q{SELECT queue, queued + scheduled, scheduled, running, dead_letters FROM faultline.stat_queues
    ORDER BY queue};
my $counted = q{SELECT q.name,
    (SELECT count(*) FROM faultline.live_jobs j WHERE j.queue_id = q.queue_id AND state = 'q'),
    (SELECT count(*) FROM faultline.live_jobs j WHERE j.queue_id = q.queue_id AND state = 'q'
        AND next_run_at > faultline.clock_now()),
    (SELECT count(*) FROM faultline.live_jobs j WHERE j.queue_id = q.queue_id AND state = 'r'),
    (SELECT count(*) FROM faultline.failed_jobs f WHERE f.queue_id = q.queue_id)
    FROM faultline.queues q WHERE dropped_at IS NULL ORDER BY name};

sub agrees {
    my ($name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    is(sql('SELECT bool_and(exact) FROM faultline.stat_queues'), 't', "$name: depths are known");
    return is(sql($said), sql($counted), "$name: they agree with counting");
}

sub total {
    my ($queue, $event) = @_;
    return sql("SELECT total FROM faultline.stat_events WHERE queue = '$queue' AND event = '$event'");
}

# One random call; of jobs that the session holds, if any.
sub random_call {
    my ($session) = @_;
    my $queue = ('one', 'two')[ int rand 2 ];
    my $held = "(SELECT job_id, token FROM held WHERE session = $session ORDER BY random() LIMIT 2) h";
    my @calls = (
        "faultline.enqueue('$queue')",
        "faultline.enqueue('$queue', delay => '1 h')",
        "faultline.enqueue('$queue', idempotency_key => 'k" . int(rand 5) . q{')},
        "faultline.enqueue_many('$queue', '{1,2,3}')",
        "faultline.complete(h.job_id, h.token) FROM $held",
        "faultline.fail(h.job_id, h.token, 'no', retry_in => '0') FROM $held",
        "faultline.fail(h.job_id, h.token, 'no', discard => true) FROM $held",
        "faultline.release(h.job_id, h.token) FROM $held",
        "faultline.cancel(ARRAY(SELECT job_id FROM faultline.live_jobs ORDER BY random() LIMIT 1))",
        "faultline.redrive(queue => '$queue', max_jobs => 2)",
        "faultline.purge_dead_letters('$queue', '0')",
        # A subtransaction of its own, inside the server.
        'faultline.expire_leases()',
    );
    return 'SELECT ' . $calls[ int rand @calls ] . ";\n";
}

sub random_transaction {
    my ($session, $number) = @_;
    my $kind = rand;
    return "INSERT INTO held SELECT $session, job_id, lease_token FROM faultline.claim('"
      . ('one', 'two')[ int rand 2 ] . q{', 'w', 3, }
      . (rand() < 0.3 ? q{'100 ms'} : 'NULL') . ");\n"
      if $kind < 0.3;
    my $body = random_call($session);
    for (1 .. int rand 4) {
        my $name = 's' . int rand 3;
        $body .= "SAVEPOINT $name;\n" . random_call($session)
          . (rand() < 0.5 ? "ROLLBACK TO $name;\n" : rand() < 0.5 ? "RELEASE $name;\n" : '');
    }
    $body = "BEGIN;\n$body";
    return "${body}COMMIT;\n" if $kind < 0.6;
    return "${body}ROLLBACK;\n" if $kind < 0.8;
    return "${body}PREPARE TRANSACTION 't${session}_$number';\n"
      . (rand() < 0.6 ? 'COMMIT' : 'ROLLBACK') . " PREPARED 't${session}_$number';\n";
}

# Several sessions at once, while another one keeps looking, so that the first count happens among
# their commits.
sub random_histories {
    my ($transactions) = @_;
    my @runs;
    for my $session (1 .. 3) {
        my $script = sql_file("session_$session.sql",
            join '', map { random_transaction($session, $_) } 1 .. $transactions);
        push @runs, start([ 'psql', '-XAtq', '-d', $node->connstr('postgres'), '-f', $script ],
            '>', \my $out, '2>', \my $err);
    }
    sql($said) for 1 .. 20;
    finish($_) for @runs;
    return;
}

sql(q{SELECT faultline.create_queue('one', max_attempts => 3, backoff_base => '0');
    SELECT faultline.create_queue('two', max_attempts => 2, backoff_base => '0');
    CREATE TABLE held (session integer, job_id bigint, token bigint)});
# Which events chance brings is not certain after any number of rounds.
my ($round, $missing) = (0, 'all');
while ($round < 3 || ($missing ne '' && $round < 15)) {
    $round++;
    random_histories(60);
    agrees("round $round");
    $node->restart;
    agrees("round $round, after a restart");
    $missing = sql(q{SELECT event FROM faultline.stat_events
        WHERE event NOT IN ('stale_rejected', 'claim_empty', 'enqueue_refused', 'retries_deferred')
        GROUP BY event HAVING sum(total) = 0});
}
is($missing, '', 'every event has happened');

# Totals agree with the rows, where rows tell: nothing that rolled back was counted.  A transaction
# that was prepared counts even if it rolled back, so none here.
sql(q{SELECT faultline.drop_queue(queue, true) FROM faultline.stat_queues;
    SELECT faultline.create_queue('exact', max_attempts => 1, backoff_base => '0')});
sql(q{BEGIN; SAVEPOINT a; SELECT faultline.enqueue('exact'); ROLLBACK TO a;
    SAVEPOINT b; SELECT faultline.enqueue_many('exact', '{1,2,3}'); SAVEPOINT c;
    SELECT faultline.enqueue('exact'); RELEASE c; RELEASE b; SELECT faultline.enqueue('exact'); COMMIT;
    BEGIN; SELECT faultline.enqueue('exact'); ROLLBACK});
is(total('exact', 'enqueued'), '5', 'savepoints: what was kept is counted');
sql(q{INSERT INTO held SELECT 0, job_id, lease_token FROM faultline.claim('exact', 'w', 3)});
sql(q{BEGIN; SELECT faultline.complete(job_id, token) FROM held WHERE session = 0; ROLLBACK});
sql(q{SELECT faultline.complete(job_id, token) FROM held WHERE session = 0 ORDER BY job_id LIMIT 1});
sql(q{SELECT faultline.fail(job_id, token, 'no') FROM held WHERE session = 0 ORDER BY job_id DESC LIMIT 1});
is(sql(q{SELECT string_agg(event || ' ' || total, ', ') FROM faultline.stat_events WHERE total > 0}),
    'enqueued 5, claimed 3, completed 1, attempt_failed 1, dead 1', 'totals are exact');
is(sql(q{SELECT string_agg(measure || coalesce(' ' || outcome, '') || ' ' || count, ', ')
        FROM faultline.stat_latency WHERE count > 0}),
    'wait 3, claim 1, run succeeded 1, run failed 1', 'and so are histograms');
is(sqlstate($node, q{SELECT faultline.complete(job_id, 1) FROM held WHERE session = 0 LIMIT 1}), 'JQ001',
    'a stale call');
sql(q{SELECT * FROM held h, faultline.fail_many(ARRAY[h.job_id], '{1}', '{no}') WHERE session = 0});
is(total('exact', 'stale_rejected'), '4', 'stale calls are counted, though they roll back');
is(sql(q{SELECT count(*) FROM faultline.claim('exact', 'w', 10)}), '2', 'the rest is claimed');
is(sql(q{SELECT count(*) FROM faultline.claim('exact', 'w')}), '0', 'nothing is left');
is(total('exact', 'claim_empty'), '1', 'and that is counted');
sql(q{SELECT faultline.create_queue('narrow', max_backlog => 1); SELECT faultline.enqueue('narrow')});
is(sqlstate($node, q{SELECT faultline.enqueue('narrow')}), 'JQ010', 'a full queue');
is(total('narrow', 'enqueue_refused'), '1', 'the refusal is counted, though it rolls back');
sql(q{SELECT faultline.drop_queue('narrow', true)});
sql(q{SELECT faultline.create_queue('dear', backoff_base => '0', retry_budget => 0.1);
    SELECT count(*) FROM faultline.enqueue_many('dear', array_fill('1'::jsonb, ARRAY[30]))});
for my $worker (1 .. 3) {
    sql(qq{INSERT INTO held SELECT $worker + 100, job_id, lease_token FROM faultline.claim('dear', 'w', 10)});
    sql(qq{SELECT * FROM held h, faultline.fail_many(ARRAY[h.job_id], ARRAY[h.token], '{no}')
        WHERE session = $worker + 100});
}
is(total('dear', 'retried'), '30', 'retries of three sessions');
is(total('dear', 'retries_deferred'), '17', 'share one budget: ten, and three for thirty first starts');
sql(q{SELECT faultline.drop_queue('dear', true)});

# stat_queues has the same figures, a column for each event.
is(sql(q{SELECT count(*), count(*) FILTER (WHERE c.value::numeric > 0),
        count(*) FILTER (WHERE c.value::numeric IS DISTINCT FROM e.total OR q.stats_reset <> e.stats_reset)
    FROM faultline.stat_queues q CROSS JOIN LATERAL jsonb_each_text(to_jsonb(q)) c (name, value)
    JOIN faultline.stat_events e ON (e.queue, e.event) = (q.queue, c.name)}), '16|7|0',
    'stat_queues has the totals of stat_events');
# Rates are over four minutes and what has passed of the fifth, which is known if it does not end meanwhile.
# The views show three digits.
my $rates = '';
for (my $try = 0; $try < 5 && $rates !~ /^t/; $try++) {
    $rates = sql(<<'SQL');
SELECT clock_timestamp() AS before \gset
CREATE TEMP TABLE rate AS SELECT e.per_second, 1e-6 AS tolerance FROM faultline.event_totals() e WHERE recent = 5
  UNION ALL SELECT r, 1e-6 FROM faultline.queue_figures() f, LATERAL (VALUES (f.enqueued_per_second), (f.claimed_per_second)) v (r)
  UNION ALL SELECT per_second, 0.0005 FROM faultline.stat_events WHERE event IN ('enqueued', 'claimed')
  UNION ALL SELECT r, 0.0005 FROM faultline.stat_queues q, LATERAL (VALUES (q.enqueued_per_second), (q.claimed_per_second)) v (r);
SELECT clock_timestamp() AS after \gset
SELECT date_trunc('minute', :'before'::timestamptz) = date_trunc('minute', :'after'::timestamptz), count(*), count(*) FILTER
       (WHERE per_second BETWEEN 5 / (240 + extract(second FROM :'after'::timestamptz)) - tolerance
                             AND 5 / (240 + extract(second FROM :'before'::timestamptz)) + tolerance) FROM rate;
SQL
}
is($rates, 't|8|8', 'five in the minutes that have passed');
my $as_prepared = q{BEGIN; SELECT faultline.enqueue('exact'); PREPARE TRANSACTION 'p'};
sql($as_prepared);
is(total('exact', 'enqueued'), '6', 'a prepared transaction counts');
agrees('prepared');
sql(q{ROLLBACK PREPARED 'p'});
agrees('rolled back when prepared');
sql("$as_prepared; COMMIT PREPARED 'p'");
agrees('committed when prepared');

# Prepared before a restart, decided after it, with a look between.
sql($as_prepared);
$node->restart;
is(sql('SELECT exact FROM faultline.stat_queues'), 't', 'few jobs are counted at each look');
sql(q{COMMIT PREPARED 'p'});
agrees('prepared before a restart');

# Totals survive a clean restart, and only that.
my $totals = q{SELECT queue, event, total, stats_reset FROM faultline.stat_events};
my $histograms = q{SELECT * FROM faultline.stat_latency};
my ($before, $times) = (sql($totals), sql($histograms));
$node->restart;
is(sql($totals), $before, 'a clean restart keeps totals');
is(sql($histograms), $times, 'and histograms');
ok(!-e $node->data_dir . '/pg_stat/faultline.stat', 'the file is gone once it was read');
$node->psql('postgres', q{SET faultline.debug_points = 'enqueue_after_insert=kill';
    SELECT faultline.enqueue('exact')});
$node->poll_query_until('postgres', 'SELECT true') or die 'the server did not come back';
is(sql('SELECT sum(total) FROM faultline.stat_events'), '', 'a crash starts anew');
sql(q{SELECT faultline.enqueue('exact')});
is(total('exact', 'enqueued'), '1', 'with the next job');
agrees('after a crash');
$node->stop;
append_to_file($node->data_dir . '/pg_stat/faultline.stat', 'x');
my $log_end = -s $node->logfile;
$node->start;
ok($node->wait_for_log(qr/ignoring invalid data in file "pg_stat\/faultline.stat"/, $log_end),
    'a damaged file is not believed');

# stat_reset.
sql(q{SELECT faultline.enqueue('exact'); SELECT faultline.create_queue('other');
    SELECT faultline.enqueue('other')});
my $at = sql(q{SELECT faultline.stat_reset('exact')});
is(sql(q{SELECT DISTINCT stats_reset, sum(total) OVER () FROM faultline.stat_events
    WHERE queue = 'exact'}), "$at|0", 'stat_reset() sets one queue to zero');
is(total('other', 'enqueued'), '1', 'and no other');
agrees('after stat_reset()');
sql('SELECT faultline.stat_reset()');
is(sql('SELECT sum(total) FROM faultline.stat_events'), '0', 'or all');

# A transaction that is visible, and whose change of the depth is not there yet when the rows are
# counted: it is in the count, and may not count twice.
my $writer = $node->background_psql('postgres');
my $pid = $writer->query_safe('SELECT pg_backend_pid()');
$writer->query_safe(q{SELECT faultline.create_queue('late');
    SET faultline.debug_points = 'transaction_committed=stop'});
background_call($writer, q{SELECT faultline.enqueue('late')});
wait_until_stopped($pid);
is(sql(q{SELECT queued, exact FROM faultline.stat_queues WHERE queue = 'late'}), '1|t',
    'its job is seen');
kill CONT => $pid;
end_call($writer);
agrees('a change that comes late');

# One that commits while the rows are looked at, after the snapshot was taken.
$writer->query_safe(q{SET faultline.debug_points = ''; SELECT faultline.create_queue('early')});
my $reader = $node->background_psql('postgres');
my $lock = q{hashtext('faultline.debug_points'), hashtext('count_after_snapshot')};
my $locker = $node->background_psql('postgres');
$locker->query_safe("SELECT pg_advisory_lock($lock)");
$writer->query_safe(q{BEGIN; SELECT faultline.enqueue('early')});
$reader->query_safe(q{SET faultline.debug_points = 'count_after_snapshot=wait'});
background_call($reader, q{SELECT queued FROM faultline.stat_queues WHERE queue = 'early'});
$node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM pg_locks WHERE locktype = 'advisory'
    AND NOT granted}) or die 'the reader does not wait';
$writer->query_safe('COMMIT');
$locker->query_safe("SELECT pg_advisory_unlock($lock)");
is((end_call($reader))[0], '0', 'the snapshot does not see it');
agrees('a commit during the count');
$_->quit for $writer, $reader, $locker;

# More queues than slots: they work, uncounted; a dropped queue gives its slot to another.
sql(q{SELECT faultline.create_queue('q' || i), faultline.enqueue('q' || i) FROM generate_series(1, 8) i});
my $slots_used = q{SELECT slots_used FROM faultline.stat_memory WHERE segment = 'statistics'};
is(sql(q{SELECT slots, slots_used, overflowed FROM faultline.stat_memory WHERE segment = 'statistics'}),
    '8|8|t', 'all slots are taken');
is(sql($said), sql($counted), 'depths of the others are counted at each look');
is(sql(q{SELECT count(*) FROM faultline.stat_events WHERE event = 'enqueued' AND total IS NULL}), '4',
    'their totals are not known');
sql(q{SELECT faultline.drop_queue('q1', true)});
$node->restart; # nobody remembers that there was no room
sql(q{SELECT faultline.enqueue('q8')});
is(total('q8', 'enqueued'), '1', 'a slot that was given back is used');

# A database that is dropped gives its slots back.
sql('CREATE DATABASE gone');
create_extension($node, 'gone');
sql(q{SELECT faultline.drop_queue(queue, true) FROM faultline.stat_queues});
$node->safe_psql('gone', q{SELECT faultline.create_queue('x'); SELECT faultline.enqueue('x')});
is(sql($slots_used), '1', 'another database has a slot');
sql('DROP DATABASE gone');
sql('SELECT * FROM faultline.maintain()');
is(sql($slots_used), '0', 'once dropped, it has not');

sub wait_until_stopped {
    my ($process) = @_;
    $node->poll_query_until('postgres',
        "SELECT split_part(pg_read_file('/proc/$process/stat'), ' ', 3) = 'T'")
      or die "process $process is not stopped";
    return;
}

invariants_hold($node, 'postgres');
log_is_clean($node, killed => 1);
$node->stop;
done_testing();
