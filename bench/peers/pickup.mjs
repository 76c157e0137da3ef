// A waiting worker, by the client of a queue from npm with its default settings: prints "ready", then
// the monotonic clock in nanoseconds whenever it receives a job, and ends after so many jobs.
// Usage: node pickup.mjs graphile-worker | pg-boss JOBS
import pg from 'pg';

const queue = 'bench';
const jobs = Number(process.argv[3]);
let received = 0;
let all_received;
const ended = new Promise((resolve) => {
  all_received = resolve;
});

function receive() {
  process.stdout.write(`${process.hrtime.bigint()}\n`);
  if (++received === jobs) all_received();
}

async function graphileWorker(pool) {
  const { run, Logger } = await import('graphile-worker');
  const quiet = new Logger(() => () => {});
  const runner = await run({
    pgPool: pool,
    concurrency: 1,
    noHandleSignals: true,
    logger: quiet,
    taskList: { [queue]: receive },
  });
  return () => runner.stop();
}

async function pgBoss(pool) {
  const { PgBoss } = await import('pg-boss');
  const boss = new PgBoss({
    db: { executeSql: (text, values) => pool.query(text, values) },
    supervise: false,
    schedule: false,
  });
  await boss.start();
  await boss.work(queue, async (batch) => batch.forEach(receive));
  return () => boss.stop({ graceful: true });
}

const peers = { 'graphile-worker': graphileWorker, 'pg-boss': pgBoss };
const pool = new pg.Pool({ max: 4 });
const ignore = () => {};
pool.on('error', ignore);
pool.on('connect', (client) => client.on('error', ignore));
const stop = await peers[process.argv[2]](pool);
process.stdout.write('ready\n');
await ended;
await stop();
await pool.end();
