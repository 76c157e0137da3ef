# Workers that die, freeze, or lose their lease or their server: each job is done once, and what an
# overtaken or interrupted handler wrote is rolled back.
use strict;
use warnings;
use FaultlineNode;
use FaultlineWorker;
use PostgreSQL::Test::Utils;
use Test::More;

my $order_count = 240;
my $order_worker_count = 3;
my $order_ms = 20;
my $held_jobs = 3;
my $heartbeat_ms = 20;
my $exit_by_job = 7;

# Commits wait for a standby that never comes, in the sessions that ask for it and in no other.
my $node = new_node('worker_faults', conf => <<'CONF');
faultline.allow_virtual_clock = on
wal_level = replica
max_wal_senders = 1
synchronous_commit = local
synchronous_standby_names = 'nobody'
CONF
prepare_probes($node);

sub end_all_leases {
    $node->safe_psql('postgres', q{SELECT faultline.advance_clock('1 h');
        SELECT faultline.expire_leases()});
    return;
}

# Attempts that end by "apply" have an effect to apply; the other ones end by "succeed".
sub enqueue_ending {
    my ($queue, $end, @attempts) = @_;
    return $end eq 'apply'
      ? enqueue_payment($node, $queue, {}, @attempts)
      : enqueue_steps($node, $queue, @attempts);
}

sub is_moved_once {
    my ($job, $end, $attempt, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    return is(entries_of($node, $job),
        $end eq 'apply' ? "7 from payer to payee in attempt $attempt" : '', "$name: one effect");
}

# kill -9 in the middle of a batch: all its jobs run elsewhere when their leases have ended, and
# what the dead worker's transaction wrote is gone.
sub test_kill {
    $node->safe_psql('postgres', q{SELECT faultline.create_queue('kill', backoff_base => '0')});
    close_gate($node);
    my @jobs = (enqueue_steps($node, 'kill', [ 'mark', 'gate' ], ['mark']),
        map { enqueue_steps($node, 'kill', ['mark']) } 2 .. $held_jobs);
    my $victim = start_worker($node, 'victim', 'kill', '--batch', $held_jobs);
    await_at_gate($node, $victim);
    signal_worker($victim, 'KILL');
    end_worker($victim, 9);
    end_worker(start_worker($node, 'early', 'kill', '--drain'));
    is($node->safe_psql('postgres', q{SELECT count(*) FROM faultline.jobs
            WHERE lease_owner = 'victim'}), $held_jobs, 'kill: until then nobody gets its jobs');
    end_all_leases();
    my $heir = end_worker(start_worker($node, 'heir', 'kill', '--drain'));
    is($heir->{succeeded}, $held_jobs, 'kill: after its leases another worker runs them all');
    open_gate();
    ok($node->poll_query_until('postgres', q{SELECT count(*) = 0 FROM pg_stat_activity
            WHERE application_name = 'victim'}), 'kill: the dead one\'s transaction is over');
    for my $job (@jobs) {
        is(attempts_of($node, $job), '1 victim lease_expired: lease expired',
            "kill: job $job was lost once");
        is(marks_of($node, $job), 'heir in attempt 2', "kill: job $job was done once");
    }
    marks_match($node, 'kill', $held_jobs);
    return;
}

# A job that kills each worker that takes it ends as a dead letter; the others go on.
sub test_poison {
    $node->safe_psql('postgres', q{SELECT faultline.create_queue('poison', max_attempts => 2,
        backoff_base => '0')});
    my $poison = enqueue_steps($node, 'poison', [ 'mark', 'exit' ]);
    my $good = enqueue_steps($node, 'poison', ['mark']);
    for my $name ('first', 'second') {
        end_worker(start_worker($node, "poison_$name", 'poison', '--batch', 1, '--drain'),
            $exit_by_job << 8);
        end_all_leases();
    }
    end_worker(start_worker($node, 'poison_third', 'poison', '--drain'));
    is($node->safe_psql('postgres', "SELECT reason, attempt FROM faultline.dead_letters
            WHERE job_id = $poison"), 'attempts_exhausted|2', 'poison: it ends as a dead letter');
    is(state_of($node, $good), 'succeeded, attempt 1', 'poison: the job behind it is done');
    marks_match($node, 'poison', 1);
    return;
}

# A worker is frozen, another takes its job over and finishes it, the first goes on: its transaction
# is refused, so its mark never appears. Also when its effect "exists", by the other's hand.
sub test_frozen {
    my ($queue, $end) = @_;
    $node->safe_psql('postgres', "SELECT faultline.create_queue('$queue', backoff_base => '0')");
    close_gate($node);
    my $job = enqueue_ending($queue, $end, [ 'mark', 'gate', $end ], [ 'mark', $end ]);
    my $zombie = start_worker($node, "zombie_$queue", $queue, '--drain');
    await_at_gate($node, $zombie);
    freeze_worker($zombie);
    end_all_leases();
    end_worker(start_worker($node, "successor_$queue", $queue, '--drain'));
    is(marks_of($node, $job), "successor_$queue in attempt 2", "$queue: the successor does the job");
    open_gate();
    signal_worker($zombie, 'CONT');
    my $report = end_worker($zombie);
    is_deeply([ @$report{ 'succeeded', 'failed attempts', 'leases lost' } ], [ 0, 0, 1 ],
        "$queue: the zombie reports the lost lease and no success");
    like(log_of($zombie), qr/job $job: rolled back: .*SQLSTATE JQ001/, "$queue: JQ001 refused it");
    is(marks_of($node, $job), "successor_$queue in attempt 2", "$queue: the mark is the successor's");
    is_moved_once($job, $end, 2, $queue);
    marks_match($node, $queue, 1);
    return;
}

# The same with a worker that is awake: its heartbeat tells the handler. Whatever the handler makes
# of it, success or failure, is refused.
sub test_stolen {
    my ($reaction) = @_;
    my $queue = "stolen_$reaction";
    $node->safe_psql('postgres', "SELECT faultline.create_queue('$queue', backoff_base => '0')");
    my $job = enqueue_steps($node, $queue, [ 'mark', 'await interruption', $reaction ], ['mark']);
    my $robbed = start_worker($node, "robbed_$reaction", $queue, '--heartbeat-ms', $heartbeat_ms);
    await_state($node, $job, 'running');
    ok($node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity
            WHERE application_name = '$robbed->{name}' AND state = 'idle in transaction'
              AND query LIKE 'INSERT INTO marks%'"), "stolen, $reaction: the handler has begun");
    # In one transaction, so that no renewal comes between.
    my $lease = $node->safe_psql('postgres', "BEGIN; SELECT FROM faultline.advance_clock('1 h');
        SELECT FROM faultline.expire_leases();
        SELECT job_id || ', ' || lease_token FROM faultline.claim('$queue', 'thief'); COMMIT");
    like($lease, qr/^$job, \d+$/, "stolen, $reaction: another worker claims the job");
    ok($node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity
            WHERE application_name = '$robbed->{name}' AND query LIKE 'CALL %wait_for_jobs(%'"),
        "stolen, $reaction: the robbed one is done with it");
    signal_worker($robbed, 'TERM');
    my $report = end_worker($robbed);
    is_deeply([ @$report{ 'succeeded', 'failed attempts', 'leases lost' } ], [ 0, 0, 1 ],
        "stolen, $reaction: it reports the lost lease only");
    like(log_of($robbed), qr/job $job: interrupted: lease lost/, "stolen, $reaction: it was told");
    is(state_of($node, $job), 'running, attempt 2', "stolen, $reaction: the thief still has it");
    is(marks_of($node, $job), '', "stolen, $reaction: the mark was rolled back");
    is($node->safe_psql('postgres', "INSERT INTO marks VALUES ($job, 'thief', 2);
            SELECT faultline.complete($lease)"), 'succeeded', "stolen, $reaction: and finishes it");
    marks_match($node, $queue, 1);
    return;
}

# The connection is cut while the handler runs: the attempt failed, the next one does the job.
sub test_cut_in_job {
    $node->safe_psql('postgres', q{SELECT faultline.create_queue('cut', backoff_base => '0')});
    close_gate($node);
    my $job = enqueue_steps($node, 'cut', [ 'mark', 'gate' ], ['mark']);
    my $worker = start_worker($node, 'cut', 'cut', '--drain');
    await_at_gate($node, $worker);
    $node->safe_psql('postgres', q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE application_name = 'cut'});
    my $report = end_worker($worker);
    open_gate();
    is_deeply([ @$report{ 'succeeded', 'failed attempts', 'reconnects', 'commits in doubt' } ],
        [ 1, 1, 1, 0 ], 'cut: one failed attempt, then a success');
    like(attempts_of($node, $job), qr/^1 cut failed: the connection was lost while the job ran/,
        'cut: the error says why');
    marks_match($node, 'cut', 1);
    return;
}

# The connection is cut during a commit that does not take effect.
sub prepare_cuts {
    $node->safe_psql('postgres', <<'SQL');
CREATE FUNCTION cut_commit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_terminate_backend(pg_backend_pid()) WHERE NEW.attempt = 1;
  RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER cut_commit AFTER INSERT ON marks DEFERRABLE INITIALLY DEFERRED
  FOR EACH ROW WHEN (NEW.worker LIKE 'undone%') EXECUTE FUNCTION cut_commit();
SQL
    return;
}

sub test_doubt_undone {
    my ($name, $end) = @_;
    $node->safe_psql('postgres', "SELECT faultline.create_queue('$name', backoff_base => '0')");
    my $job = enqueue_ending($name, $end, [ 'mark', $end ]);
    my $report = end_worker(start_worker($node, $name, $name, '--drain'));
    is_deeply([ @$report{ 'succeeded', 'failed attempts', 'commits in doubt' } ], [ 1, 1, 1 ],
        "$name: in doubt once, failed once, done at last");
    like(attempts_of($node, $job), qr/^1 $name failed: .*commit, which did not take effect$/,
        "$name: the error says why");
    is(marks_of($node, $job), "$name in attempt 2", "$name: one mark");
    is_moved_once($job, $end, 2, $name);
    marks_match($node, $name, 1);
    return;
}

# The same with a commit that did take effect before its answer was lost: it waits for a standby
# when the backend, or the whole server, is taken away. The job must not run again.
sub test_doubt_done {
    my ($name, $end, $cut) = @_;
    $node->safe_psql('postgres', "SELECT faultline.create_queue('$name', backoff_base => '0')");
    my $job = enqueue_ending($name, $end, [ 'mark', 'await standby', $end ], [ 'mark', $end ]);
    my $worker = start_worker($node, $name, $name, '--drain');
    ok($node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity
            WHERE application_name = '$name' AND wait_event = 'SyncRep'"),
        "$name: the commit waits, its effect is safe");
    $cut->();
    my $report = end_worker($worker);
    is_deeply([ @$report{ 'succeeded', 'failed attempts', 'commits in doubt' } ], [ 1, 0, 1 ],
        "$name: in doubt once, and found to be done");
    is(state_of($node, $job), 'succeeded, attempt 1', "$name: one attempt");
    is(marks_of($node, $job), "$name in attempt 1", "$name: one mark");
    is_moved_once($job, $end, 1, $name);
    marks_match($node, $name, 1);
    return;
}

# Restarts of both kinds under running workers: they come back and finish everything.
sub test_restarts {
    $node->safe_psql('postgres', q{SELECT faultline.create_queue('orders', max_attempts => 50,
        lease => '3 s', backoff_base => '0'); SELECT faultline.set_clock(NULL)});
    enqueue_orders($node, 'orders', $order_count);
    my @workers = map { start_worker($node, "clerk_$_", 'orders', program => 'order_worker',
        '--poll-ms', 50, '--milliseconds-per-order', $order_ms) } 1 .. $order_worker_count;
    my $receipts = 0;
    for my $mode ('immediate', 'fast', 'immediate') {
        my $enough = $receipts + $order_count / 8;
        ok($node->poll_query_until('postgres', "SELECT count(*) >= $enough FROM receipts"),
            "restart, $mode: the workers work");
        $node->stop($mode);
        $node->start;
        $receipts = $node->safe_psql('postgres', 'SELECT count(*) FROM receipts');
        cmp_ok($receipts, '<', $order_count, "restart, $mode: in the middle of the work");
    }
    await_ended($node, 'restart: everything is finished');
    signal_worker($_, 'TERM') for @workers;
    for my $worker (@workers) {
        cmp_ok(end_worker($worker)->{reconnects}, '>', 0, "$worker->{name} came back");
    }
    is($node->safe_psql('postgres', q{SELECT count(*) FROM faultline.jobs
            WHERE state <> 'succeeded' AND queue = 'orders'}), '0', 'restart: with success');
    receipts_match($node, $order_count);
    return;
}

test_kill();
test_poison();
test_frozen('frozen', 'succeed');
test_frozen('frozen_effect', 'apply');
test_stolen($_) for 'mark', 'fail';
test_cut_in_job();
prepare_cuts();
for my $end ('succeed', 'apply') {
    test_doubt_undone("undone_$end", $end);
    test_doubt_done("terminated_$end", $end, sub {
        $node->safe_psql('postgres', "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
            WHERE application_name = 'terminated_$end'");
    });
    for my $mode ('fast', 'immediate') {
        test_doubt_done("stopped_${mode}_$end", $end, sub { $node->stop($mode); $node->start });
    }
}
test_restarts();

invariants_hold($node, 'postgres');
log_is_clean($node);
$node->stop;
done_testing();
