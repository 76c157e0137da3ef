// The lifecycle by the client of a queue from npm, in one process of Node.js, in the database of the
// environment. Prints as JSON how many jobs were enqueued and completed in all, and how many were
// completed in the seconds after a warm-up. Usage: node lifecycle.mjs PACKAGE BATCH CLIENTS SECONDS
import pg from 'pg';

const queue = 'bench';
const warm_up_seconds = 1;
const [name, batch, clients, seconds] = [process.argv[2], ...process.argv.slice(3).map(Number)];
const payload = JSON.parse(
  '{"order":"ord_0000184467","customer":"cus_48216","amount":129900,"currency":"EUR","sku":"A-1043"}');
const payloads = Array.from({ length: batch }, () => payload);
const count = { enqueued: 0, completed: 0 };
let stopping = false;

// Each client enqueues, fetches and completes a batch.
async function pgBoss(pool) {
  const { PgBoss } = await import('pg-boss');
  const boss = new PgBoss({
    db: { executeSql: (text, values) => pool.query(text, values) },
    supervise: false,
    schedule: false,
  });
  await boss.start();
  const cycle = async () => {
    if (batch === 1) await boss.send(queue, payload);
    else await boss.insert(queue, payloads.map((data) => ({ data })));
    count.enqueued += batch;
    const jobs = await boss.fetch(queue, { batchSize: batch });
    if (jobs.length === 0) return;
    await boss.complete(queue, jobs.map((job) => job.id));
    count.completed += jobs.length;
  };
  return { cycle, stop: () => boss.stop({ graceful: false }) };
}

// Its worker fetches and completes by itself, with as many jobs at a time as there are clients. In
// batches it prefetches and completes as many together, which are settings of its own. Each client
// enqueues a batch and waits until as many jobs have been done.
async function graphileWorker(pool) {
  const { makeWorkerUtils, run, Logger } = await import('graphile-worker');
  const logger = new Logger(() => () => {});
  const many = { localQueue: { size: batch * clients }, completeJobBatchDelay: 0 };
  let wake = [];
  const runner = await run({
    preset: { worker: { concurrentJobs: clients, ...(batch > 1 ? many : {}) } },
    pgPool: pool,
    noHandleSignals: true,
    logger,
    taskList: {
      [queue]: () => {
        count.completed++;
        if (count.completed % batch === 0 || count.completed === count.enqueued) {
          wake.forEach((resolve) => resolve());
          wake = [];
        }
      },
    },
  });
  const utils = await makeWorkerUtils({ pgPool: pool, logger });
  const cycle = async () => {
    if (batch === 1) await utils.addJob(queue, payload);
    else await utils.addJobs(payloads.map((data) => ({ identifier: queue, payload: data })));
    count.enqueued += batch;
    while (count.enqueued - count.completed >= batch * clients)
      await new Promise((resolve) => wake.push(resolve));
  };
  const stop = async () => {
    while (count.completed < count.enqueued) await new Promise((resolve) => setTimeout(resolve, 5));
    await runner.stop();
    await utils.release();
  };
  return { cycle, stop };
}

const peers = { 'graphile-worker': graphileWorker, 'pg-boss': pgBoss };
const pool = new pg.Pool({ max: clients + 4 });
const ignore = () => {};
pool.on('error', ignore);
pool.on('connect', (client) => client.on('error', ignore));
const { cycle, stop } = await peers[name](pool);
const wait = (time) => new Promise((resolve) => setTimeout(resolve, 1000 * time));
const loops = Array.from({ length: clients }, async () => {
  while (!stopping) await cycle();
});
await Promise.race([wait(warm_up_seconds), ...loops]);
const start = { completed: count.completed, time: performance.now() };
await Promise.race([wait(seconds), ...loops]);
const measured = count.completed - start.completed;
const elapsed = (performance.now() - start.time) / 1000;
stopping = true;
await Promise.all(loops);
await stop();
await pool.end();
console.log(JSON.stringify({ ...count, measured, seconds: elapsed }));
