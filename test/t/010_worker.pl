# The worker's own life: draining, stopping, keeping leases alive, cancellation, and what becomes
# of a job whose handler fails in any way.
use strict;
use warnings;
use FaultlineNode;
use FaultlineWorker;
use PostgreSQL::Test::Utils;
use Test::More;

my $order_count = 200;
my $held_jobs = 5;
my $heartbeat_ms = 20;

my $node = new_node('worker', conf => "faultline.allow_virtual_clock = on\n");
prepare_probes($node);

# Draining: workers leave when the queue is empty, and receipts equal successes.
sub test_drain {
    $node->safe_psql('postgres', q{SELECT faultline.create_queue('orders', backoff_base => '0')});
    enqueue_orders($node, 'orders', $order_count);
    my @workers = map { start_worker($node, $_, 'orders', program => 'order_worker', '--drain',
        '--milliseconds-per-order', '0') } 'drain_1', 'drain_2';
    my %sum;
    for my $report (map { end_worker($_) } @workers) {
        $sum{$_} += $report->{$_} for keys %$report;
    }
    is($sum{succeeded}, $order_count, 'drain: the workers report each success');
    is($sum{'failed attempts'}, $order_count / 10, 'drain: and each failed attempt');
    is($sum{claimed}, $order_count + $order_count / 10, 'drain: each claim was one or the other');
    is($node->safe_psql('postgres', q{SELECT count(*) FROM faultline.jobs
            WHERE state <> 'succeeded'}), '0', 'drain: nothing is left');
    receipts_match($node, $order_count);
    return;
}

# A signal in the middle of a batch: the job at hand is finished, the others are given back without
# counting as attempts, of which there is only one here.
sub test_stop {
    my ($signal) = @_;
    my $queue = "stop_$signal";
    $node->safe_psql('postgres', "SELECT faultline.create_queue('$queue', max_attempts => 1)");
    close_gate($node);
    my $first = enqueue_steps($node, $queue, [ 'gate', 'mark' ]);
    my @others = map { enqueue_steps($node, $queue, ['mark']) } 2 .. $held_jobs;
    my $stopped = start_worker($node, "stopped_$signal", $queue, '--batch', $held_jobs);
    await_at_gate($node, $stopped);
    is($node->safe_psql('postgres', "SELECT count(*) FROM faultline.jobs
            WHERE lease_owner = 'stopped_$signal'"), $held_jobs, "$signal: it holds all jobs");
    signal_worker($stopped, $signal);
    open_gate();
    my $report = end_worker($stopped);
    is_deeply([ @$report{qw(succeeded released)}, $report->{'failed attempts'} ],
        [ 1, $held_jobs - 1, 0 ], "$signal: it reports one success, and the others released");
    is(marks_of($node, $first), "stopped_$signal in attempt 1", "$signal: the job at hand is done");
    is(attempts_of($node, $_), "1 stopped_$signal released: ", "$signal: job $_ was given back")
      for @others;
    is($node->safe_psql('postgres', "SELECT count(*) FROM faultline.jobs
            WHERE queue = '$queue' AND state = 'queued' AND lease_owner IS NULL"),
        $held_jobs - 1, "$signal: for anybody to claim");
    end_worker(start_worker($node, "next_$signal", $queue, '--drain'));
    is(marks_of($node, $_), "next_$signal in attempt 2", "$signal: the next worker runs job $_")
      for @others;
    marks_match($node, $queue, $held_jobs);
    return;
}

# An idle worker leaves at once when it is asked to, however long it means to wait or to poll.
sub test_stop_idle {
    my %idle_as = (
        waits => q{state = 'active' AND wait_event = 'Extension' AND query LIKE 'CALL %wait_for_jobs(%'},
        polls => q{state = 'idle' AND query LIKE '%claim(%'});
    my %option = (waits => [ '--wait-ms', 3_600_000 ],
        polls => [ '--wait-ms', 0, '--poll-ms', 3_600_000 ]);
    $node->safe_psql('postgres', q{SELECT faultline.create_queue('idle')});
    for my $way (sort keys %idle_as) {
        my $idle = start_worker($node, $way, 'idle', @{ $option{$way} });
        ok($node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity
                WHERE application_name = '$way' AND $idle_as{$way}"),
            "idle: it has claimed, found nothing, and $way");
        signal_worker($idle, 'TERM');
        is(end_worker($idle)->{claimed}, '0', 'idle: it leaves');
    }
    return;
}

# A job three times as long as its lease, while another worker waits for it to come free.
sub test_heartbeat {
    $node->safe_psql('postgres', q{SELECT faultline.create_queue('long', lease => '30 s')});
    close_gate($node);
    my $job = enqueue_steps($node, 'long', [ 'mark', 'gate' ]);
    my $keeper = start_worker($node, 'keeper', 'long', '--heartbeat-ms', $heartbeat_ms);
    await_at_gate($node, $keeper);
    my $rival = start_worker($node, 'rival', 'long');
    for my $round (1 .. 5) {
        $node->safe_psql('postgres', q{SELECT faultline.advance_clock('20 s')});
        ok($node->poll_query_until('postgres', "SELECT lease_expires_at = faultline.clock_now()
                + interval '30 s' FROM faultline.jobs WHERE job_id = $job"),
            "long: the lease is renewed, time $round");
        is($node->safe_psql('postgres', 'SELECT faultline.expire_leases()'), '0',
            'long: and does not end');
    }
    is($node->safe_psql('postgres', q{SELECT count(*) FROM pg_stat_activity
            WHERE application_name = 'keeper heartbeat'}), '1', 'long: by a second connection');
    open_gate();
    await_state($node, $job, 'succeeded');
    signal_worker($_, 'TERM') for $keeper, $rival;
    is(end_worker($keeper)->{succeeded}, '1', 'long: its worker finishes it');
    is(end_worker($rival)->{claimed}, '0', 'long: the other one never got it');
    is(state_of($node, $job), 'succeeded, attempt 1', 'long: one attempt');
    is(marks_of($node, $job), 'keeper in attempt 1', 'long: one mark');
    return;
}

# Cancelling a running job: the handler sees it; the job ends as cancelled if it gives up, and
# succeeds if the work is done nevertheless.
sub test_cancel {
    $node->safe_psql('postgres', q{SELECT faultline.create_queue('cancel')});
    my $worker = start_worker($node, 'cancel', 'cancel', '--heartbeat-ms', $heartbeat_ms);
    my %wanted = (fail => 'cancelled', discard => 'cancelled', throw => 'cancelled',
        mark => 'succeeded');
    for my $reaction (sort keys %wanted) {
        my $job = enqueue_steps($node, 'cancel', [ 'await interruption', $reaction ]);
        ok($node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM pg_stat_activity
                WHERE application_name = 'cancel' AND state = 'idle in transaction'}),
            "cancel, $reaction: the handler runs");
        is($node->safe_psql('postgres', "SELECT verdict FROM faultline.cancel(ARRAY[$job])"),
            'cancel_requested', "cancel, $reaction: the worker is asked");
        await_state($node, $job, $wanted{$reaction});
        is(state_of($node, $job), "$wanted{$reaction}, attempt 1", "cancel, $reaction: it ended");
        like(log_of($worker), qr/job $job: interrupted: cancel requested/,
            "cancel, $reaction: the handler saw it");
    }
    marks_match($node, 'cancel', 1);
    signal_worker($worker, 'TERM');
    end_worker($worker);
    return;
}

# A job that is cancelled while it waits in its worker's batch is not even started.
sub test_cancel_in_batch {
    $node->safe_psql('postgres', q{SELECT faultline.create_queue('batch', lease => '30 s')});
    close_gate($node);
    my $first = enqueue_steps($node, 'batch', [ 'mark', 'gate' ]);
    my $second = enqueue_steps($node, 'batch', ['mark']);
    my $worker = start_worker($node, 'batch', 'batch', '--heartbeat-ms', $heartbeat_ms, '--drain');
    await_at_gate($node, $worker);
    $node->safe_psql('postgres', "SELECT faultline.cancel(ARRAY[$second], 'not wanted')");
    # When the second renewal is there, the worker has read the answer of the first.
    for my $time (1 .. 2) {
        $node->safe_psql('postgres', q{SELECT faultline.advance_clock('1 s')});
        ok($node->poll_query_until('postgres', "SELECT lease_expires_at = faultline.clock_now()
                + interval '30 s' FROM faultline.jobs WHERE job_id = $first"),
            "batch: renewal $time");
    }
    open_gate();
    is(end_worker($worker)->{succeeded}, '1', 'batch: the job at hand is finished');
    is(state_of($node, $second), 'cancelled, attempt 1', 'batch: the other one is cancelled');
    like(log_of($worker), qr/job $second: .*cancelled before the handler started/,
        'batch: before it was started');
    marks_match($node, 'batch', 1);
    return;
}

# Handlers that fail in every way are retried, with the text of their error.
sub test_failures {
    $node->safe_psql('postgres', q{SELECT faultline.create_queue('fail', backoff_base => '0')});
    my %error = (
        'fail'                  => qr/^failed on purpose$/,
        'fail without a reason' => qr/^the handler failed without giving a reason$/,
        'fail with bytes'       => qr/^bytes .* end$/,
        'throw'                 => qr/^thrown on purpose$/,
        'throw a number'        => qr/^the handler threw something that is no std::exception$/,
        'break SQL'             => qr/^division by zero \(SQLSTATE 22012\)$/,
        'swallow an error'      => qr/^the handler reported success after a statement of it had/,
        'lose the connection'   => qr/^the connection was lost while the job ran: .*terminating/);
    my %job = map { $_ => enqueue_steps($node, 'fail', [ 'mark', $_ ], ['mark']) } keys %error;
    my $conflict = enqueue_steps($node, 'fail', [ 'mark', 'conflict once' ]);
    my $report = end_worker(start_worker($node, 'fail', 'fail', '--drain'));
    for my $way (sort keys %error) {
        my ($found) = attempts_of($node, $job{$way}) =~ /^1 fail failed: (.*)$/;
        like($found, $error{$way}, "$way: the error is kept");
        is(state_of($node, $job{$way}), 'succeeded, attempt 2', "$way: retried");
        is(marks_of($node, $job{$way}), 'fail in attempt 2', "$way: the failed one left nothing");
    }
    is(state_of($node, $conflict), 'succeeded, attempt 1', 'a conflict costs no attempt');
    is(attempts_of($node, $conflict), '', 'and is no failure');
    is($report->{'failed attempts'}, scalar keys %error, 'the worker reports the failures');
    marks_match($node, 'fail', 1 + keys %error);
    return;
}

# A handler must not end the worker's transaction: what it wrote stays, the job is not done.
sub test_commit_in_handler {
    $node->safe_psql('postgres', q{SELECT faultline.create_queue('commits')});
    my $job = enqueue_steps($node, 'commits', [ 'mark', 'commit' ]);
    end_worker(start_worker($node, 'commits', 'commits', '--drain'));
    is(attempts_of($node, $job), '1 commits failed: the handler ended the transaction that belongs '
          . 'to the worker', 'commit: the handler is told');
    is(state_of($node, $job), 'queued, attempt 1', 'commit: the job is not done');
    return;
}

# Effects, declared and not: a job that succeeds has moved its amount once; an attempt whose effect
# is missing or refused has failed, with everything that it wrote.
sub test_effects {
    $node->safe_psql('postgres', q{SELECT faultline.create_queue('effects', max_attempts => 2,
            backoff_base => '0');
        SELECT faultline.open_account('poor', 'EUR', min_balance => 0)});
    my %job = map { $_ => enqueue_payment($node, 'effects', { transaction_id => $_ }, [ 'mark', $_ ],
            [ 'mark', 'apply' ]) } 'apply', 'apply by hand', 'apply 5', 'mark';
    my $undeclared = enqueue_steps($node, 'effects', [ 'mark', 'apply' ], [ 'mark', 'apply 5' ]);
    my $poor = enqueue_payment($node, 'effects', { debit => 'poor' }, [ 'mark', 'apply' ]);
    my $worker = start_worker($node, 'effects', 'effects', '--drain');
    is(end_worker($worker)->{succeeded}, 5, 'effects: all but one succeed');
    for my $way ('apply', 'apply by hand') {
        is(state_of($node, $job{$way}), 'succeeded, attempt 1', "effects, $way: done");
        is(entries_of($node, $job{$way}), '7 from payer to payee in attempt 1',
            "effects, $way: its amount was moved once");
    }
    like(log_of($worker), qr/job $job{'apply by hand'}: INIT without entry\n.*APPLIED with entry/,
        'effects: the state of a transaction is read');
    my %error = ('apply 5' => [ $job{'apply 5'}, 'JQ007' ], 'none' => [ $job{mark}, 'JQ008' ],
        'undeclared' => [ $undeclared, '22004' ]);
    for my $way (sort keys %error) {
        my ($id, $sqlstate) = @{ $error{$way} };
        like(attempts_of($node, $id), qr/^1 effects failed: .*\(SQLSTATE $sqlstate\)/,
            "effects, $way: the attempt fails");
        is(marks_of($node, $id), 'effects in attempt 2', "effects, $way: with what it wrote");
    }
    is(entries_of($node, $undeclared), '5 from payer to payee in attempt 2',
        'effects, undeclared: the worker says what to move');
    like(attempts_of($node, $poor), qr/\A(\d effects failed: .*\(SQLSTATE JQ014\).*\n?){2}\z/,
        'effects, poor: tried as often as the queue says');
    is($node->safe_psql('postgres', "SELECT state FROM faultline.transactions WHERE job_id = $poor"),
        'FAILED', 'effects, poor: then the transaction has failed');
    marks_match($node, 'effects', 5);
    return;
}

# An error that the worker's options call permanent ends the job at once.
sub test_permanent {
    my $job = $node->safe_psql('postgres', q{SELECT faultline.enqueue('orders', '{"order_id": "unpaid", "currency": "EUR",
        "items": [{"quantity": 1, "price_cents": 9}], "total_cents": 9, "gateway": {"timeouts": 0}}',
        ledger => '{"transaction_id": "unpaid", "debit": "poor", "credit": "shop", "amount": 9,
            "asset": "EUR"}')});
    end_worker(start_worker($node, 'collector', 'orders', program => 'order_worker', '--drain'));
    is($node->safe_psql('postgres', "SELECT reason, attempt, last_error LIKE '%JQ014%'
            FROM faultline.dead_letters WHERE job_id = $job"), 'discarded|1|t',
        'permanent: discarded in the first attempt');
    receipts_match($node, $order_count);
    return;
}

# Dead letters, with the reason and the history of all attempts.
sub test_dead_letters {
    $node->safe_psql('postgres',
        q{SELECT faultline.create_queue('dead', max_attempts => 3, backoff_base => '0')});
    my $exhausted = enqueue_steps($node, 'dead', [ 'mark', 'throw' ], [ 'mark', 'fail' ]);
    my $discarded = enqueue_steps($node, 'dead', [ 'mark', 'fail' ], [ 'mark', 'discard' ]);
    end_worker(start_worker($node, 'dead', 'dead', '--drain'));
    my $letters = q{SELECT format('%s after %s: ', reason, attempt)
            || string_agg(h ->> 'error', ', ' ORDER BY (h ->> 'attempt')::int) FROM faultline.dead_letters,
            jsonb_array_elements(history::jsonb) h};
    is($node->safe_psql('postgres', "$letters WHERE job_id = $exhausted GROUP BY reason, attempt"),
        'attempts_exhausted after 3: thrown on purpose, failed on purpose, failed on purpose',
        'dead: all attempts used up');
    is($node->safe_psql('postgres', "$letters WHERE job_id = $discarded GROUP BY reason, attempt"),
        'discarded after 2: failed on purpose, discarded on purpose', 'dead: discarded early');
    marks_match($node, 'dead', 0);
    return;
}

test_drain();
test_stop($_) for 'TERM', 'INT';
test_stop_idle();
test_heartbeat();
test_cancel();
test_cancel_in_batch();
test_failures();
test_commit_in_handler();
test_effects();
test_permanent();
test_dead_letters();

invariants_hold($node, 'postgres');
log_is_clean($node);
$node->stop;
done_testing();
