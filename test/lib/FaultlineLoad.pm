# Producers and workers for the crash tests: psql sessions that write down what the server
# acknowledged, and the check of the rows against these notes.
#
# Each enqueue and each completion writes a row of the application in the same transaction, so the
# tables orders and effects say what must be there, whatever happened.
package FaultlineLoad;

use strict;
use warnings;
use Exporter 'import';
use FaultlineNode;
use IPC::Run;
use PostgreSQL::Test::Utils;
use Test::More;

our @EXPORT = qw(prepare_load start_load await_load_end drain check_load);

my $orders_per_producer = 3000;
my $rounds_per_worker = 3000;
my %acknowledged = (enqueued => {}, succeeded => {}, claimed => {});
my $started = 0;

sub prepare_load {
    my ($node) = @_;
    $node->safe_psql('postgres', <<'SQL');
SELECT faultline.create_queue('q', max_attempts => 50, lease => '10 s', backoff_base => '0');
CREATE TABLE orders (job_id bigint PRIMARY KEY);
CREATE TABLE effects (job_id bigint PRIMARY KEY);
SQL
    return;
}

my $produce = <<'SQL';
WITH job AS (SELECT faultline.enqueue('q', idempotency_key => gen_random_uuid()::text) AS id)
INSERT INTO orders SELECT id FROM job RETURNING 'enqueued', job_id;
SQL

# A third of the batches fails and is retried.
sub work {
    my ($round) = @_;
    my $end = $round % 3 == 0
      ? q{SELECT 'failed', job_id FROM faultline.fail_many(:'ids', :'tokens',
            array_fill('broken'::text, ARRAY[cardinality(:'ids'::bigint[])]));}
      : q{WITH done AS (SELECT * FROM faultline.complete_many(:'ids', :'tokens'))
          INSERT INTO effects SELECT job_id FROM done WHERE verdict = 'succeeded'
          RETURNING 'succeeded', job_id;};
    return <<"SQL";
SELECT coalesce(array_agg(job_id), '{}') AS ids, coalesce(array_agg(lease_token), '{}') AS tokens
  FROM faultline.claim('q', 'worker', 3) \\gset
SELECT 'claimed', unnest(:'ids'::bigint[]);
$end
SQL
}

# Starts producers and workers; each is { name, run, out, err }.
sub start_load {
    my ($node, %count) = @_;
    my %script = (
        producer => sql_file('produce.sql', $produce x $orders_per_producer),
        worker   => sql_file('work.sql', join '', map { work($_) } 1 .. $rounds_per_worker));
    my @clients;
    for my $kind (sort keys %count) {
        for (1 .. $count{$kind}) {
            my $name = "$kind " . ++$started;
            my %client = (name => $name, out => '', err => '');
            $client{run} = IPC::Run::start(
                [ 'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-f', $script{$kind},
                    '-d', $node->connstr('postgres') . " application_name='$name'" ],
                '<', \undef, '>', \$client{out}, '2>', \$client{err},
                IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));
            push @clients, \%client;
        }
    }
    return @clients;
}

# Waits for the clients, which lost their server, and takes down what was acknowledged to them.
sub await_load_end {
    my @clients = @_;
    for my $client (@clients) {
        $client->{run}->finish;
        for my $line (split /\n/, $client->{out}) {
            my ($what, $job_id) = split /\|/, $line;
            $acknowledged{$what}{$job_id} = 1 if exists $acknowledged{$what};
        }
    }
    # Nothing but the loss of the server may have ended them.
    my @errors = grep { /ERROR:/ } map { split /\n/, $_->{err} } @clients;
    is_deeply(\@errors, [], 'no client saw another error');
    return;
}

# Ends every lease and finishes every job, as workers would after the crash.
sub drain {
    my ($node) = @_;
    $node->safe_psql('postgres', <<'SQL');
CREATE PROCEDURE drain() LANGUAGE plpgsql AS $$
DECLARE
  ids bigint[];
  tokens bigint[];
BEGIN
  LOOP
    SELECT array_agg(job_id), array_agg(lease_token) INTO ids, tokens
      FROM faultline.claim('q', 'drain', 1000);
    EXIT WHEN ids IS NULL;
    COMMIT;
    INSERT INTO effects SELECT job_id FROM faultline.complete_many(ids, tokens)
     WHERE verdict = 'succeeded';
    COMMIT;
  END LOOP;
END $$;
SELECT faultline.set_clock(faultline.clock_now() + interval '1 hour');
SELECT faultline.expire_leases(100000);
SELECT faultline.advance_clock('1 hour');
CALL drain();
DROP PROCEDURE drain;
SELECT faultline.set_clock(NULL);
SQL
    return;
}

sub ids_of {
    my ($node, $query) = @_;
    return { map { $_ => 1 } split /\n/, $node->safe_psql('postgres', $query) };
}

# All that was acknowledged is there, jobs and the application's rows agree, nothing is lost.
sub check_load {
    my ($node, $when) = @_;
    my $orders = ids_of($node, 'SELECT job_id FROM orders');
    my $succeeded = ids_of($node, q{SELECT job_id FROM faultline.jobs WHERE state = 'succeeded'});
    my $claimed = ids_of($node, q{SELECT job_id FROM faultline.jobs WHERE attempt > 0});
    cmp_ok(scalar keys %{ $acknowledged{$_} }, '>', 0, "$when: there were jobs $_")
      for sort keys %acknowledged;
    my %found = (enqueued => $orders, succeeded => $succeeded, claimed => $claimed);
    for my $what (sort keys %found) {
        my @lost = grep { !$found{$what}{$_} } keys %{ $acknowledged{$what} };
        is(scalar @lost, 0, "$when: every job acknowledged as $what is so");
    }
    is($node->safe_psql('postgres',
        'SELECT job_id FROM orders EXCEPT SELECT job_id FROM faultline.jobs'),
        '', "$when: no order is without its job");
    is($node->safe_psql('postgres',
        'SELECT job_id FROM faultline.jobs EXCEPT SELECT job_id FROM orders'),
        '', "$when: no job is without its order");
    is($node->safe_psql('postgres', q{SELECT job_id FROM effects EXCEPT
        SELECT job_id FROM faultline.jobs WHERE state = 'succeeded'}),
        '', "$when: no effect without success");
    is($node->safe_psql('postgres', q{SELECT job_id FROM faultline.jobs WHERE state = 'succeeded'
        EXCEPT SELECT job_id FROM effects}),
        '', "$when: no success without effect");
    is($node->safe_psql('postgres', <<'SQL'), 't', "$when: enqueued = live + finished + dead");
SELECT (SELECT count(*) FROM orders)
     = (SELECT count(*) FROM faultline.live_jobs) + (SELECT count(*) FROM faultline.finished_jobs)
     + (SELECT count(*) FROM faultline.failed_jobs);
SQL
    invariants_hold($node, 'postgres', "$when: no invariant is violated");
    return;
}

1;
