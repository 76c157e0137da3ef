# What a job costs in the write-ahead log, step by step, in batches of 100 with 97 bytes of payload.
# The bounds are what was reached, with a little room; decision 16 says how.
use strict;
use warnings;
use FaultlineNode;
use PostgreSQL::Test::Utils;
use Test::More;

my $batch   = 100;
my $batches = 20;
# Full-page images depend on checkpoints, not on the rows.
my $node = new_node('wal', conf => "full_page_writes = off\nautovacuum = off\nfaultline.background_worker = off\n");
$node->safe_psql('postgres', q{
    SELECT faultline.create_queue('kept');
    SELECT faultline.create_queue('brief', keep_finished => '0');
    CREATE TABLE costs (step text, bytes bigint);
    CREATE TABLE payload AS SELECT
        '{"order":"ord_0000184467","customer":"cus_48216","amount":129900,"currency":"EUR","sku":"A-1043"}'::jsonb AS value;
    -- The bytes of WAL that a statement writes; its commit is not among them.
    CREATE FUNCTION cost(step text, statement text) RETURNS void LANGUAGE plpgsql AS $$
    DECLARE plan json;
    BEGIN
        EXECUTE 'EXPLAIN (ANALYZE, WAL, FORMAT json) ' || statement INTO plan;
        INSERT INTO costs VALUES (step, (plan -> 0 -> 'Plan' ->> 'WAL Bytes')::bigint);
    END $$});

# What is held, with its tokens, as only the owner of the extension can read them.
my $held = q{(SELECT array_agg(job_id) AS ids, array_agg(lease_token) AS tokens
    FROM faultline.live_jobs WHERE state = 'r') AS h};
for my $queue (qw(kept brief)) {
    for (1 .. $batches) {
        $node->safe_psql('postgres', qq{SELECT cost('$queue enqueue', \$\$SELECT faultline.enqueue_many('$queue',
            array_fill(value, ARRAY[$batch])) FROM payload\$\$)});
        $node->safe_psql('postgres', qq{SELECT cost('$queue claim',
            \$\$SELECT faultline.claim('$queue', 'worker-1', $batch)\$\$)});
        $node->safe_psql('postgres', qq{SELECT cost('$queue complete', \$\$SELECT v.* FROM $held,
            faultline.complete_many(h.ids, h.tokens) AS v\$\$)});
    }
}

sub bytes_per_job {
    my ($steps) = @_;
    return $node->safe_psql('postgres',
        "SELECT round(sum(bytes) / ($batch * $batches.0)) FROM costs WHERE step LIKE '$steps'");
}

my %bytes_max = (
    'kept enqueue'  => 350,
    'kept claim'    => 130,
    'kept complete' => 320,
    'brief complete' => 65,
    # The whole life.
    'kept %'  => 785,
    'brief %' => 535,
);
for my $steps (sort keys %bytes_max) {
    my $bytes = bytes_per_job($steps);
    cmp_ok($bytes, '>', 50, "$steps: measured $bytes bytes per job");
    cmp_ok($bytes, '<=', $bytes_max{$steps}, "$steps: at most $bytes_max{$steps}");
}
is( $node->safe_psql('postgres', q{SELECT q.name, count(f.job_id) FROM faultline.queues AS q
        LEFT JOIN faultline.finished_jobs AS f USING (queue_id) GROUP BY 1 ORDER BY 1}),
    "brief|0\nkept|" . $batch * $batches, 'every job went through, and only one queue keeps them');
is( $node->safe_psql('postgres',
        q{SELECT pg_stat_force_next_flush()}) . $node->safe_psql('postgres',
        q{SELECT n_tup_upd = n_tup_hot_upd FROM pg_stat_all_tables WHERE relname = 'live_jobs'}),
    't', 'every claim was a HOT update');
log_is_clean($node);
$node->stop;
done_testing();
