# The ready windows hold hints only: hints that were lost cost time, a bounded one, and false ones
# cost nothing.  Both are made on purpose, one by one and at random beside producers and workers.
use strict;
use warnings;
use FaultlineNode;
use IPC::Run;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $sweep_seconds_max = 25;    # every 10 s; the rest is for a slow machine
my $load_seconds = 5;
my $node = new_node('hints', conf => <<'CONF');
shared_preload_libraries = 'faultline'
faultline.allow_virtual_clock = on
faultline.lab = on
faultline.ready_window = 64
CONF
$node->restart;    # the background worker looks into each database, then every 10 s into this one

sub sql {
    my ($statements) = @_;
    return $node->safe_psql('postgres', $statements);
}

# The ids that a claim answers with, in order.
sub claimed {
    my ($jobs_max) = @_;
    return sql("SELECT string_agg(job_id::text, ' ') FROM faultline.claim('q', 'w', $jobs_max)");
}

# One hint at a time, first in turn.  The queue has the jobs 1 to 10, whose first two are claimed.
sub new_jobs {
    sql(q{SELECT faultline.set_clock('2030-01-01 12:00Z');
        TRUNCATE faultline.queues, faultline.live_jobs, faultline.finished_jobs,
            faultline.ended_attempts;
        ALTER SEQUENCE faultline.job_id_seq RESTART;
        SELECT faultline.create_queue('q', backoff_base => '0');
        SELECT faultline.create_queue('other');
        SELECT count(*) FROM faultline.enqueue_many('q', array_fill('1'::jsonb, ARRAY[10]))});
    return is(claimed(2), '1 2', 'the window is in use');
}

sub plant {
    my ($job_id, $place, %hint) = @_;
    my ($priority, $time) = ($hint{priority} // -9, $hint{time} // '2030-01-01 11:00Z');
    sql("SELECT faultline.plant_hint('q', $job_id, $place, $priority, '$time')");
    return;
}

sub place_of {
    my ($job_id) = @_;
    return q{'} . sql("SELECT ctid FROM faultline.live_jobs WHERE job_id = $job_id") . q{'};
}

my %damage = (
    'no such page'    => sub { plant(3, q{'(4000000,1)'}) },
    'no page at all'  => sub { plant(3, q{'(4294967295,1)'}) },
    'no such row'     => sub { plant(3, q{'(0,291)'}) },
    'not a row number' => sub { plant(3, q{'(0,65535)'}) },
    'another job'     => sub { plant(4, place_of(5)) },
    'no such job'     => sub { plant(999, place_of(5)) },
    'a running job'   => sub { plant(1, place_of(1)) },
    'another priority' => sub { plant(7, place_of(7)) },
    'a job of another queue' => sub {
        my $job_id = sql(q{SELECT faultline.enqueue('other')});
        plant($job_id, place_of($job_id));
    },
    'a finished job' => sub {
        my $place = place_of(1);
        sql(q{SELECT faultline.complete(job_id, lease_token)
            FROM faultline.live_jobs WHERE job_id = 1});
        plant(1, $place);
    },
    'a job that vacuum has removed' => sub {
        my $place = place_of(1);
        sql(q{SELECT faultline.complete(job_id, lease_token)
            FROM faultline.live_jobs WHERE job_id = 1});
        sql('VACUUM (FREEZE) faultline.live_jobs');
        plant(1, $place);
    },
    'a job that is not due' => sub {
        my $job_id = sql(q{SELECT faultline.enqueue('q', delay => '1 h')});
        plant($job_id, place_of($job_id), priority => 0);
    },
    'a job that is retried later' => sub {
        sql(q{SELECT faultline.fail(job_id, lease_token, 'x', retry_in => '1 h')
            FROM faultline.live_jobs WHERE job_id = 1});
        plant(1, place_of(1), priority => 0, time => '2030-01-01 12:00Z');
    },
    'every job three times' => sub {
        my $plant = q{SELECT faultline.plant_hint('q', job_id, ctid, priority, next_run_at)
            FROM faultline.live_jobs WHERE state = 'q' ORDER BY random();};
        sql($plant x 3);
    },
    'every job with the place of the next one, too' => sub {
        sql(q{SELECT faultline.plant_hint('q', job_id, lead(ctid, 1, ctid) OVER (), -1, next_run_at)
            FROM faultline.live_jobs WHERE state = 'q'});
    },
);
for my $what (sort keys %damage) {
    new_jobs();
    $damage{$what}->();
    is(claimed(20), '3 4 5 6 7 8 9 10', "$what: jobs are claimed once and in order");
    is(claimed(20), '', "$what: and no other");
    invariants_hold($node, 'postgres', $what);
}

# A planted hint whose row is not committed, and comes to be.
new_jobs();
my $session = $node->background_psql('postgres', on_error_stop => 0);
$session->query_safe(q{BEGIN; SELECT faultline.enqueue('q', priority => -1)});
my $block = sql(q{SELECT pg_relation_size('faultline.live_jobs') / 8192 - 1});
plant(11, "'($block,$_)'", priority => -1, time => '2030-01-01 12:00Z') for 1 .. 20;
is(claimed(3), '3 4 5', 'a job that is not committed is passed');
$session->query_safe('COMMIT');
is(claimed(20), '11 6 7 8 9 10', 'and claimed afterwards');
$session->quit;

# Hints that are lost: a clock that is set back makes the next claim look, the background worker
# looks in any case.
new_jobs();
sql(q{SELECT faultline.drop_hints('q')});
is(claimed(20), '', 'without hints jobs are not found at once');
is(sql(q{SELECT faultline.enqueue('q')}) . ' ' . claimed(20), '11 11', 'new ones are');
my $began = time;
ok($node->poll_query_until('postgres', q{SELECT count(*) = 8 FROM faultline.claim('q', 'w', 20)}),
    'the sweep finds them');
cmp_ok(time - $began, '<', $sweep_seconds_max, 'within its time');

# At random, beside producers and workers.
$node->safe_psql('postgres', <<'SQL');
SELECT faultline.set_clock(NULL);
TRUNCATE faultline.queues, faultline.live_jobs, faultline.finished_jobs, faultline.ended_attempts;
SELECT faultline.create_queue('q', max_attempts => 1000, backoff_base => '0', lease => '10 min');
SELECT faultline.create_queue('other');
SELECT faultline.enqueue('other') FROM generate_series(1, 50);
CREATE TABLE orders (job_id bigint PRIMARY KEY);
CREATE TABLE starts (job_id bigint, attempt integer, PRIMARY KEY (job_id, attempt));
CREATE TABLE effects (job_id bigint PRIMARY KEY);
CREATE SEQUENCE damages;

-- Whoever claims; 0, 0 when there is nothing.
CREATE FUNCTION start(OUT id bigint, OUT token bigint) LANGUAGE plpgsql AS $$
DECLARE
  job record;
BEGIN
  id := 0;
  token := 0;
  FOR job IN SELECT * FROM faultline.claim('q', 'w') LOOP
    INSERT INTO starts VALUES (job.job_id, job.attempt);
    id := job.job_id;
    token := job.lease_token;
  END LOOP;
END $$;

CREATE FUNCTION finish(id bigint, token bigint, way integer) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  IF id = 0 THEN
    RETURN;
  ELSIF way = 1 THEN
    PERFORM faultline.release(id, token);
  ELSIF way = 2 THEN
    PERFORM faultline.fail(id, token, 'once more');
  ELSE
    PERFORM faultline.complete(id, token);
    INSERT INTO effects VALUES (id);
  END IF;
END $$;

CREATE FUNCTION damage(way integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  known record;
BEGIN
  PERFORM nextval('damages');
  IF way = 1 THEN
    PERFORM faultline.drop_hints('q');
    RETURN;
  END IF;
  FOR known IN
    SELECT job_id, ctid, priority, next_run_at FROM faultline.live_jobs ORDER BY random() LIMIT 8
  LOOP
    PERFORM faultline.plant_hint('q',
      known.job_id + CASE WHEN way = 2 THEN floor(random() * 3)::integer ELSE 0 END,
      CASE WHEN way = 3 THEN format('(%s,%s)', floor(random() * 9), floor(random() * 90))::tid
        ELSE known.ctid END,
      CASE WHEN way = 4 THEN floor(random() * 3)::integer ELSE known.priority END,
      CASE WHEN way = 5 THEN clock_timestamp() - random() * interval '1 min'
        ELSE known.next_run_at END);
  END LOOP;
END $$;
SQL

my %script = (
    enqueue => <<'SQL',
\set priority random(0, 2)
\set delay random(0, 100)
INSERT INTO orders SELECT * FROM faultline.enqueue_many('q', array_fill('1'::jsonb, ARRAY[4]),
    priority => :priority, delay => CASE WHEN :delay > 50 THEN :delay * interval '1 ms' END);
SQL
    work => <<'SQL',
SELECT * FROM start() \gset
\set way random(1, 8)
SELECT finish(:id, :token, :way);
SQL
    undo => <<'SQL',
BEGIN;
SELECT count(*) FROM faultline.claim('q', 'w', 3);
ROLLBACK;
SQL
    damage => <<'SQL',
\set way random(1, 5)
SELECT damage(:way);
SQL
);
my %file = map { $_ => sql_file("$_.sql", $script{$_}) } keys %script;

# Starts pgbench; returns it and what it will have said.
sub start_pgbench {
    my (@arguments) = @_;
    my ($out, $err) = ('', '');
    my $run = IPC::Run::start([ 'pgbench', '--no-vacuum', '--jobs=2', @arguments,
            $node->connstr('postgres') ], '<', \undef, '>', \$out, '2>', \$err,
        IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));
    return { run => $run, err => \$err };
}

sub end_pgbench {
    my ($bench, $what) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    return ok($bench->{run}->finish, "$what saw no error") || diag(${ $bench->{err} });
}

my $load = start_pgbench('--client=4', "--time=$load_seconds", "--file=$file{enqueue}\@1",
    "--file=$file{work}\@6", "--file=$file{undo}\@1");
my $vandal = start_pgbench('--client=1', "--time=$load_seconds", "--file=$file{damage}");
end_pgbench($load, 'producers and workers');
end_pgbench($vandal, 'who falsifies hints');
cmp_ok(sql('SELECT count(*) FROM orders'), '>', 500, 'there were jobs');
cmp_ok(sql('SELECT last_value FROM damages'), '>', 100, 'and false hints');
$began = time;
my $left = 'SELECT count(*) FROM orders LEFT JOIN effects USING (job_id) WHERE effects IS NULL';
while (sql($left) > 0 && time - $began < 2 * $sweep_seconds_max) {
    my $worker = start_pgbench('--client=2', '--transactions=300', "--file=$file{work}");
    $worker->{run}->finish or die ${ $worker->{err} };
}
is(sql($left), '0', 'no job is lost');
cmp_ok(time - $began, '<', $sweep_seconds_max, 'or late');
is(sql('SELECT job_id FROM effects EXCEPT SELECT job_id FROM orders'), '', 'none was made up');
is(sql(q{SELECT count(*) FROM faultline.jobs WHERE state = 'queued' AND queue = 'other'}), '50',
    'none of another queue was claimed');
invariants_hold($node, 'postgres');
log_is_clean($node);
$node->stop;
done_testing();
