# The programs against a real server: what they print, and the exit codes that scripts rely on.
use strict;
use warnings;
use FaultlineNode;
use FaultlineWorker;
use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;

my $exit_findings = 1;
my $exit_usage = 2;
my $exit_database = 3;
my $exit_file = 4;

my $node = new_node('cli');
prepare_tables();
my @faultline = (program('faultline'), '--conninfo', $node->connstr('postgres'));
my @load = (@faultline, 'enqueue-file', '--queue', 'q', '--json');

sub prepare_tables {
    $node->safe_psql('postgres', q{
        SELECT faultline.create_queue('q', max_attempts => 2, backoff_base => '0');
        SELECT faultline.create_queue('other')});
    return;
}

# The figures that a load must print, those that are not named being 0.
sub figures {
    my %wanted = (lines => 0, unparsable => 0, conflicts => 0, refused => 0, enqueued => 0,
        deduplicated => 0, @_);
    my $text = JSON::PP->new->canonical->encode(\%wanted);
    return qr/^\Q$text\E$/;
}

sub count_jobs {
    return $node->safe_psql('postgres', 'SELECT count(*) FROM faultline.jobs');
}

sub test_load {
    my $file = sql_file('good.ndjson', qq({"id": "a", "n": 1}\n\n{"id": 2}\r\n{"id": "c"}));
    command_checks_all([ @load, '--kind', 'k', '--key-field', 'id', $file ], 0,
        [ figures(lines => 3, enqueued => 3) ], [qr/^$/], 'load: each line is a job');
    is($node->safe_psql('postgres', q{SELECT string_agg(format('%s %s %s', idempotency_key, kind,
            payload), ', ' ORDER BY job_id) FROM faultline.jobs}),
        'a k {"n": 1, "id": "a"}, 2 k {"id": 2}, c k {"id": "c"}', 'load: with its key');
    command_checks_all([ @load, '--kind', 'k', '--key-field', 'id', '--batch', 1, $file ], 0,
        [ figures(lines => 3, deduplicated => 3) ], [qr/^$/], 'load: again, and nothing is new');

    my $mixed = sql_file('mixed.ndjson', join "\n", '{"id": "d"}', '{"id": "d"}', 'not JSON',
        '{"id": "a", "n": 2}', '{"no": "id"}', '{"id": "e", "text": "\u0000"}', '{"id": "f"}', '');
    command_checks_all([ @load, '--kind', 'k', '--key-field', 'id', $mixed ], $exit_findings,
        [ figures(lines => 7, unparsable => 2, conflicts => 1, refused => 1, enqueued => 2,
                deduplicated => 1) ],
        [ qr/^line 3: unparsable: is not JSON/m, qr/^line 4: conflict: .*JQ003/m,
            qr/^line 5: unparsable: has no field "id"/m, qr/^line 6: refused: /m ],
        'load: bad lines are named, the others are taken');
    is(count_jobs(), 5, 'load: and nothing else is there');

    # Without keys each line is one more job.
    command_checks_all([ @load, $file ], 0, [ figures(lines => 3, enqueued => 3) ], [qr/^$/],
        'load: without keys');
    is(count_jobs(), 8, 'load: makes jobs each time');
    return;
}

# Effects of the lines: what the server does not accept is said of its line, the others are taken.
sub test_load_effects {
    $node->safe_psql('postgres', q{SELECT faultline.create_queue('paid');
        SELECT faultline.create_asset('EUR')});
    my @load_paid = (@faultline, 'enqueue-file', '--queue', 'paid', '--json', '--key-field', 'id',
        '--ledger-field', 'pay');
    my $pay = sub {
        my ($id, $amount, $asset) = @_;
        return qq({"id": "$id", "pay": {"transaction_id": "$id", "debit": "ada", "credit": "shop", )
          . qq("amount": $amount, "asset": "$asset"}});
    };
    my @good = ($pay->('p1', 5, 'EUR'), '{"id": "p2", "pay": null}');
    my $file = sql_file('paid.ndjson', join "\n", @good, $pay->('p1', 5, 'EUR'));
    command_checks_all([ @load_paid, $file ], 0,
        [ figures(lines => 3, enqueued => 2, deduplicated => 1) ], [qr/^$/], 'effects: loaded');
    is($node->safe_psql('postgres', q{SELECT string_agg(format('%s %s %s', idempotency_key,
            t.amount, j.payload ? 'pay'), ', ' ORDER BY job_id) FROM faultline.jobs j
            LEFT JOIN faultline.transactions t USING (job_id) WHERE j.queue = 'paid'}),
        'p1 5 t, p2  t',
        'effects: declared, and the payload keeps them');

    my $mixed = sql_file('mixed_paid.ndjson', join "\n", '{"id": "p3"}', '{"id": "p4", "pay": 5}',
        $pay->('p5', 5, 'XAU'), $pay->('p6', '1.5', 'EUR'), $pay->('p7', 0, 'EUR'),
        '{"id": "p8", "pay": {"amount": 5}}', $pay->('p1', 6, 'EUR'),
        '{"id": "p9", "pay": {"transaction_id": "p1", "debit": "ada", "credit": "shop", "amount": 5, '
          . '"asset": "EUR"}}', $pay->('p10', 5, 'EUR'));
    command_checks_all([ @load_paid, $mixed ], $exit_findings,
        [ figures(lines => 9, unparsable => 2, conflicts => 2, refused => 4, enqueued => 1) ],
        [ qr/^line 1: unparsable: has no field "pay" to be the effect$/m,
            qr/^line 2: unparsable: field "pay" is neither an object nor null$/m,
            qr/^line 3: refused: .*XAU/m, qr/^line 4: refused: .*whole number/m,
            qr/^line 5: refused: .*amount/m, qr/^line 6: refused: .*missing/m,
            qr/^line 7: conflict: .*JQ003/m, qr/^line 8: conflict: .*JQ007/m ],
        'effects: bad ones are named, the others are taken');
    is($node->safe_psql('postgres', 'SELECT string_agg(transaction_id || amount, $$, $$ ORDER BY
            job_id) FROM faultline.transactions'), 'p15, p105', 'effects: and nothing else is there');
    $node->safe_psql('postgres', q{SELECT faultline.cancel(array_agg(job_id))
        FROM faultline.jobs WHERE queue = 'paid'});
    return;
}

sub test_load_refused {
    my $file = sql_file('file.ndjson', '{"id": "z"}');
    command_checks_all([ @load, '/nonexistent/file' ], $exit_file, [qr/^$/],
        [qr/could not read "\/nonexistent\/file"/], 'load: no such file');
    command_checks_all([ @load, PostgreSQL::Test::Utils::tempdir() ], $exit_file, [qr/^$/],
        [qr/could not read/], 'load: a folder');
    command_checks_all([ @load, '--queue', 'qq', $file ], $exit_usage, [qr/^/], [qr/--queue/],
        'load: an option given twice');
    command_checks_all([ @faultline, 'enqueue-file', '--queue', 'qq', '--json', $file ],
        $exit_database, [qr/"enqueued":0/],
        [ qr/JQ005/, qr/Lines up to 0 are settled; the lines after it were not enqueued/ ],
        'load: no such queue');
    command_checks_all([ program('faultline'), '--conninfo', 'host=/nonexistent', 'status' ],
        $exit_database, [qr/^$/], [qr/^faultline: /], 'no server');
    command_checks_all([ @faultline, 'nonsense' ], $exit_usage, [qr/^/], [qr/nonsense|subcommand/],
        'no such command');
    command_checks_all([ @faultline, 'jobs', '--state', 'lost' ], $exit_usage, [qr/^/], [qr/lost/],
        'no such state');
    command_checks_all([ @faultline, 'dead-letters', 'redrive' ], $exit_usage, [qr/^/],
        [qr/give either --job or --queue/], 'redrive of nothing');
    command_checks_all([ program('order_worker'), '--queue', 'no queue' ], $exit_usage, [qr/^$/],
        [qr/the queue name "no queue" is not/], 'a worker with a bad queue name');
    command_checks_all([ program('order_worker'), '--queue', 'q', '--conninfo',
            'host=/nonexistent' ], 1, [qr/^$/], [qr/^order_worker: /], 'a worker without a server');
    command_checks_all([ program('order_worker'), '--queue', 'qq', '--conninfo',
            $node->connstr('postgres') ], 1, [qr/^$/], [qr/JQ005/], 'a worker without its queue');
    return;
}

sub test_lists {
    my $lease = $node->safe_psql('postgres',
        q{SELECT job_id || ', ' || lease_token FROM faultline.claim('q', 'somebody')});
    my ($job) = split /,/, $lease;
    command_checks_all([ @faultline, 'status' ], 0,
        [ qr/^queue +queued +scheduled +running/m, qr/^q +7 +0 +1 +0 /m, qr/^other +0 +0 +0 +0/m ],
        [qr/^$/], 'status: the queues');
    command_checks_all([ @faultline, 'jobs', '--queue', 'q', '--state', 'running' ], 0,
        [ qr/^ *$job +q +k +running +1\/2 .*somebody/m ], [qr/^$/], 'jobs: the one that runs');
    command_checks_all([ @faultline, 'jobs', '--limit', 2 ], 0,
        [ qr/\A([^\n]*\n){3,4}\(the newest 2; --limit shows more\)\n\z/ ], [qr/^$/], 'jobs: a few');
    command_checks_all([ @faultline, 'dead-letters' ], 0, [qr/^no dead letters$/], [qr/^$/],
        'dead-letters: none');
    $node->safe_psql('postgres', "SELECT faultline.fail($lease, 'beyond repair', discard => true)");
    command_checks_all([ @faultline, 'dead-letters', '--queue', 'q' ], 0,
        [ qr/^ *$job +q +k +discarded +1 .*beyond repair$/m ], [qr/^$/], 'dead-letters: one');
    command_checks_all([ @faultline, 'dead-letters', 'redrive', '--job', $job, '--job', 999_999 ],
        $exit_findings, [ qr/999999 +unknown_job/, qr/^redriven: 1, not redriven: 1$/m ], [qr/^$/],
        'redrive: one of two');
    is(state_of($node, $job), 'queued, attempt 1', 'redrive: it is back in its queue');
    command_checks_all([ @faultline, 'dead-letters', 'redrive', '--queue', 'q' ], 0,
        [qr/^redriven: 0, not redriven: 0$/], [qr/^$/], 'redrive: nothing there is no failure');
    return;
}

sub test_check {
    command_checks_all([ @faultline, 'check' ], 0, [qr/^invariants checked: 0 violations$/],
        [qr/^$/], 'check: all is well');
    my $job = $node->safe_psql('postgres', q{UPDATE faultline.live_jobs SET lease_owner = 'nobody'
        WHERE job_id = (SELECT min(job_id) FROM faultline.live_jobs) RETURNING job_id});
    command_checks_all([ @faultline, 'check' ], $exit_findings,
        [ qr/^INV_009 +$job +\S/m, qr/^invariants checked: 1 violations$/m ], [qr/^$/],
        'check: damage is found');
    $node->safe_psql('postgres',
        "UPDATE faultline.live_jobs SET lease_owner = NULL WHERE job_id = $job");
    return;
}

test_load();
test_load_refused();
test_load_effects();
test_lists();
test_check();

invariants_hold($node, 'postgres');
log_is_clean($node);
$node->stop;
done_testing();
