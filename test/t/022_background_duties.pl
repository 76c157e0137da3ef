# One duty that fails backs off alone and shows in health(); the others go on.  What somebody hung on
# the tables never runs with the worker's own rights.
use strict;
use warnings;
use FaultlineBackground;
use FaultlineNode;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = preloaded_node('duties',
    conf => "faultline.lab = on\nfaultline.naptime = '100 ms'\nfaultline.lock_timeout = '50 ms'
faultline.audit_interval = '1 s'\n");
my @duties = split /\n/, $node->safe_psql('postgres', 'SELECT duty FROM faultline.duties()');
# The audit can be switched off. Its duty then does nothing, and not without pause.
set_config($node, 'faultline.audit_interval', 0);
ok($node->poll_query_until('postgres', q{SELECT current_setting('faultline.audit_interval') = '0'}), 'no audit');
is($node->safe_psql('postgres', q{SELECT every FROM faultline.duties() WHERE duty = 'audit'}), '00:01:00',
    'then its duty comes once a minute');
set_config($node, 'faultline.audit_interval', '1 s');
# The worker stays for the whole test, and does every duty whenever it wakes.
$node->safe_psql('postgres', <<'SQL');
CREATE OR REPLACE FUNCTION pg_temp.every_second(text) RETURNS text LANGUAGE sql AS
  $$SELECT regexp_replace($1, 'interval ''[^'']+''', 'interval ''1 s''', 'g')$$;
DO $$
BEGIN
  EXECUTE pg_temp.every_second(pg_get_functiondef('faultline.duties()'::regprocedure));
END $$;
SQL
make_busy($node, 'postgres', 1200);

# An error in every duty.
for my $duty (@duties) {
    set_config($node, 'faultline.debug_points', "duty_$duty=error");
    await_health($node, 'postgres', "duty $duty: failed \\d+ times in a row: debug point", 
        "$duty fails: health() names it");
    ok($node->poll_query_until('postgres', qq{SELECT backing_off_until > last_error_at
        AND last_error ~ 'debug point' AND failures >= failures_in_row
        FROM faultline.stat_maintenance WHERE duty = '$duty'}), "$duty fails: it backs off");
    my $others = join ', ', map { "'$_'" } grep { $_ ne $duty } @duties;
    $node->safe_psql('postgres', q{DROP TABLE IF EXISTS before; CREATE TABLE before AS
        SELECT clock_timestamp() AS at});
    ok($node->poll_query_until('postgres', qq{SELECT bool_and(last_success > at AND
        failures_in_row = 0) FROM faultline.stat_maintenance, before WHERE duty IN ($others)}),
        "$duty fails: the others go on");
    set_config($node, 'faultline.debug_points', '');
    await_health($node, 'postgres', '^well$', "$duty is well again");
}

# All of them at once, also while the worker leaves and comes back.
set_config($node, 'faultline.debug_points', join ',', map { "duty_$_=error" } @duties);
await_health($node, 'postgres', $_, "all fail: $_") for @duties;
my $worker = await_worker($node, 'postgres');
$node->safe_psql('postgres', "SELECT pg_terminate_backend($worker)");
ok($node->poll_query_until('postgres', q{SELECT min(failures_in_row) > 1
    FROM faultline.stat_maintenance}), 'all fail: the failures of the worker before count');
set_config($node, 'faultline.debug_points', '');
await_health($node, 'postgres', '^well$', 'all are well again');

# A row that cannot be settled stops no other one, and is named.
my $poisoned = $node->safe_psql('postgres', q{SELECT faultline.create_queue('poison',
    lease => '100 ms', backoff_base => '1 h') \g /dev/null
    SELECT faultline.enqueue('poison')});
$node->safe_psql('postgres', qq{SELECT faultline.enqueue('poison');
    SELECT count(*) FROM faultline.claim('poison', 'dead', 2);
    UPDATE faultline.live_jobs SET attempt = -1 WHERE job_id = $poisoned});
await_health($node, 'postgres', "duty expire_leases: failed \\d+ times in a row: job $poisoned",
    'a poisoned row: health() names it');
is($node->safe_psql('postgres', q{SELECT count(*) FROM faultline.jobs WHERE queue = 'poison'
    AND state = 'queued'}), '1', 'a poisoned row: the job beside it is queued again');
expires_soon($node, 'postgres', 'a poisoned row: so are others, without delay');
$node->safe_psql('postgres',
    "UPDATE faultline.live_jobs SET attempt = 1 WHERE job_id = $poisoned");
await_health($node, 'postgres', '^well$', 'the row is repaired: all is well');

# A row that somebody holds is no failure, and is settled when he lets go.
$node->safe_psql('postgres', q{SELECT faultline.create_queue('held', lease => '2 s',
    backoff_base => '1 h'); SELECT faultline.enqueue('held')});
my ($lease) = $node->safe_psql('postgres',
    q{SELECT job_id || ', ' || lease_token FROM faultline.claim('held', 'w')});
my $holder = $node->background_psql('postgres');
$holder->query_safe("BEGIN; SELECT faultline.extend($lease, '100 ms')");
expires_soon($node, 'postgres', 'a row is held: others are settled');
$holder->query_safe('COMMIT');
ok($node->poll_query_until('postgres', q{SELECT state = 'queued' FROM faultline.jobs
    WHERE queue = 'held'}), 'let go: it is settled');

# A lock that never comes.
$holder->query_safe('BEGIN; LOCK TABLE faultline.idempotency_keys IN ACCESS EXCLUSIVE MODE');
await_health($node, 'postgres', 'duty expire_keys: .*lock timeout', 'a locked table: health()');
expires_soon($node, 'postgres', 'a locked table: jobs are queued again');
is($node->safe_psql('postgres', q{SELECT count(*) FROM pg_stat_activity WHERE backend_type =
    'faultline worker' AND backend_xmin IS NOT NULL AND state = 'idle'}), '0',
    'the worker holds no snapshot between transactions');
$holder->query_safe('ROLLBACK');
await_health($node, 'postgres', '^well$', 'unlocked: all is well');
# The table of jobs itself: nobody waits behind the worker for longer than the lock timeout.
$holder->query_safe('BEGIN; SELECT count(*) FROM faultline.live_jobs');
within($node, 'postgres', q{SET lock_timeout = '1900 ms'; SELECT faultline.enqueue('held')},
    'a reader with a long transaction: enqueue');
$holder->query_safe('ROLLBACK');

# A duty that takes too long is cancelled.
set_config($node, "faultline.${_}_timeout", '200 ms') for 'expire_keys', 'audit';
set_config($node, 'faultline.lock_timeout', '10 min');
$holder->query_safe('BEGIN; LOCK TABLE faultline.idempotency_keys IN ACCESS EXCLUSIVE MODE');
await_health($node, 'postgres', 'duty expire_keys: .*statement timeout', 'too long: health()');
expires_soon($node, 'postgres', 'too long: jobs are queued again');
$holder->query_safe('ROLLBACK');
set_config($node, 'faultline.lock_timeout', '50 ms');
await_health($node, 'postgres', '^well$', 'again in time: all is well');
$holder->quit;

# A batch that is too large for its time is done in smaller ones, not begun anew for ever.
set_config($node, 'faultline.expire_leases_rows', 64);
set_config($node, 'faultline.expire_leases_timeout', '200 ms');
$node->safe_psql('postgres', q{SELECT faultline.create_queue('slow', lease => '100 ms', backoff_base => '1 h');
    CREATE FUNCTION public.slow() RETURNS trigger LANGUAGE plpgsql AS
      $$DECLARE began timestamptz := clock_timestamp();
      BEGIN WHILE clock_timestamp() < began + interval '20 ms' LOOP END LOOP; RETURN NULL; END$$;
    CREATE TRIGGER slow AFTER UPDATE ON faultline.live_jobs FOR EACH ROW WHEN (new.state = 'q')
      EXECUTE FUNCTION public.slow();
    SELECT count(*) FROM faultline.enqueue_many('slow', array_fill('1'::jsonb, ARRAY[40]));
    SELECT count(*) FROM faultline.claim('slow', 'dead', 40)});
ok($node->poll_query_until('postgres', q{SELECT count(*) = 40 FROM faultline.jobs
    WHERE queue = 'slow' AND state = 'queued'}), 'a slow table: all leases are settled, some at a time');
ok($node->poll_query_until('postgres', q{SELECT failures > 0 FROM faultline.stat_maintenance
    WHERE duty = 'expire_leases'}), 'a slow table: the batches that were too large are told');
$node->safe_psql('postgres', 'DROP TRIGGER slow ON faultline.live_jobs; DROP FUNCTION public.slow()');
set_config($node, 'faultline.expire_leases_rows', 1000);
set_config($node, 'faultline.expire_leases_timeout', '5 s');
await_health($node, 'postgres', '^well$', 'a slow table: all is well afterwards');

# Dropping the database does not wait for a duty that hangs.
$node->safe_psql('postgres', 'CREATE DATABASE hanging');
create_extension($node, 'hanging');
$node->safe_psql('hanging', q{CREATE OR REPLACE FUNCTION faultline.expire_keys(max_keys integer = 1)
    RETURNS bigint LANGUAGE plpgsql AS 'BEGIN LOOP END LOOP; END'});
set_config($node, 'faultline.expire_keys_timeout', '10 min');
make_busy($node, 'hanging');
ok($node->poll_query_until('postgres', q{SELECT state = 'active' AND query ~ 'expire_keys'
    FROM pg_stat_activity WHERE backend_type = 'faultline worker' AND datname = 'hanging'}),
    'a duty that never ends: pg_stat_activity names it');
within($node, 'postgres', 'DROP DATABASE hanging', 'drop under a duty that never ends');

# What the owner of the tables hung on them runs with his rights, not with those of a superuser.
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE public.ran (who name, super boolean);
CREATE ROLE mallory;
GRANT ALL ON public.ran TO mallory;
GRANT ALL ON SCHEMA faultline TO mallory;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA faultline TO mallory;
CREATE FUNCTION public.spy() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO public.ran SELECT current_user, usesuper FROM pg_user WHERE usename = current_user
    UNION ALL SELECT current_user, false WHERE NOT EXISTS (SELECT FROM pg_user WHERE usename = current_user);
  RETURN NULL;
END $$;
DO $$
DECLARE
  owned regclass;
BEGIN
  FOR owned IN SELECT c.oid FROM pg_class c WHERE c.relnamespace = 'faultline'::regnamespace AND c.relkind IN ('r', 'p') LOOP
    EXECUTE format('ALTER TABLE %s OWNER TO mallory', owned);
  END LOOP;
END $$;
CREATE TRIGGER spy AFTER INSERT OR UPDATE ON faultline.duty_statistics
  FOR EACH STATEMENT EXECUTE FUNCTION public.spy();
SQL
ok($node->poll_query_until('postgres', 'SELECT count(*) > 0 FROM public.ran'),
    'a trigger on a table ran');
is($node->safe_psql('postgres', 'SELECT DISTINCT who, super FROM public.ran'), 'mallory|f',
    'with the rights of the owner of the tables');
# Nor does one that waits for the commit.
my $log_end = -s $node->logfile;
$node->safe_psql('postgres', q{CREATE CONSTRAINT TRIGGER later AFTER UPDATE
    ON faultline.duty_statistics DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION public.spy()});
ok($node->wait_for_log(qr/cannot fire deferred trigger within security-restricted operation/,
        $log_end), 'a deferred trigger is refused');
is($node->safe_psql('postgres', 'SELECT DISTINCT who, super FROM public.ran'), 'mallory|f',
    'and did not run');

$node->stop;
log_is_clean($node);
done_testing();

sub set_config {
    my ($server, $name, $value) = @_;
    $server->safe_psql('postgres', "ALTER SYSTEM SET $name = '$value'");
    $server->reload;
    return;
}
