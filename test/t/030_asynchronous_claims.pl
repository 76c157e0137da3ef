# faultline.asynchronous_claims: which commits do not wait for the disk, and what a crash then
# forgets: the claim and its attempt, and nothing that was acknowledged otherwise.
use strict;
use warnings;
use FaultlineNode;
use PostgreSQL::Test::Utils;
use Test::More;

# Whoever else would write WAL out is off or, like the WAL writer, stopped.
my $node = new_node('claims', conf => <<'CONF');
fsync = on
autovacuum = off
bgwriter_lru_maxpages = 0
checkpoint_timeout = 1h
wal_writer_delay = 10s
faultline.allow_virtual_clock = on
faultline.asynchronous_claims = on
CONF

sub stop_wal_writer {
    my $pid = $node->safe_psql('postgres',
        q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'walwriter'});
    # It goes on when the test ends, however it ends.
    kill 'STOP', $pid or die "cannot stop the WAL writer: $!";
    return $pid;
}

# Runs statements and says whether all WAL is on disk after the last of them.
sub flushed_after {
    my ($sql) = @_;
    my $output = $node->safe_psql('postgres', "$sql;
        SELECT CASE WHEN pg_current_wal_flush_lsn() < pg_current_wal_insert_lsn() THEN 'no' ELSE 'yes' END");
    return (split /\n/, $output)[-1];
}

sub waits {
    my ($sql, $name) = @_;
    return is(flushed_after($sql), 'yes', $name);
}

sub does_not_wait {
    my ($sql, $name) = @_;
    return is(flushed_after($sql), 'no', $name);
}

$node->safe_psql('postgres', q{
    SELECT faultline.set_clock('2030-01-01');
    SELECT faultline.create_queue('q', lease => '10 s', backoff_base => '0');
    SELECT faultline.create_queue('other');
    CREATE TABLE effects (effect text);
    CREATE SEQUENCE numbers;
    SELECT faultline.enqueue_many('q', array_agg(to_jsonb(n))) FROM generate_series(1, 100) AS n;
    CREATE TABLE held AS SELECT job_id, lease_token FROM faultline.claim('q', 'w', 20);
    CREATE FUNCTION next_held(OUT job_id bigint, OUT lease_token bigint) LANGUAGE sql AS
        'DELETE FROM held WHERE job_id = (SELECT min(job_id) FROM held) RETURNING *'});
stop_wal_writer();

my $claim = q{SELECT job_id FROM faultline.claim('q', 'w')};
my $turn  = q{SELECT verdict FROM faultline.turn('q', 'w', '{}', '{}')};
# A completion needs a token: of a job that was claimed before.
my ($job_id, $token) = split /\|/, $node->safe_psql('postgres', 'SELECT * FROM next_held()');

# Only claims.
does_not_wait($claim, 'a claim does not wait for its flush');
does_not_wait(q{SELECT job_id FROM faultline.claim_any('{other,q}', 'w', 3)}, 'nor does claim_any()');
does_not_wait($turn, 'nor does a turn without completions');
does_not_wait("BEGIN; $claim; $claim; SELECT count(*) FROM effects; COMMIT",
    'nor do two claims in one transaction, with a read');
does_not_wait("BEGIN; SAVEPOINT s; $claim; RELEASE s; $claim; COMMIT", 'nor one in a savepoint');
does_not_wait("BEGIN ISOLATION LEVEL SERIALIZABLE; $claim; COMMIT", 'nor a serializable one');
is( $node->safe_psql('postgres', "$claim \\g /dev/null\nSHOW synchronous_commit"),
    'on', 'synchronous_commit is what it was');
is( $node->safe_psql('postgres',
        "BEGIN; SET LOCAL synchronous_commit = local; $claim \\g /dev/null\nCOMMIT; SHOW synchronous_commit"),
    'on', 'also when the transaction had set it for itself');
is( $node->safe_psql('postgres',
        "BEGIN; SET synchronous_commit = local; $claim \\g /dev/null\nCOMMIT; SHOW synchronous_commit"),
    'local', 'and what the transaction set for the session stays');

# Claims and anything else, whatever comes first.
waits("SET faultline.asynchronous_claims = off; $claim", 'off: a claim waits');
waits("INSERT INTO effects VALUES ('a')", 'a write of the user waits');
waits("BEGIN; $claim; INSERT INTO effects VALUES ('b'); COMMIT", 'also after a claim');
waits("BEGIN; INSERT INTO effects VALUES ('c'); $claim; COMMIT", 'also before a claim');
waits("BEGIN; $claim; INSERT INTO effects VALUES ('d'); $claim; COMMIT", 'also between two');
waits("BEGIN; SAVEPOINT s; INSERT INTO effects VALUES ('e'); RELEASE s; $claim; COMMIT",
    'also in a savepoint before it');
waits("BEGIN; $claim; SAVEPOINT s; INSERT INTO effects VALUES ('f'); RELEASE s; COMMIT",
    'also in a savepoint after it');
waits("BEGIN; SAVEPOINT s; INSERT INTO effects VALUES ('x'); ROLLBACK TO s; $claim; COMMIT",
    'a savepoint that was rolled back is not looked into');
waits("WITH w AS (INSERT INTO effects VALUES ('g') RETURNING 1) $claim", 'also in one statement with it');
waits("BEGIN; $claim; SELECT nextval('numbers'); COMMIT", 'a number of a sequence waits');
waits("BEGIN; SELECT setval('numbers', 50); $claim; COMMIT", 'also one that was set');
waits("BEGIN; $claim; CREATE TABLE made AS SELECT 1 AS a; COMMIT", 'a new table waits');
waits("BEGIN; $claim; SELECT faultline.enqueue('other'); COMMIT", 'a new job waits');
waits("BEGIN; $claim; SELECT faultline.complete($job_id, $token); COMMIT", 'a completion waits');
waits(q{SELECT verdict FROM next_held() AS h,
    faultline.turn('q', 'w', ARRAY[h.job_id], ARRAY[h.lease_token])}, 'a turn with a completion waits');
waits(q{BEGIN; SET LOCAL faultline.asynchronous_claims = off; } . "$claim;
    SET LOCAL faultline.asynchronous_claims = on; $claim; COMMIT", 'one claim that is to wait is enough');
$node->safe_psql('postgres', q{SELECT faultline.advance_clock('1 min')});
waits($claim, 'a claim that ends leases of others waits');

# The crash.
$node->safe_psql('postgres', q{TRUNCATE faultline.live_jobs, effects;
    SELECT faultline.enqueue_many('q', '{1,2,3}')});
my ($forgotten, $forgotten_token) = split /\|/, $node->safe_psql('postgres',
    q{SELECT job_id, lease_token FROM faultline.claim('q', 'first')});
my ($kept, $kept_token) = split /\|/, $node->safe_psql('postgres',
    q{SELECT job_id, lease_token FROM faultline.claim('q', 'second')});
my $state = q{SELECT state, attempt, lease_owner FROM faultline.jobs WHERE job_id = };
is($node->safe_psql('postgres', $state . $kept), 'running|1|second', 'a claim is seen by all');
$node->stop('immediate');
$node->start;
is($node->safe_psql('postgres', $state . $forgotten), 'queued|0|', 'the crash forgot the first claim');
is($node->safe_psql('postgres', $state . $kept), 'queued|0|', 'and the second');
is( sqlstate($node, "INSERT INTO effects VALUES ('of the first');
        SELECT faultline.complete($forgotten, $forgotten_token)", prelude => 'BEGIN;'),
    'JQ001', 'a forgotten claim cannot complete');
is($node->safe_psql('postgres', 'SELECT count(*) FROM effects'), '0', 'and its work rolls back');
stop_wal_writer();
my ($again, $attempt) = split /\|/, $node->safe_psql('postgres',
    q{SELECT job_id, attempt FROM faultline.claim('q', 'third')});
is("$again $attempt", "$forgotten 1", 'the job runs again, with the same number of attempt');
my ($done, $done_token) = split /\|/, $node->safe_psql('postgres',
    q{SELECT job_id, lease_token FROM faultline.claim('q', 'fourth')});
$node->safe_psql('postgres', "SELECT faultline.complete($done, $done_token)");
$node->stop('immediate');
$node->start;
is($node->safe_psql('postgres', $state . $done), 'succeeded|1|', 'what completed is there after a crash');
is($node->safe_psql('postgres', $state . $forgotten),
    'running|1|third', 'and so is every claim before it');
invariants_hold($node, 'postgres');
log_is_clean($node);
$node->stop;
done_testing();
