# The library in shared_preload_libraries and not there: the same behaviour.  Its settings, and
# sessions that see the extension dropped and created again.
use strict;
use warnings;
use FaultlineNode;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('preload', conf => "faultline.allow_virtual_clock = on\n", extension => 0);

# A cycle of the verbs under the virtual clock, so that its output is the same each time.
my $cycle = <<'SQL';
SELECT faultline.set_clock('2031-05-01 12:00+00');
SELECT faultline.create_queue('q', max_attempts => 2, lease => '10 s', backoff_jitter => 0);
SELECT faultline.enqueue_many('q', '{1,2,3,1}', idempotency_keys => '{a,b,c,a}');
SELECT faultline.enqueue('q', '5', priority => -1, kind => 'urgent');
SELECT job_id, payload, attempt, lease_token AS token FROM faultline.claim('q', 'w') \gset first_
SELECT :'first_payload', :first_attempt, faultline.complete(:first_job_id, :first_token, '"ok"');
SELECT faultline.complete(:first_job_id, :first_token);
SELECT job_id, lease_token AS token FROM faultline.claim('q', 'w') \gset second_
SELECT faultline.fail(:second_job_id, :second_token, 'broken');
SELECT count(*) FROM faultline.claim('q', 'w', 10);
SELECT faultline.advance_clock('1 min');
SELECT faultline.expire_leases();
SELECT * FROM faultline.maintain() WHERE error IS NOT NULL;
SELECT job_id, state, attempt, next_run_at, last_error FROM faultline.jobs ORDER BY job_id;
SELECT queue, queued, scheduled, running, dead_letters, exact FROM faultline.stat_queues;
SELECT * FROM faultline.check_invariants();
SQL

sub settings_are_guarded {
    my ($how, $context) = @_;
    is($node->safe_psql('postgres', <<'SQL'), $context, "$how: who may change the virtual clock");
SELECT faultline.clock_now() \g /dev/null
SELECT context FROM pg_settings WHERE name = 'faultline.allow_virtual_clock';
SQL
    my $load = 'SELECT faultline.clock_now();';
    is(sqlstate($node, 'SET faultline.allow_virtual_clock = off', prelude => $load),
        '55P02', "$how: not a superuser in his session");
    is(sqlstate($node, 'SET faultline.alow_virtual_clock = on', prelude => $load),
        '42602', "$how: a mistyped setting is an error");
    is(sqlstate($node, 'SET faultline.lock_timeout = 1', prelude => $load),
        '55P02', "$how: lock_timeout is for the configuration file");
    is(sqlstate($node, 'SET faultline.allow_same_transaction = on', prelude => $load),
        '00000', "$how: allow_same_transaction is for everybody");
    return;
}

# Not preloaded.
create_extension($node);
my $without = $node->safe_psql('postgres', $cycle);
like($without, qr/^5\|1\|succeeded\nalready_succeeded$/m, 'without preload: the cycle ran');
settings_are_guarded('without preload', 'sighup');
like($node->safe_psql('postgres', q{SELECT state FROM faultline.status() WHERE item = 'preload'}),
    qr/^info$/, 'without preload: status() says so');

# A value set before the library is loaded must not slip past the check.
$node->adjust_conf('postgresql.conf', 'faultline.allow_virtual_clock', 'off');
$node->reload;
$node->poll_query_until('postgres', q{SELECT faultline.clock_now() IS NOT NULL
    AND current_setting('faultline.allow_virtual_clock') = 'off'}) or die 'not reloaded';
is(sqlstate($node, 'SELECT faultline.set_clock(NULL)'), '55000',
    'off: the virtual clock is refused');
is(sqlstate($node, q{SET faultline.allow_virtual_clock = on; SELECT faultline.set_clock(NULL)}),
    '55000', 'off: also when the session set it before the first call');
{
    local $ENV{PGOPTIONS} = '-c faultline.allow_virtual_clock=on';
    is(sqlstate($node, q{SELECT faultline.set_clock('2040-01-01')}),
        '55000', 'off: also when the connection asked for it');
}
my (undef, undef, $warning) = $node->psql('postgres',
    'SET faultline.alow_virtual_clock = on; SELECT faultline.clock_now()');
like($warning, qr/invalid configuration parameter name "faultline.alow_virtual_clock"/,
    'a mistyped setting is found at the first call');
is($node->safe_psql('postgres', q{SELECT faultline.clock_now() < '2031-01-01'}),
    't', 'off: a virtual time set before is not used');

# Preloaded.
$node->adjust_conf('postgresql.conf', 'faultline.allow_virtual_clock', 'on');
$node->append_conf('postgresql.conf', 'shared_preload_libraries = faultline');
$node->restart;
$node->safe_psql('postgres', 'CREATE DATABASE preloaded');
create_extension($node, 'preloaded');
is($node->safe_psql('preloaded', $cycle), $without, 'preloaded: the same cycle, the same answers');
settings_are_guarded('preloaded', 'postmaster');
is(sqlstate($node, 'SET faultline.alow_virtual_clock = on'),
    '42602', 'preloaded: a mistyped setting is an error before any call');
like($node->safe_psql('postgres', q{SELECT state FROM faultline.status() WHERE item = 'preload'}),
    qr/^ok$/, 'preloaded: status() says so');
$node->safe_psql('postgres', 'ALTER SYSTEM SET faultline.allow_virtual_clock = off');
my $log_end = -s $node->logfile;
$node->reload;
ok($node->wait_for_log(qr/"faultline.allow_virtual_clock" cannot be changed without restarting/,
        $log_end), 'preloaded: the virtual clock is fixed at server start');
$node->safe_psql('postgres', 'ALTER SYSTEM RESET ALL');

# A schema that somebody else made first is refused: its owner could change what functions call.
$node->safe_psql('postgres', 'CREATE DATABASE taken; CREATE ROLE mallory');
$node->safe_psql('taken', 'CREATE SCHEMA faultline AUTHORIZATION mallory');
is(sqlstate($node, 'CREATE EXTENSION faultline', database => 'taken'),
    '42501', "somebody else's schema is refused");
$node->safe_psql('taken', 'ALTER SCHEMA faultline OWNER TO CURRENT_USER');
is(sqlstate($node, 'CREATE EXTENSION faultline', database => 'taken'), '00000', 'our own is not');

# The extension dropped and created again, under the eyes of two sessions that have used it.
$node->safe_psql('postgres', 'CREATE DATABASE again');
create_extension($node, 'again');
my $use = q{SELECT faultline.create_queue('q', lease => '10 s');
    SELECT faultline.enqueue('q', '"old"');};
for my $library ('preloaded', 'loaded by the session') {
    my $other = $node->background_psql('again', on_error_stop => 0);
    my $session = $node->background_psql('again', on_error_stop => 0);
    $session->query_safe($use);
    is($other->query_safe(q{SELECT payload FROM faultline.claim('q', 'w')}), '"old"',
        "$library: the other session has used the extension");
    $session->query_safe('DROP EXTENSION faultline');
    my $refused = $other->query(q{\set VERBOSITY sqlstate
        SELECT faultline.enqueue('q')});
    like($other->{stderr}, qr/ERROR:  (3F000|42883)/, "$library: dropped: there are no functions");
    $other->{stderr} = '';
    $session->query_safe('CREATE EXTENSION faultline');
    is($session->query_safe(q{SELECT count(*) FROM faultline.jobs}), '0',
        "$library: created again: it is empty");
    $other->query(q{SELECT faultline.enqueue('q')});
    like($other->{stderr}, qr/ERROR:  JQ005/,
        "$library: created again: the other session does not know the queue from before");
    $other->{stderr} = '';
    $session->query_safe(q{SELECT faultline.create_queue('q', lease => '77 s')});
    is($other->query_safe(q{SELECT faultline.enqueue('q', '"new"')}), '1',
        "$library: the other session enqueues into the new tables");
    is($session->query_safe(q{SELECT payload, lease_expires_at - faultline.clock_now() > '70 s'
            FROM faultline.claim('q', 'w')}), '"new"|t',
        "$library: this one claims from them, under the new policy");
    # A drop that rolls back leaves everything as it was, caches included.
    $session->query_safe('BEGIN; DROP EXTENSION faultline; CREATE EXTENSION faultline');
    $session->query_safe(q{SELECT faultline.create_queue('q', lease => '5 s')});
    $session->query_safe(q{SELECT faultline.enqueue('q', '"never"')});
    $session->query_safe('ROLLBACK');
    is($session->query_safe(q{SELECT faultline.enqueue('q', '"kept"')}), '2',
        "$library: after a drop that rolled back this session uses the old tables");
    is($other->query_safe(q{SELECT string_agg(payload::text, ',' ORDER BY job_id)
            FROM faultline.jobs}), '"new","kept"', "$library: and so does the other");
    $_->quit for $session, $other;
    $node->safe_psql('again', 'DROP EXTENSION faultline; CREATE EXTENSION faultline');
    $node->adjust_conf('postgresql.conf', 'shared_preload_libraries', q{''});
    $node->restart;
}

log_is_clean($node);
$node->stop;
done_testing();
