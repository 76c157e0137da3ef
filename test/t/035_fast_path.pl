# The fast path answers as the plain path: the same histories, made of a seed, of several sessions
# whose transactions interleave, by both; with small windows, and fewer of them than queues, and with
# large ones.  The isolation tester runs them, so a history that differs can be kept as a spec.
# Histories of one session against a model are the matter of lab/conformance.
#
# FAULTLINE_SEED=N begins with another seed, FAULTLINE_HISTORIES=N runs so many.
use strict;
use warnings;
use FaultlineNode;
use File::Basename qw(dirname);
use IPC::Run;
use PostgreSQL::Test::Utils;
use Test::More;

my $first_seed = $ENV{FAULTLINE_SEED} // 1;
my $histories = $ENV{FAULTLINE_HISTORIES} // 50;
my $steps_per_history = 60;
my @sessions = qw(s1 s2 s3);
my @queues = qw(a b c d);

# Job ids, not tokens, are the same on both paths: pick() finds jobs by them, and no call waits.
my $helpers = <<'SQL';
CREATE FUNCTION pick(state "char", from_percent integer, most integer)
  RETURNS TABLE (job_id bigint, lease_token bigint) LANGUAGE sql VOLATILE AS $$
  SELECT j.job_id, j.lease_token FROM faultline.live_jobs j
   WHERE j.state = pick.state
     AND j.job_id > (SELECT last_value * from_percent / 100 FROM faultline.job_id_seq)
   ORDER BY j.job_id LIMIT most FOR UPDATE SKIP LOCKED
$$;
CREATE FUNCTION pick_arrays(
  state "char", from_percent integer, most integer, OUT ids bigint[], OUT tokens bigint[]
) LANGUAGE sql VOLATILE AS $$
  SELECT coalesce(array_agg(job_id), '{}'), coalesce(array_agg(lease_token), '{}')
    FROM pick(state, from_percent, most)
$$;
CREATE FUNCTION begin_history() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  -- In a transaction of its own the windows of the last history become free.
  PERFORM faultline.drop_queue(name, force => true) FROM faultline.queues WHERE dropped_at IS NULL;
END $$;
-- Leases count from here on at the earliest, so before every history.
SELECT faultline.set_clock('2029-12-31 12:00Z');
SELECT faultline.create_queue('first');
SELECT faultline.claim('first', 'w');
SQL

my $setup = <<'SQL';
setup { SELECT begin_history(); }
setup {
    TRUNCATE faultline.queues, faultline.live_jobs, faultline.finished_jobs, faultline.failed_jobs,
        faultline.ended_attempts, faultline.idempotency_keys;
    ALTER SEQUENCE faultline.job_id_seq RESTART;
    SELECT faultline.set_clock('2030-01-01 12:00Z');
    SELECT faultline.create_queue(q, max_attempts => 3, backoff_jitter => 0, lease => '1 h')
      FROM unnest(string_to_array('a b c d', ' ')) AS q;
    SELECT count(*) FROM generate_series(1, 120) AS i,
      faultline.enqueue(CASE WHEN i % 5 = 0 THEN 'b' ELSE 'a' END, priority => i % 2);
}
SQL

sub chance { return rand() < shift }
sub one_of { return $_[ rand @_ ] }
sub up_to { return 1 + int rand shift }
sub queue { return one_of('a', 'a', 'a', @queues) }
sub percent { return int rand 100 }
sub delay { return chance(0.3) ? ", delay => '" . up_to(90) . " s'" : '' }
sub priority { return chance(0.4) ? ', priority => ' . (up_to(3) - 2) : '' }
sub held { return "pick('r', " . percent() . ', 1)' }
sub many_held { return "pick_arrays('r', " . percent() . ', ' . up_to(6) . ') p' }

my $claimed = 'SELECT queue, job_id, attempt, lease_expires_at, last_error FROM faultline';
# What a session of workers and producers does: how often, and how it is said.
my @calls = (
    [ 20, sub { 'SELECT faultline.enqueue(' . "'" . queue() . "'" . delay() . priority() . ')' } ],
    [ 8, sub {
        my $count = chance(0.2) ? 150 : up_to(30);
        return "SELECT count(*) FROM faultline.enqueue_many('" . queue()
          . "', array_fill('1'::jsonb, ARRAY[$count])" . delay() . priority() . ')';
    } ],
    [ 25, sub {
        my $count = chance(0.1) ? 60 : up_to(6);
        return "$claimed.claim('" . queue() . "', 'w', $count)";
    } ],
    [ 6, sub { "$claimed.claim_any(ARRAY['" . queue() . "', '" . queue() . "'], 'w', "
          . up_to(8) . ')' } ],
    [ 8, sub { 'SELECT t.verdict, t.job_id, t.attempt FROM ' . many_held() . ", faultline.turn('"
          . queue() . "', 'w', p.ids, p.tokens, max_jobs => " . up_to(5) . ') t' } ],
    [ 6, sub { 'SELECT job_id, faultline.complete(job_id, lease_token) FROM ' . held() } ],
    [ 5, sub { 'SELECT m.* FROM ' . many_held()
          . ', faultline.complete_many(p.ids, p.tokens) m' } ],
    [ 6, sub { "SELECT job_id, faultline.fail(job_id, lease_token, 'bad'"
          . one_of('', '', ", '0'", ", '40 s'", ', discard => true') . ') FROM ' . held() } ],
    [ 4, sub { 'SELECT m.* FROM ' . many_held() . ", faultline.fail_many(p.ids, p.tokens,
        array_fill('bad'::text, ARRAY[cardinality(p.ids)])) m" } ],
    [ 8, sub { 'SELECT job_id, faultline.release(job_id, lease_token'
          . one_of('', ", '0'", ", '20 s'") . ') FROM ' . held() } ],
    [ 3, sub { 'SELECT job_id, faultline.extend(job_id, lease_token) FROM ' . held() } ],
    [ 9, sub { "SELECT m.* FROM pick_arrays('" . one_of('q', 'q', 'r') . "', " . percent() . ', '
          . up_to(4) . ') p, faultline.cancel(p.ids) m' } ],
);
my $calls_weight = 0;
$calls_weight += $_->[0] for @calls;

sub call {
    my $at = rand $calls_weight;
    for my $call (@calls) {
        return $call->[1]->() if ($at -= $call->[0]) < 0;
    }
    return $calls[0][1]->();
}

my $resume = "SELECT faultline.resume_queue(q) FROM unnest(string_to_array('@queues', ' ')) q";

# What an operator does, alone, while no transaction is open if $quiet.
sub operate {
    my ($quiet) = @_;
    my $queue = queue();
    return one_of(
        map({ "SELECT faultline.advance_clock('$_ s')" } up_to(60), up_to(20), 1),
        "SELECT faultline.set_clock(faultline.clock_now() - interval '30 s')",
        "SELECT faultline.pause_queue('$queue')",
        ($resume) x 3,
        'VACUUM faultline.live_jobs',
        $quiet ? (
            'VACUUM FULL faultline.live_jobs',
            "SELECT faultline.drop_queue('$queue', force => true);
             SELECT faultline.create_queue('$queue', max_attempts => 2, backoff_jitter => 0,
                 lease => '1 h')",
            "SELECT faultline.redrive(queue => '$queue')",
            "SELECT faultline.advance_clock('2 h'); SELECT faultline.expire_leases(100000)",
        ) : ());
}

# INV_104 tells of jobs that wait for long, as they do in a queue that is paused.
my $rows = <<'SQL';
SELECT job_id, queue, state, attempt, priority, next_run_at, lease_expires_at, last_error
  FROM faultline.jobs ORDER BY job_id;
SELECT job_id, attempt, outcome FROM faultline.ended_attempts ORDER BY job_id, attempt;
SELECT * FROM faultline.check_invariants() WHERE invariant <> 'INV_104'
SQL

# One history: the steps of each session, and their order.
sub history {
    my ($seed, $steps, $order) = @_;
    srand $seed;
    my %depth = map { $_ => 0 } @sessions;    # 0: no transaction, then one more for each savepoint
    my $number = 0;
    my $add = sub {
        my ($session, $text) = @_;
        my $name = "h${seed}_" . ++$number . "_$session";
        push @{ $steps->{$session} }, "step $name { $text; }";
        push @$order, $name;
    };
    for (1 .. $steps_per_history) {
        my $quiet = !grep { $_ > 0 } values %depth;
        if (chance(0.12)) {
            $add->('op', $_) for split /;\s*/, operate($quiet);
            next;
        }
        my $session = one_of(@sessions);
        my $depth = \$depth{$session};
        if (chance(0.2) && $$depth == 0) {
            $add->($session, 'BEGIN');
            $$depth = 1;
        } elsif (chance(0.1) && $$depth > 0) {
            $add->($session, 'SAVEPOINT p' . $$depth++);
        } elsif (chance(0.1) && $$depth > 1) {
            $add->($session, one_of('ROLLBACK TO', 'ROLLBACK TO', 'RELEASE') . ' p' . --$$depth);
        } elsif (chance(0.2) && $$depth > 0) {
            $add->($session, one_of('COMMIT', 'ROLLBACK'));
            $$depth = 0;
        } else {
            $add->($session, call());
        }
    }
    $add->($_, one_of('COMMIT', 'ROLLBACK')) for grep { $depth{$_} > 0 } @sessions;
    # What is left comes in order, now and later.
    $add->('op', $resume);
    for my $wait ('0', '2 h') {
        $add->('op', "SELECT faultline.advance_clock('$wait')");
        $add->('op', 'SELECT faultline.expire_leases(100000)');
        for my $queue (@queues) {
            $add->('s1', "SELECT array_agg(job_id) FROM faultline.claim('$queue', 'w', 5)");
            $add->('s2', "SELECT array_agg(job_id) FROM faultline.claim('$queue', 'w', 10000)");
        }
    }
    $add->('op', $_) for split /;\n/, $rows;
    return;
}

my (%steps, @permutations);
for my $seed ($first_seed .. $first_seed + $histories - 1) {
    my @order;
    history($seed, \%steps, \@order);
    push @permutations, 'permutation ' . join "\n    ", @order;
}
my $spec = join "\n", $setup,
  (map { ("session $_", @{ $steps{$_} }) } @sessions, 'op'), @permutations, '';
note("seeds $first_seed to " . ($first_seed + $histories - 1));

my $tester = dirname($ENV{PG_REGRESS}) . '/../isolation/isolationtester';
my $conf = <<'CONF';
shared_preload_libraries = 'faultline'
faultline.background_worker = off
faultline.allow_virtual_clock = on
faultline.allow_same_transaction = on
autovacuum = off
CONF

my $spec_path = sql_file('histories.spec', $spec);

# They run at the same time, so what they say goes into files.
sub start_run {
    my ($node, $fast) = @_;
    my $out = "$spec_path." . $node->name;
    local $ENV{PGOPTIONS} = "-c faultline.fast_path=$fast -c client_min_messages=error";
    my $run = IPC::Run::start([ $tester, $node->connstr('postgres') ], '<', $spec_path,
        '>', $out, '2>&1', IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));
    return { run => $run, out => $out };
}

# The answers by seed.
sub end_run {
    my ($run, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    ok($run->{run}->finish, "$name: the histories were run");
    my ($head, @answers) = split /^starting permutation: /m, slurp_file($run->{out});
    return @answers;
}

# Two histories differ: says where.
sub first_difference {
    my @left = split /\n/, shift;
    my @right = split /\n/, shift;
    my $step = 'the permutation';
    for my $line (@left) {
        my $other = shift @right // '';
        $step = $line if $line =~ /^step /;
        return "$step\nplain: $line\nfast:  $other" if $line ne $other;
    }
    return "$step\nfast has more: " . ($right[0] // '');
}

my %servers = (
    'small windows, two for four queues' => "faultline.ready_window = 64\nfaultline.max_queues = 2\n",
    'large windows' => "faultline.ready_window = 4096\n",
);
my (@nodes, %runs);
for my $name (sort keys %servers) {
    push @nodes, new_node('path' . @nodes, conf => $conf . $servers{$name});
    $nodes[-1]->safe_psql('postgres', $helpers);
    $runs{$name} = start_run($nodes[-1], 'on');
}
my $without = new_node('plain', conf => $conf);
$without->safe_psql('postgres', $helpers);
my @plain = end_run(start_run($without, 'off'), 'plain path');
is(scalar @plain, $histories, 'all of them');
for my $name (sort keys %servers) {
    my @fast = end_run($runs{$name}, $name);
    my @differ = grep { $plain[$_] ne ($fast[$_] // '') } 0 .. $#plain;
    is(join(' ', map { $first_seed + $_ } @differ), '', "$name: every answer is the same")
      or diag(join "\n", map { first_difference($plain[$_], $fast[$_] // '') } @differ);
}
for my $node (@nodes) {
    my $windows = $node->safe_psql('postgres', 'SELECT count(*) FROM faultline.ready_windows()');
    cmp_ok($windows, '>', 1, $node->name . ' used its windows');
}
for my $node (@nodes, $without) {
    log_is_clean($node);
    $node->stop;
}
my $claims = () = "@plain" =~ /^ *[abcd] *\| *\d+\| *\d+\|2030/mg;
cmp_ok($claims, '>', 20 * $histories, 'many jobs were claimed');
my @violated = "@plain" =~ /^(INV_\d.*)/mg;
is("@violated", '', 'no invariant is violated');
done_testing();
