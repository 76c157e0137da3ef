// Installs a queue from npm in the database of the environment (PGDATABASE) and prints, as JSON, the
// statements that its own client sends, recorded from the installed package. Parameters become those
// that bench/peer.hpp names, or constants; constants stay, as plans depend on them.
// Usage: node statements.mjs graphile-worker | pg-boss
import { createRequire } from 'node:module';
import pg from 'pg';

const require = createRequire(import.meta.url);
const queue = 'bench';
// A limit that is found again in the text of a recorded statement.
const limit_mark = 4711;

// Replaces what must be there: a package that sends something else is not measured by mistake.
function replaced(text, found, replacement) {
  if (!text.includes(found)) throw new Error(`the recorded statement has no ${found}: ${text}`);
  return text.replaceAll(found, replacement);
}

function version(name) {
  return require(`./node_modules/${name}/package.json`).version;
}

async function graphileWorker(pool) {
  const { makeWorkerUtils } = await import('graphile-worker');
  const utils = await makeWorkerUtils({ pgPool: pool });
  await utils.migrate();
  // A task is known from its first job on; the job itself must not stay.
  const first = await utils.addJob(queue, {});
  await utils.completeJobs([first.id]);

  const internal = (name) => require(`./node_modules/graphile-worker/dist/sql/${name}.js`);
  const sent = [];
  const client = {
    query: async (statement) => {
      sent.push(statement);
      return pool.query(statement);
    },
  };
  const withClient = (call) => call(client);
  withClient.withRetries = withClient;
  const options = {
    escapedWorkerSchema: 'graphile_worker',
    workerSchema: 'graphile_worker',
    resolvedPreset: { worker: { preparedStatements: true, useNodeTime: false } },
    logger: console,
  };
  const tasks = { [queue]: () => {} };
  const { batchGetJobs } = internal('getJobs');
  const { batchCompleteJobs } = internal('completeJobs');
  await batchGetJobs(options, withClient, tasks, 'recorder', null, limit_mark);
  const claim = sent.at(-1);
  const job = (id) => ({ id, job_queue_id: null });
  await batchCompleteJobs(options, withClient, 'recorder', [job('0')]);
  const complete_one = sent.at(-1).text;
  await batchCompleteJobs(options, withClient, 'recorder', [job('0'), job('-1')]);
  const complete_many = sent.at(-1).text;
  await utils.release();

  const task_ids = `'{${claim.values[1].join(',')}}'::int[]`;
  const claim_text = replaced(claim.text, '$2::int[]', task_ids);
  return {
    version: version('graphile-worker'),
    claim: replaced(
      replaced(claim_text, String(limit_mark), ':max_jobs'), 'returning *',
      'returning jobs.id, null, jobs.payload, jobs.attempts'),
    complete_one,
    complete_many,
  };
}

async function pgBoss(pool) {
  const { PgBoss } = await import('pg-boss');
  const boss = new PgBoss({
    db: { executeSql: (text, values) => pool.query(text, values) },
    supervise: false,
    schedule: false,
  });
  await boss.start();
  await boss.createQueue(queue);
  const sent = [];
  const db = {
    executeSql: async (text, values) => {
      sent.push({ text, values });
      return { rows: [{ count: 0 }] };
    },
  };
  await boss.insert(queue, [{ data: {} }], { db, returnId: true });
  const insert = sent.at(-1).text;
  await boss.fetch(queue, { db, batchSize: limit_mark });
  const claim = sent.at(-1).text;
  await boss.complete(queue, ['00000000-0000-0000-0000-000000000000'], null, { db });
  const complete = sent.at(-1).text;
  await boss.stop({ graceful: false });

  const completing = (ids) =>
    replaced(replaced(replaced(complete, '$2::uuid[]', ids), '$3::jsonb', 'null::jsonb'),
      '$1\n', `'${queue}'\n`);
  return {
    version: version('pg-boss'),
    enqueue_one: insert,
    enqueue_many: insert,
    claim: replaced(
      replaced(claim, String(limit_mark), ':max_jobs'), 'RETURNING j.id',
      'RETURNING j.id, null'),
    complete_one: completing('ARRAY[$1]::uuid[]'),
    complete_many: completing('$1::uuid[]'),
  };
}

const peers = { 'graphile-worker': graphileWorker, 'pg-boss': pgBoss };
const peer = peers[process.argv[2]];
if (!peer) throw new Error(`usage: node statements.mjs ${Object.keys(peers).join(' | ')}`);
const pool = new pg.Pool({ max: 2 });
const complain = (error) => console.error(error.message);
pool.on('error', complain);
pool.on('connect', (client) => client.on('error', complain));
const statements = await peer(pool);
await pool.end();
console.log(JSON.stringify(statements, null, 2));
