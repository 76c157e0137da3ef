# Kill -9 at each point of a job's way through the ledger, of the session and of the whole server:
# what is found after recovery, what the client hears when it asks again, and where the job, its
# transaction and its entry end once leases have ended and maintenance or reconciliation has run.
use strict;
use warnings;
use FaultlineNode;
use IPC::Run ();
use PostgreSQL::Test::Utils;
use Test::More;

# In "found", "end" and "later": state of the job (retrying: queued, but not yet), its attempt, the
# states of its transactions by generation, the number of its entries.  Each case runs twice: the
# client of one job asks again right after recovery and hears "again", so that the job's way leads
# to "end"; that of the other only after the lease has ended, when the job is "later" and it
# hears "late".  both: also for a job that declared nothing, whose transaction exists only from its
# entry on.
my @applying    = qw(apply_before_entry apply_after_entry transaction_pre_commit);
my @settling    = qw(fail_before_settle settle_before_update transaction_pre_commit);
my $running     = 'running 1 INIT 0';
my $queued      = 'queued 1 INIT 0';
my $retrying    = 'retrying 1 INIT 0';
my $applied     = 'running 1 APPLIED 1';
my $succeeded   = 'succeeded 1 APPLIED 1';
my $reconciled  = 'succeeded 1 RECONCILED 1';
my $failed      = 'failed 1 FAILED 0';
my $redriven    = 'queued 1 FAILED,INIT 0';
my $reversed    = 'succeeded 1 RECONCILED,RECONCILED 2';
my @crash_points = (
    { is => 'inside enqueue', before => 'nothing', call => 'enqueue',
        at => [qw(enqueue_after_insert transaction_pre_commit)],
        found => 'none 0', again => 'its id', end => 'queued 0 INIT 0',
        later => 'none 0', late => 'its id' },
    { is => 'enqueued, not heard', before => 'nothing', call => 'enqueue',
        at => ['transaction_committed'],
        found => 'queued 0 INIT 0', again => 'its id', end => 'queued 0 INIT 0',
        later => 'queued 0 INIT 0', late => 'its id' },
    { is => '1 inside claim', before => 'queued', call => 'claim', both => 1,
        at => [qw(claim_after_update transaction_pre_commit)],
        found => 'queued 0 INIT 0', again => 'a job', end => $retrying,
        later => 'queued 0 INIT 0', late => 'a job' },
    { is => '2 after the commit of claim', before => 'queued', call => 'claim', both => 1,
        at => ['transaction_committed'],
        found => $running, again => 'nothing', end => $retrying, later => $retrying,
        late => 'nothing' },
    { is => '3 inside apply', before => 'running', call => 'apply_ledger', both => 1,
        at => \@applying,
        found => $running, again => 'applied', end => $reconciled, later => $retrying,
        late => 'JQ001' },
    { is => '3 inside apply', before => 'running', call => 'apply_ledger',
        at => ['apply_after_state'],
        found => $running, again => 'applied', end => $reconciled, later => $retrying,
        late => 'JQ001' },
    { is => '4 after the commit of apply', before => 'running', call => 'apply_ledger', both => 1,
        at => ['transaction_committed'],
        found => $applied, again => 'exists', end => $reconciled, later => $reconciled,
        late => 'exists' },
    { is => '5 inside complete', before => 'applied', call => 'complete', both => 1,
        at => [qw(complete_after_delete complete_after_archive transaction_pre_commit)],
        found => $applied, again => 'succeeded', end => $reconciled, later => $reconciled,
        late => 'already_succeeded' },
    { is => '6 inside apply_and_complete', before => 'running', call => 'apply_and_complete',
        both => 1, at => [ @applying, 'apply_after_complete' ],
        found => $running, again => 'applied', end => $reconciled, later => $retrying,
        late => 'JQ001' },
    { is => '6 inside apply_and_complete', before => 'running', call => 'apply_and_complete',
        at => ['apply_after_state'],
        found => $running, again => 'applied', end => $reconciled, later => $retrying,
        late => 'JQ001' },
    { is => '6 inside apply_and_complete_many', before => 'running', call => 'apply_many',
        at => [qw(apply_after_entry transaction_pre_commit)],
        found => $running, again => 'applied', end => $reconciled, later => $retrying,
        late => 'stale_lease' },
    { is => '7 many applied and completed, not heard', before => 'running', call => 'apply_many',
        at => ['transaction_committed'],
        found => $succeeded, again => 'exists', end => $reconciled, later => $reconciled,
        late => 'exists' },
    { is => '7 completed, not heard', before => 'applied', call => 'complete', both => 1,
        at => ['transaction_committed'],
        found => $succeeded, again => 'already_succeeded', end => $reconciled,
        later => $reconciled, late => 'already_succeeded' },
    { is => '7 applied and completed, not heard', before => 'running', call => 'apply_and_complete',
        both => 1, at => ['transaction_committed'],
        found => $succeeded, again => 'exists', end => $reconciled, later => $reconciled,
        late => 'exists' },
    { is => '8 effect outside, none inside', before => 'charged', call => 'apply_and_complete',
        both => 1, at => ['apply_before_entry'],
        found => $running, again => 'applied', end => $reconciled, later => $retrying,
        late => 'JQ001' },
    { is => 'inside fail', before => 'running', call => 'fail', both => 1, at => \@settling,
        found => $running, again => 'retrying', end => $queued, later => $retrying,
        late => 'JQ001' },
    { is => 'failed, not heard', before => 'running', call => 'fail', both => 1,
        at => ['transaction_committed'],
        found => $retrying, again => 'retrying', end => $queued, later => $queued,
        late => 'retrying' },
    { is => 'inside fail for good', before => 'running', call => 'discard', both => 1,
        at => \@settling,
        found => $running, again => 'failed', end => $failed, later => $retrying,
        late => 'JQ001' },
    { is => 'failed for good, not heard', before => 'running', call => 'discard', both => 1,
        at => ['transaction_committed'],
        found => $failed, again => 'failed', end => $failed, later => $failed, late => 'failed' },
    { is => 'inside fail of the last attempt', before => 'running', call => 'fail', both => 1,
        max_attempts => 1, at => \@settling,
        found => $running, again => 'failed', end => $failed, later => $failed,
        late => 'JQ001' },
    { is => 'inside fail after apply', before => 'applied', call => 'fail', both => 1,
        at => \@settling,
        found => $applied, again => 'succeeded', end => $reconciled, later => $reconciled,
        late => 'succeeded' },
    { is => 'failed after apply, not heard', before => 'applied', call => 'fail', both => 1,
        at => ['transaction_committed'],
        found => $succeeded, again => 'succeeded', end => $reconciled, later => $reconciled,
        late => 'succeeded' },
    { is => 'inside release', before => 'running', call => 'release',
        at => [qw(settle_before_update release_after_update transaction_pre_commit)],
        found => $running, again => 'nothing', end => $queued, later => $retrying,
        late => 'JQ001' },
    { is => 'released, not heard', before => 'running', call => 'release',
        at => ['transaction_committed'],
        found => $queued, again => 'nothing', end => $queued, later => $queued,
        late => 'nothing' },
    { is => 'inside cancel of a queued job', before => 'queued', call => 'cancel', both => 1,
        at => [qw(cancel_after_update transaction_pre_commit)],
        found => 'queued 0 INIT 0', again => 'cancelled', end => 'cancelled 0 FAILED 0',
        later => 'queued 0 INIT 0', late => 'cancelled' },
    { is => 'cancelled, not heard', before => 'queued', call => 'cancel', both => 1,
        at => ['transaction_committed'],
        found => 'cancelled 0 FAILED 0', again => 'already_finished',
        end => 'cancelled 0 FAILED 0', later => 'cancelled 0 FAILED 0',
        late => 'already_finished' },
    { is => 'inside cancel of a running job', before => 'running', call => 'cancel', both => 1,
        at => [qw(cancel_after_update transaction_pre_commit)],
        found => $running, again => 'cancel_requested', end => 'cancelled 1 FAILED 0',
        later => $retrying, late => 'cancelled' },
    { is => 'asked to stop, not heard', before => 'running', call => 'cancel', both => 1,
        at => ['transaction_committed'],
        found => $running, again => 'cancel_requested', end => 'cancelled 1 FAILED 0',
        later => 'cancelled 1 FAILED 0', late => 'already_finished' },
    { is => 'inside redrive', before => 'failed', call => 'redrive', both => 1,
        at => [qw(redrive_after_insert transaction_pre_commit)],
        found => $failed, again => 'queued', end => $redriven, later => $failed,
        late => 'queued' },
    { is => 'redriven, not heard', before => 'failed', call => 'redrive', both => 1,
        at => ['transaction_committed'],
        found => $redriven, again => 'not_failed', end => $redriven, later => $redriven,
        late => 'not_failed' },
    { is => 'inside reversal', before => 'applied', call => 'reverse', both => 1,
        at => \@applying,
        found => $applied, again => 'reversed', end => $reversed, later => $reconciled,
        late => 'reversed' },
    { is => 'reversed, not heard', before => 'applied', call => 'reverse', both => 1,
        at => ['transaction_committed'],
        found => 'running 1 APPLIED,APPLIED 2', again => 'reversed', end => $reversed,
        later => $reversed, late => 'reversed' },
);

my $effect = q{'%s', 'payer %s', 'shop', 100, 'EUR'};
my %call_of = (
    enqueue => q{SELECT faultline.enqueue('%q', idempotency_key => 'key', ledger => %i)},
    claim   => q{SELECT 'a job' FROM faultline.claim('%q', 'w')},
    apply_ledger       => q{SELECT verdict FROM faultline.apply_ledger(%h, %e)},
    # With a row of the application's own in the same transaction.
    apply_and_complete => q{WITH own AS (INSERT INTO paid VALUES ('%q') ON CONFLICT DO NOTHING)
        SELECT verdict FROM faultline.apply_and_complete(%h, %e)},
    apply_many =>
      q{SELECT verdict FROM faultline.apply_and_complete_many(ARRAY[%j], ARRAY[%k])},
    complete           => q{SELECT faultline.complete(%h)},
    fail               => q{SELECT faultline.fail(%h, 'broken')},
    discard            => q{SELECT faultline.fail(%h, 'broken', discard => true)},
    release            => q{SELECT nullif(faultline.release(%h)::text, '')},
    cancel             => q{SELECT verdict FROM faultline.cancel(ARRAY[%j])},
    redrive            => q{SELECT verdict FROM faultline.redrive(ARRAY[%j])},
    reverse            => q{SELECT 'reversed' FROM faultline.reverse_transaction('%t', '%t back', 'x')},
);

my $node = new_node('ledger_crashes', conf => <<'END');
max_connections = 300
restart_after_crash = on
faultline.lab = on
faultline.allow_virtual_clock = on
shared_preload_libraries = faultline
faultline.background_worker = off
END
my $killed = 0;
my %charges;    # what the receiver outside did, by the key it was given
my $deadline_seconds = $PostgreSQL::Test::Utils::timeout_default;

sub sql { return $node->safe_psql('postgres', $_[0]); }

# Rows of two columns as a hash.
sub pairs {
    my ($query) = @_;
    return map { split /\|/, $_, 2 } split /\n/, sql($query);
}

sql(<<'END');
SELECT faultline.set_clock(now());
SELECT faultline.create_asset('EUR'), faultline.open_account('shop', 'EUR', maintain_balance => false);
CREATE TABLE held (queue text PRIMARY KEY, before text, declares boolean, max_attempts integer,
  job_id bigint, lease_token bigint, transaction_id text);
CREATE FUNCTION intent(queue text) RETURNS jsonb LANGUAGE sql AS $$
  SELECT jsonb_build_object('transaction_id', 'pay-' || queue, 'debit', 'payer ' || queue,
                            'credit', 'shop', 'amount', 100, 'asset', 'EUR') $$;
CREATE TABLE paid (queue text PRIMARY KEY);
-- The answer to a call, or the code of its error.
CREATE FUNCTION ask(call text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE answer text;
BEGIN
  EXECUTE call INTO answer;
  RETURN coalesce(answer, 'nothing');
EXCEPTION WHEN OTHERS THEN
  RETURN SQLSTATE;
END $$;
CREATE VIEW situations AS
  SELECT h.queue, concat_ws(' ',
      CASE WHEN j.job_id IS NULL THEN 'none'
           WHEN j.state = 'queued' AND j.next_run_at > faultline.clock_now() THEN 'retrying'
           ELSE j.state END,
      j.attempt,
      (SELECT string_agg(t.state, ',' ORDER BY t.generation) FROM faultline.transactions t
        WHERE t.queue = h.queue),
      (SELECT count(*) FROM faultline.ledger_entries e WHERE 'payer ' || h.queue IN (e.debit, e.credit))) AS situation
    FROM held h LEFT JOIN faultline.jobs j ON j.queue = h.queue;
END

# Both twins of each case at each of its points, with queues of their own.
sub cases_of_round {
    my ($round) = @_;
    my @cases;
    for my $crash (@crash_points) {
        for my $declares ($crash->{both} ? (1, 0) : (1)) {
            for my $point (@{ $crash->{at} }) {
                for my $twin (qw(asks_now asks_later)) {
                    my $name = "$crash->{is} at $point, "
                      . ($declares ? 'declared' : 'undeclared') . ", $twin";
                    push @cases, { %$crash, point => $point, declares => $declares,
                        twin => $twin, name => $name, queue => "${round}_" . scalar @cases };
                }
            }
        }
    }
    return @cases;
}

# A job that declared nothing has no transaction before its entry, and none that failed.
sub situation {
    my ($case, $key) = @_;
    my $text = $case->{$key};
    $text =~ s/ (INIT|FAILED)(,INIT)?// unless $case->{declares};
    return $text;
}

sub prepare_cases {
    my (@cases) = @_;
    my $rows = join ",\n", map {
        sprintf q{('%s', '%s', %s, %d)}, $_->{queue}, $_->{before},
          $_->{declares} ? 'true' : 'false', $_->{max_attempts} // 5
    } @cases;
    sql(<<"END");
TRUNCATE held;
INSERT INTO held (queue, before, declares, max_attempts) VALUES $rows;
SELECT faultline.create_queue(queue, max_attempts => max_attempts, backoff_base => '10 s')
  FROM held \\g /dev/null
SELECT faultline.open_account('payer ' || queue, 'EUR') FROM held \\g /dev/null
UPDATE held SET job_id = faultline.enqueue(queue, ledger => CASE WHEN declares THEN intent(queue) END)
 WHERE before <> 'nothing';
UPDATE held SET (lease_token, transaction_id) =
   (SELECT c.lease_token, c.ledger ->> 'transaction_id' FROM faultline.claim(queue, 'w') c)
 WHERE before NOT IN ('nothing', 'queued');
UPDATE held SET transaction_id = 'pay-' || queue WHERE transaction_id IS NULL;
SELECT e.debit, e.credit, a.* FROM held, jsonb_to_record(intent(queue)) AS e (debit text, credit text),
       faultline.apply_ledger(job_id, lease_token, transaction_id, e.debit, e.credit, 100, 'EUR') a
 WHERE before = 'applied' \\g /dev/null
SELECT faultline.fail(job_id, lease_token, 'broken', discard => true) FROM held
 WHERE before = 'failed' \\g /dev/null
END
    my %held = pairs(q{SELECT queue, concat_ws('|', job_id, lease_token, transaction_id) FROM held});
    for my $case (@cases) {
        my @of_job = split /\|/, $held{ $case->{queue} };
        my $transaction_id = pop @of_job;
        $charges{$transaction_id}++ if $case->{before} eq 'charged';
        my %part = ('%q' => $case->{queue}, '%j' => $of_job[0], '%h' => join(', ', @of_job),
            '%k' => $of_job[1], '%t' => $transaction_id, '%e' => sprintf($effect, $transaction_id, $case->{queue}),
            '%i' => "intent('$case->{queue}')");
        ($case->{sql} = $call_of{ $case->{call} }) =~ s/(%[qjkhtei])/$part{$1}/g;
    }
    return;
}

# Starts a session for each call and waits until each is frozen at its point.
sub freeze {
    my (@cases) = @_;
    my @clients = map {
        my ($output, $errors) = ('', '');
        local $ENV{PGAPPNAME} = 'frozen';
        IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres'),
                '-c', "SET faultline.debug_points = '$_->{point}=stop'", '-c', $_->{sql} ],
            '<', \undef, '>', \$output, '2>', \$errors)
    } @cases;
    my $frozen = q{SELECT pid FROM pg_stat_activity WHERE application_name = 'frozen'
        AND split_part(pg_read_file('/proc/' || pid || '/stat', 0, 1000, true), ' ', 3) = 'T'};
    my $all = $node->poll_query_until('postgres',
        "SELECT count(*) = " . scalar @cases . " FROM ($frozen) f");
    return ([ split /\n/, sql($frozen) ], @clients) if $all;
    my %is_frozen = map { $_ => 1 } split /\n/, sql("SELECT query FROM pg_stat_activity WHERE pid IN ($frozen)");
    diag("not frozen at $_->{point}: $_->{sql}") for grep { !$is_frozen{ $_->{sql} } } @cases;
    $_->kill_kill for @clients;
    die 'not all are frozen at their points';
}

# Kills the frozen sessions, or the postmaster and then them; then the server is up again.
sub crash {
    my ($victim, $frozen, @clients) = @_;
    if ($victim eq 'backend') {
        my $log_end = -s $node->logfile;
        kill 'KILL', @$frozen;
        $killed++;
        $node->wait_for_log(qr/all server processes terminated; reinitializing/, $log_end);
        $node->poll_query_until('postgres', 'SELECT true') or die 'the server is not back';
    } else {
        my ($postmaster) = slurp_file($node->data_dir . '/postmaster.pid') =~ /^(\d+)/;
        my @processes = ($postmaster, split /\n/, sql('SELECT pid FROM pg_stat_activity'));
        $node->kill9;
        kill 'KILL', @$frozen;
        # One that is left would keep the memory of the old server, and its number the lock files.
        PostgreSQL::Test::Utils::system_or_bail("$ENV{FAULTLINE_ROOT}/scripts/wait-until",
            $deadline_seconds, 'bash', '-c', "! kill -0 @processes 2>/dev/null");
        $node->start;
    }
    $_->finish for @clients;
    return;
}

# Compares the situation of all cases with what their key says; one line of output if all is well.
sub situations_are {
    my ($name, $key_of, @cases) = @_;
    my %seen = pairs('SELECT * FROM situations');
    my %expected = map { $_->{queue} => situation($_, $key_of->($_)) } @cases;
    my @wrong = grep { $seen{ $_->{queue} } ne $expected{ $_->{queue} } } @cases;
    ok(!@wrong, $name);
    diag("$_->{name}: $seen{$_->{queue}}, expected $expected{$_->{queue}}") for @wrong;
    is(sql(<<'END'), '', "$name: transaction_status() says the same");
SELECT h.queue, t.state, s.state FROM held h
  LEFT JOIN LATERAL faultline.transaction_status('pay-' || h.queue) s ON true
  LEFT JOIN faultline.transactions t ON t.transaction_id = 'pay-' || h.queue
 WHERE (s.state, s.entry_id, s.job_id) IS DISTINCT FROM (t.state, t.entry_id, t.job_id)
END
    my $paying = join ', ', map { "'$_->{queue}'" } grep { $_->{call} eq 'apply_and_complete' } @cases;
    is(sql(<<"END"), '', "$name: the application's own rows are there with the entries, or not");
SELECT queue FROM paid FULL JOIN
  (SELECT substr(debit, 7) AS queue FROM faultline.ledger_entries) e USING (queue)
 WHERE queue IN ($paying) AND (paid IS NULL) <> (e IS NULL)
END
    is(sql(<<'END'), '', "$name: balances are the sums of the entries");
SELECT account, balance FROM faultline.ledger_accounts
 WHERE balance <> faultline.sum_of_entries(account, asset, 'infinity')
END
    invariants_hold($node, 'postgres', "$name: no invariant is violated");
    return;
}

# Each client asks again, in a transaction of its own.
sub answers_are {
    my ($name, $key, @cases) = @_;
    my $script = join "\n", map { "SELECT '$_->{queue}', ask(\$call\$$_->{sql}\$call\$);" } @cases;
    my %answer = map { split /\|/, $_, 2 } split /\n/, sql($script);
    my %id = pairs('SELECT queue, job_id FROM faultline.jobs');
    my $wrong = 0;
    for my $case (@cases) {
        my $heard = $answer{ $case->{queue} };
        $heard = 'its id' if $case->{call} eq 'enqueue' && $heard eq ($id{ $case->{queue} } // '');
        next if $heard eq $case->{$key};
        $wrong++;
        diag("$case->{name}: asked again, $heard, expected $case->{$key}");
    }
    ok(!$wrong, $name);
    return;
}

my $digest = q{SELECT md5(string_agg(r, ' ' ORDER BY r)) FROM (
    SELECT t::text FROM faultline.ledger_transactions t UNION ALL
    SELECT e::text FROM faultline.ledger_entries e UNION ALL
    SELECT a::text FROM faultline.ledger_accounts a UNION ALL
    SELECT (to_jsonb(j) - 'lease_expires_at')::text FROM faultline.jobs j UNION ALL
    SELECT f::text FROM faultline.ledger_findings f) x (r)};

# After a crash each lease has its length once more, from when somebody first asks for its end.
sub let_leases_end {
    sql('SELECT count(lease_expires_at) FROM faultline.jobs');
    sql(q{SELECT faultline.advance_clock('5 min')});
    return;
}

# Work goes on: what is queued runs to its end, and nobody outside hears a new id for an old charge.
sub drain {
    my ($victim, @cases) = @_;
    let_leases_end();
    my @steps = map { "SELECT FROM faultline.$_ \\g /dev/null" } q{advance_clock('5 min')},
      'reconcile()', q{advance_clock('5 min')};
    my $claimed = sql(join "\n", @steps, <<'END');
WITH claimed AS MATERIALIZED (
  SELECT h.queue AS of_queue, c.job_id, c.lease_token, c.ledger
    FROM held h, LATERAL faultline.claim(h.queue, 'second') c)
UPDATE held h SET lease_token = c.lease_token, job_id = c.job_id, before = 'claimed again',
       transaction_id = coalesce(c.ledger ->> 'transaction_id', h.transaction_id)
  FROM claimed c WHERE c.of_queue = h.queue RETURNING h.transaction_id;
END
    my @charged = grep { $_->{before} eq 'charged' } @cases;
    my %charged = map { ("pay-$_->{queue}" => 1) } @charged;
    $charges{$_}++ for grep { $charged{ s/~.*//r } } split /\n/, $claimed;
    is_deeply({ map { ($_ => $charges{$_}) } grep { $charged{ s/~.*//r } } keys %charges },
        { map { ("pay-$_->{queue}" => $_->{twin} eq 'asks_now' ? 1 : 2) } @charged },
        "$victim: the receiver outside hears of a charge again by the same id only");
    sql(q{SELECT a.* FROM held h, faultline.apply_and_complete(job_id, lease_token, transaction_id,
            'payer ' || queue, 'shop', 100, 'EUR') a WHERE before = 'claimed again'});
    sql('SELECT FROM faultline.reconcile()');
    is(sql(<<'END'), '', "$victim: every job and transaction ends, with one entry or none");
SELECT * FROM situations WHERE situation !~ '^(succeeded \d ((FAILED,)?RECONCILED 1|RECONCILED,RECONCILED 2)|(failed|cancelled) \d( FAILED)? 0|none 0)$'
END
    return;
}

for my $victim (qw(backend postmaster)) {
    my @cases = cases_of_round($victim);
    my @now   = grep { $_->{twin} eq 'asks_now' } @cases;
    my @later = grep { $_->{twin} eq 'asks_later' } @cases;
    # Upkeep as the background worker does it, and by hand.
    my $upkeep = $victim eq 'backend' ? 'maintain' : 'reconcile';
    prepare_cases(@cases);
    crash($victim, freeze(@cases));
    situations_are("$victim: what is found after recovery", sub { 'found' }, @cases);
    answers_are("$victim: the client asks again at once", 'again', @now);

    # The leases end, and whoever settles them is killed as well.
    my $before = sql($digest);
    for my $point (qw(settle_before_update transaction_pre_commit transaction_committed)) {
        let_leases_end();
        crash($victim, freeze({ point => $point, sql => "SELECT FROM faultline.$upkeep()" }));
        my $name = "$victim: $upkeep() killed at $point";
        is(sql($digest), $before, "$name: nothing has changed")
          if $point ne 'transaction_committed';
    }
    situations_are("$victim: $upkeep() killed after its commit: all is done",
        sub { $_[0]->{twin} eq 'asks_now' ? 'end' : 'later' }, @cases);
    $before = sql($digest);
    is(sql('SELECT sum(rows) FROM faultline.reconcile()'), '0', "$victim: reconcile() has nothing to do");
    is(sql($digest), $before, "$victim: reconcile() changes nothing more");
    answers_are("$victim: the client asks again late", 'late', @later);
    drain($victim, @cases);
    invariants_hold($node, 'postgres', "$victim: no invariant is violated in the end");
    is(sql('SELECT code, subject, evidence FROM faultline.ledger_findings LIMIT 5'), '', "$victim: no findings");
}

log_is_clean($node, killed => $killed);
$node->stop;
done_testing();
