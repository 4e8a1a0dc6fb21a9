// Runs Workers on a real workerd for the test programs in Rust.
//
// One line of JSON on standard input is a command, {"NAME": ARGUMENT}; each is answered by one line on
// standard output, {"done": VALUE} or {"error": TEXT}, in order. The first command is `start`. It ends,
// and workerd with it, when standard input closes.
//
// start: {"workers": [WORKER, ...]} gives the port of each Worker's own socket by name.
//   WORKER: {"name", "folder": of index.js, "bindings": {NAME: text or JSON},
//            "kv": {NAME: {KEY: TEXT}}, "d1": {NAME: [SQL, ...]}, "analytics": [NAME, ...],
//            "origins": [{"name", "address": "IP:PORT", "trust": PEM, or empty for plain HTTP}, ...],
//            "clock": "real" or "told"}
// put: {"worker", "binding", "key", "value"} writes an entry into a KV namespace.
// sql: {"worker", "binding", "statement"} runs SQL on a D1 database and gives the rows.
// logs: COUNT gives what all Workers have written to their consoles, [{"level", "message"}, ...], but for the
//   first COUNT.
// points: COUNT gives the data points that were written, [{"dataset", "point"}, ...], but for the first COUNT.
// dispose: null ends workerd.
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { Log, LogLevel, Miniflare, convertV4MiniflareOptions } from 'miniflare';

// That of wrangler.toml; workerd refuses one that is newer than itself.
const COMPATIBILITY_DATE = '2026-11-01';

// Stands for Cloudflare's network and DNS: leads to the origin that has the name, with a TLS connection
// that is verified. A name that no origin has is answered as Cloudflare answers one without an address.
const NETWORK = `export default {
  fetch(request, env) {
    const origin = env[new URL(request.url).host];
    return origin ? origin.fetch(request) : new Response('error code: 1016', { status: 530 });
  }
}`;

// Stands for the time: it is what `request.cf.testTime` of the last request says, in milliseconds since 1970.
// The Worker is as it was built; only what it asks for the time is another.
const TOLD_TIME = `import Edge from './index.js';
let now = 0;
Date.now = () => now;
const { fetch } = Edge.prototype;
Edge.prototype.fetch = function (request) {
  now = request.cf?.testTime ?? now;
  return fetch.call(this, request);
};
export * from './index.js';
export default Edge;`;

const POINT = 'auth-edge-test-point ';

let miniflare;
const logs = [];
const points = [];

function onLog({ level, message }) {
  if (message.startsWith(POINT)) {
    points.push(JSON.parse(message.slice(POINT.length)));
  } else {
    logs.push({ level, message });
  }
}

// The built Worker: its entry, and whatever stands beside it.
function modules(folder, clock) {
  const types = { '.js': 'ESModule', '.mjs': 'ESModule', '.wasm': 'CompiledWasm' };
  const entryFirst = (a, b) => (b === 'index.js') - (a === 'index.js');
  const built = readdirSync(folder)
    .filter((name) => path.extname(name) in types)
    .sort(entryFirst)
    .map((name) => ({ type: types[path.extname(name)], path: path.join(folder, name) }));
  const toldTime = { type: 'ESModule', path: path.join(folder, 'told-time.mjs'), contents: TOLD_TIME };
  return clock === 'told' ? [toldTime, ...built] : built;
}

function origin({ name, address, trust }) {
  if (trust === '') return [name, { external: { address, http: {} } }];
  const tlsOptions = { trustedCertificates: [trust] };
  return [name, { external: { address, https: { certificateHost: name, tlsOptions } } }];
}

// The Workers that stand for the network; Workers with the same origins share one.
function networks(workers) {
  const known = new Map();
  for (const { origins = [] } of workers) {
    const key = JSON.stringify(origins);
    if (!known.has(key)) {
      known.set(key, {
        name: `network-${known.size}`,
        modules: true,
        script: NETWORK,
        compatibilityDate: COMPATIBILITY_DATE,
        serviceBindings: Object.fromEntries(origins.map(origin)),
      });
    }
  }
  return known;
}

// Each Worker has namespaces and databases of its own, whatever they are called.
function own(worker, bindings = {}) {
  return Object.fromEntries(Object.keys(bindings).map((name) => [name, `${worker}-${name}`]));
}

function edge(worker, network) {
  const { name, folder, bindings = {}, kv, d1, analytics = [], clock } = worker;
  return {
    name,
    modules: modules(folder, clock),
    modulesRoot: folder,
    compatibilityDate: COMPATIBILITY_DATE,
    bindings,
    kvNamespaces: own(name, kv),
    d1Databases: own(name, d1),
    unsafeBindings: analytics.map((dataset) => ({
      name: dataset,
      type: 'analytics',
      plugin: { package: fileURLToPath(new URL('analytics.mjs', import.meta.url)), name: 'analytics' },
      options: { mark: POINT },
    })),
    outboundService: network,
    // The Worker gets what is written there; no Worker of miniflare's is in between.
    unsafeDirectSockets: [{ host: '127.0.0.1', port: 0, proxy: true }],
    stripCfConnectingIp: false,
  };
}

async function start({ workers }) {
  const outside = networks(workers);
  const edges = workers.map((worker) =>
    edge(worker, outside.get(JSON.stringify(worker.origins ?? [])).name));
  miniflare = new Miniflare(convertV4MiniflareOptions({
    workers: [...edges, ...outside.values()],
    // Otherwise it is fetched.
    cf: {},
    telemetry: { enabled: false },
    log: new Log(LogLevel.NONE),
    handleStructuredLogs: onLog,
  }));
  await miniflare.ready;
  const ports = {};
  for (const { name, kv = {}, d1 = {} } of workers) {
    for (const [binding, entries] of Object.entries(kv)) {
      const namespace = await miniflare.getKVNamespace(binding, name);
      for (const [key, value] of Object.entries(entries)) {
        await namespace.put(key, value);
      }
    }
    for (const [binding, statements] of Object.entries(d1)) {
      for (const statement of statements) {
        await sql({ worker: name, binding, statement });
      }
    }
    ports[name] = Number((await miniflare.unsafeGetDirectURL(name)).port);
  }
  return ports;
}

async function put({ worker, binding, key, value }) {
  const namespace = await miniflare.getKVNamespace(binding, worker);
  await namespace.put(key, value);
  return null;
}

async function sql({ worker, binding, statement }) {
  const database = await miniflare.getD1Database(binding, worker);
  return (await database.prepare(statement).all()).results;
}

async function dispose() {
  await miniflare?.dispose();
  miniflare = undefined;
  return null;
}

const commands = {
  start, put, sql, dispose,
  logs: (known) => logs.slice(known),
  points: (known) => points.slice(known),
};

for await (const line of createInterface({ input: process.stdin })) {
  let answer;
  try {
    const [[name, argument]] = Object.entries(JSON.parse(line));
    answer = { done: await commands[name](argument) };
  } catch (error) {
    answer = { error: error.stack ?? String(error) };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
await dispose();
process.exit(0);
