# The bounds of the ready windows: what is more than they hold is found all the same, and what outlives
# a window's table or queue is not mistaken for it.
use strict;
use warnings;
use FaultlineNode;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('windows', conf => <<'CONF');
shared_preload_libraries = 'faultline'
faultline.background_worker = off
faultline.allow_virtual_clock = on
faultline.lab = on
faultline.ready_window = 64
faultline.max_queues = 2
max_prepared_transactions = 2
CONF
my $session = $node->background_psql('postgres');

sub sql {
    my ($statements) = @_;
    return $node->safe_psql('postgres', $statements);
}

# How many a claim answers with, and whether they are in order.
sub claimed {
    my ($queue, $jobs_max) = @_;
    return sql("SELECT count(*), coalesce(bool_and(job_id > before), true) FROM
        (SELECT job_id, lag(job_id, 1, 0) OVER () AS before
           FROM faultline.claim('$queue', 'w', $jobs_max)) AS claimed");
}

sub windows {
    return sql('SELECT count(*) FROM faultline.ready_windows()');
}

# Calls that wait for a table while the extension is dropped say so, and are no internal errors.
sub drop_under_load {
    my @calls = (q{SELECT faultline.claim('a', 'w')}, q{SELECT faultline.enqueue('a')},
        q{SELECT faultline.complete(1, 1)}, q{SELECT faultline.enqueue_many('a', '{1,2}')},
        q{SELECT faultline.extend(1, 1)});
    my @sessions = map { $node->background_psql('postgres', on_error_stop => 0) } @calls;
    # They know the tables.
    $_->query_safe(q{BEGIN; SELECT faultline.enqueue('a'); SELECT faultline.claim('a', 'w'); ROLLBACK})
      for @sessions;
    my $dropper = $node->background_psql('postgres');
    $session->query_safe(q{BEGIN; LOCK TABLE faultline.live_jobs IN ACCESS SHARE MODE});
    background_call($dropper, 'DROP EXTENSION faultline CASCADE');
    wait_until_blocked(1);
    background_call($sessions[$_], $calls[$_]) for 0 .. $#calls;
    wait_until_blocked(1 + @calls);
    $session->query_safe('COMMIT');
    end_call($dropper);
    like((end_call($sessions[$_]))[1], qr/ERROR:  the tables of faultline do not exist any more/,
        "dropped meanwhile: $calls[$_]") for 0 .. $#calls;
    $_->quit for @sessions, $dropper;
    return;
}

sub wait_until_blocked {
    my ($count) = @_;
    $node->poll_query_until('postgres', "SELECT count(DISTINCT pid) = $count FROM pg_locks WHERE NOT granted")
      or die "not $count sessions wait";
    return;
}

sql(q{SELECT faultline.set_clock('2030-01-01 12:00Z');
    SELECT faultline.create_queue(q, lease => '1 h') FROM unnest('{a,b,c}'::text[]) q});

# More queues than windows.
for my $round (1, 2) {
    sql(qq{SELECT faultline.enqueue(q, priority => -$round) FROM unnest('{a,b,c}'::text[]) q});
    is(claimed($_, 9), '1|t', "round $round: queue $_") for qw(a b c);
    is(windows(), '2', "round $round: two windows");
}
is(sql(q{SELECT count(*) FROM faultline.claim_any('{a,b,c}', 'w', 9)}), '0', 'no more');
sql(q{SELECT faultline.drop_queue('b', force => true)});
is(windows(), '1', 'a queue that is dropped frees its window');
sql(q{SELECT faultline.enqueue('c')});
is(claimed('c', 9), '1|t', 'another one is claimed from');
is(windows(), '2', 'and has the window now');

# More jobs at the same later time than a schedule holds.
sql(q{SELECT count(*) FROM faultline.enqueue_many('a', array_fill('1'::jsonb, ARRAY[5000]),
    delay => '1 min')});
is(claimed('a', 10), '0|t', '5,000 jobs for later: not before');
sql(q{SELECT faultline.advance_clock('1 min')});
is(claimed('a', 10), '10|t', '5,000 jobs for later: in order');
is(claimed('a', 10000), '4990|t', '5,000 jobs for later: all of them');

# More in one transaction than it remembers, committed, rolled back, to a savepoint, prepared.
my $many = q{SELECT count(*) FROM faultline.enqueue_many('a', array_fill('1'::jsonb, ARRAY[70000]))};
is(sql("BEGIN; $many; SELECT count(*) FROM faultline.claim('a', 'w', 3); COMMIT"), "70000\n3",
    '70,000 jobs: their own transaction claims some');
is(sql("BEGIN; $many; ROLLBACK; SELECT count(*) FROM faultline.claim('a', 'w', 3)"), "70000\n3",
    '70,000 jobs: rolled back');
is(sql("BEGIN; SAVEPOINT s; $many; ROLLBACK TO s; SELECT count(*) FROM faultline.claim('a', 'w', 3);
    COMMIT"), "70000\n3", '70,000 jobs: rolled back to a savepoint');
my $claim_many = q{SELECT count(*) FROM faultline.claim('a', 'w', 10000)};
sub claim_many {
    my ($calls) = @_;
    return join ' ', map { $session->query_safe($claim_many) } 1 .. $calls;
}
$session->query_safe('BEGIN');
is(claim_many(7), join(' ', (10000) x 6, 9991), '70,000 jobs: one transaction claims all');
$session->query_safe('ROLLBACK');
is(claimed('a', 10), '10|t', '70,000 jobs: undone, they are back in order');
is(claim_many(7), join(' ', (10000) x 6, 9981), '70,000 jobs: all of them');
is(claimed('a', 10), '0|t', '70,000 jobs: no more');
sql("BEGIN; $many; PREPARE TRANSACTION 'many'");
is(claimed('a', 10), '0|t', '70,000 jobs: prepared');
sql(q{COMMIT PREPARED 'many'});
is(claim_many(7), join(' ', (10000) x 7), '70,000 jobs: committed, all are found at once');

# The extension made anew has other tables, and its queues the same numbers.
sql(q{SELECT count(*) FROM faultline.enqueue_many('a', array_fill('1'::jsonb, ARRAY[30]))});
is(claimed('a', 2), '2|t', 'a window is in use');
drop_under_load();
sql(q{CREATE EXTENSION faultline;
    SELECT faultline.create_queue(q) FROM unnest('{x,y}'::text[]) q});
is(claimed('x', 10), '0|t', 'nothing of the old extension is claimed');
sql(q{SELECT faultline.enqueue('x')});
is(claimed('x', 10), '1|t', 'what is new is');
invariants_hold($node, 'postgres');
$session->quit;
log_is_clean($node);
$node->stop;
done_testing();
