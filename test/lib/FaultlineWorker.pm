# Worker processes for the tests: starts, signals and ends them, and holds their jobs at a gate.
#
# A job of probe_worker says what its handler does, see test/worker/probe_worker.cpp. Most tests
# stop the server's clock, so a lease ends when the test says so and at no other time.
package FaultlineWorker;

use strict;
use warnings;
use Cwd qw(abs_path);
use Exporter 'import';
use File::Basename qw(dirname);
use IPC::Run;
use JSON::PP;
use POSIX qw(WUNTRACED);
use PostgreSQL::Test::Utils;
use Test::More;

our @EXPORT = qw(prepare_probes enqueue_steps enqueue_payment enqueue_orders program start_worker end_worker
  log_of signal_worker freeze_worker close_gate open_gate await_at_gate await_state await_ended
  state_of attempts_of marks_of entries_of marks_match receipts_match);

my $root = $ENV{FAULTLINE_ROOT} // abs_path(dirname(__FILE__) . '/../..');
my %folder = (
    faultline => 'cli', order_worker => 'examples/orders', probe_worker => 'test/worker');
my @running;
my $gate;

# Processes of a test that died must not outlive it, frozen ones included.
END {
    local $?;
    $_->{run}->kill_kill(grace => 0) for @running;
}

sub program {
    my ($name) = @_;
    return "$root/build/cmake/$folder{$name}/$name";
}

# What both workers write to, an asset to pay with, and the server's clock stopped.
sub prepare_probes {
    my ($node) = @_;
    $node->safe_psql('postgres', <<'SQL');
CREATE TABLE marks (job_id bigint NOT NULL, worker text NOT NULL, attempt integer NOT NULL);
CREATE TABLE receipts (
    order_id text PRIMARY KEY, job_id bigint NOT NULL, amount_cents bigint NOT NULL,
    worker text NOT NULL, attempt integer NOT NULL);
SELECT faultline.create_asset('EUR');
SELECT faultline.set_clock(faultline.clock_now());
SQL
    return;
}

# enqueue_steps(NODE, QUEUE, [step...], ...): a job with the steps of each attempt; returns its id.
sub enqueue_steps {
    my ($node, $queue, @attempts) = @_;
    my $payload = encode_json({ attempts => \@attempts });
    return $node->safe_psql('postgres', "SELECT faultline.enqueue('$queue', '$payload')");
}

# enqueue_payment(NODE, QUEUE, {FIELD => VALUE}, [step...], ...): the same with a declared effect.
sub enqueue_payment {
    my ($node, $queue, $fields, @attempts) = @_;
    my $payload = encode_json({ attempts => \@attempts });
    my $ledger = encode_json({ transaction_id => "$queue payment", debit => 'payer',
        credit => 'payee', amount => 7, asset => 'EUR', %$fields });
    return $node->safe_psql('postgres',
        "SELECT faultline.enqueue('$queue', '$payload', ledger => '$ledger')");
}

# Good orders for order_worker; with every tenth one the gateway does not answer at first.
sub enqueue_orders {
    my ($node, $queue, $count) = @_;
    $node->safe_psql('postgres', <<"SQL");
SELECT count(*) FROM faultline.enqueue_many('$queue', (
  SELECT array_agg(jsonb_build_object(
           'order_id', 'order ' || i, 'currency', 'EUR', 'total_cents', 2 * i,
           'items', jsonb_build_array(jsonb_build_object('quantity', 2, 'price_cents', i)),
           'gateway', jsonb_build_object('timeouts', CASE WHEN i % 10 = 0 THEN 1 ELSE 0 END)))
    FROM generate_series(1, $count) i), ledger => (
  SELECT array_agg(jsonb_build_object('transaction_id', '$queue ' || i, 'debit', 'customer',
           'credit', 'shop', 'amount', 2 * i, 'asset', 'EUR'))
    FROM generate_series(1, $count) i));
SQL
    return;
}

# start_worker(NODE, NAME, QUEUE, OPTION...): a probe_worker, or what `program => ...` names.
sub start_worker {
    my ($node, $name, $queue, @options) = @_;
    my %worker = (name => $name);
    my $program = 'probe_worker';
    (undef, $program) = splice @options, 0, 2 if @options && $options[0] eq 'program';
    my $base = "$PostgreSQL::Test::Utils::log_path/" . $node->name . "_$name";
    @worker{ 'out', 'log' } = ("$base.out", "$base.log");
    # The name in pg_stat_activity shall be the worker's, not the test's.
    delete local $ENV{PGAPPNAME};
    $worker{run} = IPC::Run::start(
        [ program($program), '--conninfo', $node->connstr('postgres'), '--queue', $queue,
            '--name', $name, @options ],
        '<', \undef, '>', $worker{out}, '2>', $worker{log},
        IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));
    $worker{pid} = $worker{run}{KIDS}[0]{PID};
    push @running, \%worker;
    return \%worker;
}

# Waits for its end, which must bring this wait status (a signal's number, or code << 8). Returns
# the figures of its report.
sub end_worker {
    my ($worker, $status) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    $worker->{run}->finish;
    @running = grep { $_ != $worker } @running;
    is($worker->{run}->full_result(0), $status // 0, "$worker->{name} ends as it should")
      or diag(log_of($worker));
    my %report = slurp_file($worker->{out}) =~ /([a-z][a-z ]+) (\d+)(?:,|$)/gm;
    return \%report;
}

sub log_of {
    my ($worker) = @_;
    return slurp_file($worker->{log});
}

sub signal_worker {
    my ($worker, $signal) = @_;
    kill($signal, $worker->{pid}) == 1 or die "cannot send SIG$signal to $worker->{name}";
    return;
}

# Returns when the process stands still.
sub freeze_worker {
    my ($worker) = @_;
    signal_worker($worker, 'STOP');
    my $pid = waitpid($worker->{pid}, WUNTRACED);
    $pid == $worker->{pid} && slurp_file("/proc/$pid/status") =~ /^State:\s+T/m
      or die "$worker->{name} did not stop";
    return;
}

# Holds every job that comes to the step "gate" until open_gate().
sub close_gate {
    my ($node) = @_;
    $gate = $node->background_psql('postgres');
    $gate->query_safe('SELECT pg_advisory_lock(1)');
    return;
}

sub open_gate {
    $gate->quit;
    $gate = undef;
    return;
}

sub await_at_gate {
    my ($node, $worker) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    return ok($node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity
            WHERE application_name = '$worker->{name}' AND wait_event = 'advisory'"),
        "$worker->{name} is in the middle of a job");
}

sub await_state {
    my ($node, $job, $state) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    return ok($node->poll_query_until('postgres',
            "SELECT state = '$state' FROM faultline.jobs WHERE job_id = $job"),
        "job $job comes to be $state");
}

# Waits until each job has ended; ends leases meanwhile, as maintenance does.
sub await_ended {
    my ($node, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    return ok($node->poll_query_until('postgres', q{SELECT faultline.expire_leases() >= 0
            AND NOT EXISTS (SELECT FROM faultline.jobs WHERE state IN ('queued', 'running'))}),
        $name);
}

sub state_of {
    my ($node, $job) = @_;
    return $node->safe_psql('postgres',
        "SELECT state || ', attempt ' || attempt FROM faultline.jobs WHERE job_id = $job");
}

# The attempts that did not succeed: "NUMBER WORKER OUTCOME: ERROR", one a line.
sub attempts_of {
    my ($node, $job) = @_;
    return $node->safe_psql('postgres', "SELECT format('%s %s %s: %s', attempt, worker, outcome,
        error) FROM faultline.attempts WHERE job_id = $job ORDER BY generation, attempt");
}

# Who wrote the job's mark in which attempt, one a line; more lines are an effect that came twice.
sub marks_of {
    my ($node, $job) = @_;
    return $node->safe_psql('postgres', "SELECT format('%s in attempt %s', worker, attempt)
        FROM marks WHERE job_id = $job ORDER BY attempt, worker");
}

# What the job moved, and in which attempt; more lines are an effect that came twice.
sub entries_of {
    my ($node, $job) = @_;
    return $node->safe_psql('postgres', "SELECT format('%s from %s to %s in attempt %s', amount,
        debit, credit, attempt) FROM faultline.transactions WHERE job_id = $job
        AND entry_id IS NOT NULL ORDER BY entry_id");
}

# Of the jobs that write marks each success has one, and nothing else has.
sub marks_match {
    my ($node, $queue, $count) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    return is($node->safe_psql('postgres', <<"SQL"), "$count|0|0", "$queue: one mark per success");
SELECT count(*), count(*) FILTER (WHERE marks <> 1),
       (SELECT count(*) FROM marks JOIN faultline.jobs j USING (job_id)
         WHERE j.queue = '$queue' AND j.state <> 'succeeded')
  FROM (SELECT job_id, count(m.job_id) AS marks
          FROM faultline.jobs j LEFT JOIN marks m USING (job_id)
         WHERE j.queue = '$queue' AND j.state = 'succeeded' GROUP BY job_id) s;
SQL
}

sub receipts_match {
    my ($node, $count) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    return is($node->safe_psql('postgres', <<'SQL'), "$count|0", 'one receipt per order fulfilled');
SELECT count(*), count(*) FILTER (WHERE r.job_id IS NULL OR j.job_id IS NULL)
  FROM receipts r
  FULL JOIN (SELECT * FROM faultline.jobs WHERE queue = 'orders' AND state = 'succeeded') j
    ON r.job_id = j.job_id AND r.order_id = j.payload ->> 'order_id'
   AND r.amount_cents = (j.payload ->> 'total_cents')::bigint;
SQL
}

1;
