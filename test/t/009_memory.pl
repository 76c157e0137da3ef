# A session that lives long: its memory does not grow with the calls it made.  And a large payload
# goes through whole.
use strict;
use warnings;
use FaultlineNode;
use PostgreSQL::Test::Utils;
use Test::More;

my $calls = 100_000;
my $warm_up_calls = 10_000;
my $growth_kilobytes_max = 256;
my $batch_growth_kilobytes_max = 20_000;
my $payload_megabytes = 10;

my $node = new_node('memory', conf => "autovacuum_naptime = 1s\n");
$node->safe_psql('postgres', <<'SQL');
SELECT faultline.create_queue('q', max_attempts => 2, backoff_base => '0', keep_keys => '0');
-- Rounds of 7 calls and some seldom ones, in four transactions, as producers and workers have them.
CREATE PROCEDURE call_many(calls integer) LANGUAGE plpgsql AS $$
DECLARE
  job faultline.claimed_job;
BEGIN
  FOR round IN 1 .. calls / 7 LOOP
    PERFORM faultline.enqueue('q', '{"n": 1}', kind => 'kind');
    PERFORM faultline.enqueue('q', '{"n": 2}', idempotency_key => calls || ' ' || round,
                              priority => 1);
    COMMIT;
    job := faultline.claim('q', 'worker');
    COMMIT;
    PERFORM faultline.extend(job.job_id, job.lease_token);
    PERFORM faultline.complete(job.job_id, job.lease_token, '"done"');
    job := faultline.claim('q', 'worker');
    COMMIT;
    PERFORM faultline.fail(job.job_id, job.lease_token, 'broken', discard => round % 2 = 0);
    PERFORM faultline.expire_leases() WHERE round % 100 = 0;
    PERFORM faultline.purge_dead_letters('q', '0') WHERE round % 100 = 0;
    COMMIT;
  END LOOP;
END $$;
SQL

my $memory = 'SELECT sum(total_bytes) / 1024 FROM pg_backend_memory_contexts';
my $session = $node->background_psql('postgres');
$session->query_safe("CALL call_many($warm_up_calls)");
my $before = $session->query_safe($memory);
$session->query_safe("CALL call_many($calls)");
my $after = $session->query_safe($memory);
note "memory of the session: $before kB, then $after kB";
cmp_ok($after - $before, '<=', $growth_kilobytes_max,
    "$calls calls do not let the session's memory grow");
cmp_ok($session->query_safe(q{SELECT count(*) FROM faultline.jobs WHERE state = 'succeeded'}),
    '>=', int($calls / 7), 'the calls did what they should');

# Within one transaction, too: what a call allocates goes when it ends.
my $in_transaction = <<'SQL';
DO $$
BEGIN
  FOR round IN 1 .. 5000 LOOP
    PERFORM faultline.enqueue('q', '{"n": 3}');
    PERFORM faultline.complete_many('{-1}', '{1}');
    BEGIN
      PERFORM faultline.complete(-1, 1);
    EXCEPTION WHEN SQLSTATE 'JQ002' THEN NULL;
    END;
  END LOOP;
END $$
SQL
$session->query_safe('BEGIN');
$session->query_safe($in_transaction);
my $first = $session->query_safe($memory);
$session->query_safe($in_transaction);
my $second = $session->query_safe($memory);
note "memory within a transaction: $first kB, then $second kB";
# PostgreSQL itself keeps a few bytes for each subtransaction that rolled back.
cmp_ok($second - $first, '<=', 4 * $growth_kilobytes_max, 'nor do 15,000 calls in one transaction');
$session->query_safe('ROLLBACK');

# Within one call for many jobs, too: the most the process ever had, before and after.  Address
# space, so that shared memory does not count, which is all mapped from the start.
my $peak = q{SELECT (regexp_match(pg_read_file('/proc/self/status'), 'VmPeak:\s+(\d+)'))[1]};
$node->safe_psql('postgres', <<'SQL');
SELECT faultline.create_queue('batch');
SELECT count(*)
  FROM (SELECT array_agg('1'::jsonb) AS payloads, array_agg('key ' || g) AS keys
          FROM generate_series(1, 20000) AS g) AS a,
       faultline.enqueue_many('batch', a.payloads, idempotency_keys => a.keys);
CREATE TABLE held AS SELECT * FROM faultline.claim('batch', 'w', 10000);
INSERT INTO held SELECT * FROM faultline.claim('batch', 'w', 10000);
SQL
my $many = $node->background_psql('postgres');
$many->query_safe($_) for q{SELECT count(*) FROM faultline.complete_many('{}', '{}')},
  'CREATE TEMP TABLE arrays AS SELECT array_agg(job_id) AS ids, array_agg(lease_token) AS tokens'
  . ' FROM held';
my $peak_before = $many->query_safe($peak);
is( $many->query_safe('SELECT verdict, count(*) FROM arrays,'
          . ' faultline.complete_many(ids, tokens) GROUP BY verdict'),
    'succeeded|20000', '20,000 jobs with keys complete in one call');
my $peak_after = $many->query_safe($peak);
note "peak of the process: $peak_before kB, then $peak_after kB";
cmp_ok($peak_after - $peak_before, '<=', $batch_growth_kilobytes_max,
    'one call for many jobs needs little more memory than one for a few');
$many->quit;

# A payload of 10 MB, there and back, with a result and progress of that size.
my $large = "to_jsonb(repeat('0123456789abcdef', $payload_megabytes * 65536))";
$node->safe_psql('postgres', q{SELECT faultline.create_queue('large')});
is($node->safe_psql('postgres', <<"SQL"), "t\nt\nsucceeded\nt|t|t", 'a payload of 10 MB is whole');
SELECT faultline.enqueue('large', $large, headers => $large) AS job \\gset
SELECT job_id, lease_token, payload = $large AND headers = $large AS same
  FROM faultline.claim('large', 'w') \\gset
SELECT :'same';
SELECT faultline.extend(:job_id, :lease_token, progress => $large) IS NOT NULL;
SELECT faultline.complete(:job_id, :lease_token, $large);
SELECT payload = $large, result = $large, progress = $large
    FROM faultline.jobs WHERE job_id = :job_id;
SQL
is($node->safe_psql('postgres', <<"SQL"), "1\nt", 'and a key with it is recognised');
SELECT count(DISTINCT faultline.enqueue('large', $large, idempotency_key => 'k'))
  FROM generate_series(1, 2);
SELECT payload = $large FROM faultline.claim('large', 'w');
SQL
is($node->safe_psql('postgres', <<"SQL"), "failed\nqueued\nt", 'a dead letter keeps it');
SELECT faultline.enqueue('large', $large) \\g /dev/null
SELECT job_id, lease_token FROM faultline.claim('large', 'w') \\gset
SELECT faultline.fail(:job_id, :lease_token, 'no', discard => true);
SELECT verdict FROM faultline.redrive(ARRAY[:job_id]::bigint[]);
SELECT payload = $large FROM faultline.claim('large', 'w');
SQL
$session->quit;
invariants_hold($node, 'postgres');
log_is_clean($node);
$node->stop;
done_testing();
