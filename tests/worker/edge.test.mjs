// The Worker as its users run it on their own machine: with miniflare's own front door, from JavaScript.
//
// AUTH_EDGE_WORKER is the folder of the built Worker. What is sent there is `request.cf` as Cloudflare documents it,
// without a certificate; requests with certificates are the business of the test programs in Rust.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { Log, LogLevel, Miniflare, convertV4MiniflareOptions } from 'miniflare';

const folder = path.resolve(process.env.AUTH_EDGE_WORKER ?? '../../worker/build');
const domain = 'login.example.test';
const alias = `mtls.${domain}`;
// With it the field `host` is that of the URL, as `wrangler dev` has it; otherwise it is miniflare's own address.
const secret = 'test-only-secret';
const apiKey = 'test-only-api-key';

const config = {
  version: 1,
  hosts: [{
    custom_domain: domain,
    origin: { host: 'origin.example.test', api_key: { env: 'ORIGIN_API_KEY' } },
    client_certificates: { self_signed: { registered: ['A'.repeat(43)] } },
  }],
};

const cf = {
  tlsVersion: 'TLSv1.3',
  tlsCipher: 'AEAD-AES128-GCM-SHA256',
  tlsClientAuth: {
    certPresented: '0', certVerified: 'NONE', certRevoked: '0', certFingerprintSHA256: '',
    certRFC9440: '', certRFC9440TooLarge: false, certChainRFC9440: '', certChainRFC9440TooLarge: false,
  },
};

// Stands for the origin; the Worker's requests are led there whatever their URL.
const origin = createServer((request, response) => {
  const body = JSON.stringify({ method: request.method, url: request.url, headers: request.headers });
  response.writeHead(request.url === '/away' ? 302 : 200, { location: 'https://elsewhere.example.com/' });
  response.end(body);
});

const running = [];
async function start(options) {
  const { port } = origin.address();
  const miniflare = new Miniflare(convertV4MiniflareOptions({
    modules: ['index.js', 'index_bg.wasm'].map((name) => ({
      type: name.endsWith('.wasm') ? 'CompiledWasm' : 'ESModule', path: path.join(folder, name),
    })),
    modulesRoot: folder,
    compatibilityDate: '2026-11-01',
    stripCfConnectingIp: false,
    unsafeProxySharedSecret: secret,
    outboundService: (request) => {
      const url = new URL(request.url);
      const headers = new Headers(request.headers);
      headers.set('x-fetched', url.origin);
      return fetch(`http://127.0.0.1:${port}${url.pathname}${url.search}`, {
        method: request.method, headers, redirect: 'manual',
      });
    },
    cf: {},
    telemetry: { enabled: false },
    log: new Log(LogLevel.NONE),
    handleStructuredLogs: () => {},
    ...options,
  }));
  running.push(miniflare);
  return (url, init = {}) => miniflare.dispatchFetch(url, {
    redirect: 'manual', cf, ...init,
    headers: { 'MF-Proxy-Shared-Secret': secret, 'cf-connecting-ip': '198.51.100.7', ...init.headers },
  });
}

const bindings = { AUTH_EDGE_CONFIG: JSON.stringify(config), ORIGIN_API_KEY: apiKey };

let ask;
before(async () => {
  origin.listen(0, '127.0.0.1');
  await once(origin, 'listening');
  ask = await start({ bindings });
});
after(async () => {
  await Promise.all(running.map((miniflare) => miniflare.dispose()));
  origin.close();
  origin.closeAllConnections();
});

async function refused(response, status, code) {
  const body = await response.json();
  assert.deepEqual([response.status, body.edge_code], [status, code]);
  assert.equal(response.headers.get('cache-control'), 'no-store');
  return body;
}

test('a request for the custom domain reaches the origin with the API key', async () => {
  const response = await ask(`https://${domain}/authorize?a=b`);
  assert.equal(response.status, 200);
  const seen = await response.json();
  assert.equal(seen.url, '/authorize?a=b');
  assert.equal(seen.headers['x-fetched'], 'https://origin.example.test');
  assert.equal(seen.headers['cname-api-key'], apiKey);
  assert.equal(seen.headers['x-forwarded-for'], '198.51.100.7');
  assert.equal(seen.headers['client-certificate'], undefined);
});

test('a redirect of the origin is passed back', async () => {
  const response = await ask(`https://${domain}/away`);
  assert.equal(response.status, 302);
  assert.equal(response.headers.get('location'), 'https://elsewhere.example.com/');
});

test('what a client says of itself never reaches the origin', async () => {
  const response = await ask(`https://${domain}/`, {
    headers: { 'client-certificate': 'spoofed', 'client-certificate-ca-verified': 'SUCCESS', 'cname-api-key': 'spoofed' },
  });
  const seen = await response.json();
  assert.equal(seen.headers['client-certificate'], undefined);
  assert.equal(seen.headers['client-certificate-ca-verified'], undefined);
  assert.equal(seen.headers['cname-api-key'], apiKey);
});

test('the alias is for clients with a certificate', async () => {
  const token = { method: 'POST', body: 'grant_type=client_credentials' };
  const body = await refused(await ask(`https://${alias}/oauth/token`, token), 400, 'certificate_required');
  assert.equal(body.error, 'invalid_client');
  await refused(await ask(`https://${alias}/elsewhere`), 404, 'path_not_allowed');
});

test('where Cloudflare does not say what was presented the alias is closed', async () => {
  const without = { cf: { ...cf, tlsClientAuth: null } };
  await refused(await ask(`https://${alias}/oauth/token`, without), 503, 'host_unsupported');
  assert.equal((await ask(`https://${domain}/`, without)).status, 200);
});

test('plain HTTP is redirected', async () => {
  const response = await ask(`http://${domain}/authorize?a=b`, { cf: {} });
  assert.equal(response.status, 308);
  assert.equal(response.headers.get('location'), `https://${domain}/authorize?a=b`);
});

test('a host that is not configured is unknown', async () => {
  await refused(await ask('https://nobody.example.test/'), 404, 'unknown_host');
});

test('without a usable configuration there is no service', async () => {
  for (const wrong of [{}, { AUTH_EDGE_CONFIG: '{' }, { AUTH_EDGE_CONFIG: JSON.stringify(config) }]) {
    const without = await start({ bindings: wrong });
    await refused(await without(`https://${domain}/`), 503, 'no_configuration');
  }
});

test('a configuration may be a value in JSON', async () => {
  const other = await start({ bindings: { ...bindings, AUTH_EDGE_CONFIG: config } });
  assert.equal((await other(`https://${domain}/`)).status, 200);
});

test('a configuration may be an entry in KV', async () => {
  const other = await start({ bindings: { ORIGIN_API_KEY: apiKey }, kvNamespaces: ['AUTH_EDGE_CONFIG'] });
  const namespace = await running.at(-1).getKVNamespace('AUTH_EDGE_CONFIG');
  await namespace.put('config.json', JSON.stringify(config));
  assert.equal((await other(`https://${domain}/`)).status, 200);
});
