// The client of the demo: a real OAuth client (openid-client over undici) that runs every flow through the
// edge, and the attacks the edge and the origin have to refuse:
//
//   node client.mjs CONFIG.json
//
// It prints one JSON line a step and ends with 0 only when every step came out as expected. No token,
// code, key or certificate is printed.

import { X509Certificate, createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';

import { createLocalJWKSet, jwtVerify } from 'jose';
import * as oidc from 'openid-client';
// The fetch of the same package as the Agent: Node's own fetch belongs to another undici and may not take it.
import { Agent, fetch } from 'undici';

const MTLS_ENDPOINTS = ['token_endpoint', 'pushed_authorization_request_endpoint', 'userinfo_endpoint'];
const MAX_REDIRECTS = 10;
const TIMEOUT_MS = 15_000;
const API_SCOPE = 'api:read';

class ConfigError extends Error {}

// ---------------------------------------------------------------- configuration

function need(holder, name, where) {
  if (typeof holder?.[name] !== 'string' || holder[name] === '') {
    throw new ConfigError(`${where}${name}: expected a string`);
  }
  return holder[name];
}

function loadIdentity(holder, where) {
  const pem = readFileSync(need(holder, 'cert', where), 'utf8');
  const certificate = new X509Certificate(pem);
  const selfSigned = certificate.checkIssued(certificate) && certificate.verify(certificate.publicKey);
  return {
    pem,
    key: readFileSync(need(holder, 'key', where), 'utf8'),
    kind: selfSigned ? 'self-signed' : 'ca',
    thumbprint: createHash('sha256').update(certificate.raw).digest('base64url'),
    // What a forger would send: the leaf the way the edge writes it.
    header: encodeURIComponent(certificate.toString()),
  };
}

function loadClient(raw, index) {
  const where = `clients[${index}].`;
  return {
    name: need(raw, 'name', where),
    clientId: need(raw, 'client_id', where),
    auth: need(raw, 'auth', where),
    redirectUri: need(raw, 'redirect_uri', where),
    identity: loadIdentity(raw, where),
  };
}

function loadConfig(file) {
  if (file === undefined) throw new ConfigError('usage: client.mjs CONFIG.json');
  const raw = JSON.parse(readFileSync(file, 'utf8'));
  const address = need(raw, 'address', '');
  if (isIP(address) === 0) throw new ConfigError('address: expected an IP address');
  if (!Array.isArray(raw.clients) || raw.clients.length === 0) {
    throw new ConfigError('clients: expected a list with at least one client');
  }
  return {
    issuer: need(raw, 'issuer', ''),
    address,
    ca: readFileSync(need(raw, 'ca', ''), 'utf8'),
    clients: raw.clients.map(loadClient),
    stolen: raw.stolen && loadIdentity(raw.stolen, 'stolen.'),
  };
}

// ---------------------------------------------------------------- transport

// All names lead to the edge; no resolver is asked.
function lookupAt(address) {
  const family = isIP(address);
  return (hostname, options, callback) => (
    options.all ? callback(null, [{ address, family }]) : callback(null, address, family)
  );
}

// One agent a certificate, so that no connection and no TLS session is shared between identities.
function createNetwork({ address, ca }) {
  const agents = new Map();
  const agentFor = (identity) => {
    const id = identity?.thumbprint ?? 'none';
    if (!agents.has(id)) {
      // `ca` replaces the system's roots.
      const connect = { ca, lookup: lookupAt(address), cert: identity?.pem, key: identity?.key };
      agents.set(id, new Agent({ connect }));
    }
    return agents.get(id);
  };
  return {
    fetchAs: (identity) => (url, options) => fetch(url, {
      signal: AbortSignal.timeout(TIMEOUT_MS),
      ...options,
      redirect: 'manual',
      dispatcher: agentFor(identity),
    }),
    close: () => Promise.all([...agents.values()].map((agent) => agent.close())),
  };
}

// A browser's cookies for one origin: enough of RFC 6265 for host-only cookies with a path.
class CookieJar {
  #cookies = new Map();

  store(response, url) {
    for (const line of response.headers.getSetCookie()) {
      const [pair, ...attributes] = line.split(';').map((part) => part.trim());
      const at = pair.indexOf('=');
      const found = new Map(attributes.map((attribute) => {
        const [name, value = ''] = attribute.split('=', 2);
        return [name.toLowerCase(), value];
      }));
      const name = pair.slice(0, at);
      const path = found.get('path') || '/';
      const expired = found.has('expires') && Date.parse(found.get('expires')) <= Date.now();
      const key = `${url.host} ${path} ${name}`;
      if (expired) this.#cookies.delete(key);
      else this.#cookies.set(key, { host: url.host, path, name, value: pair.slice(at + 1) });
    }
  }

  header(url) {
    const below = (path) => url.pathname === path || url.pathname.startsWith(path.endsWith('/') ? path : `${path}/`);
    return [...this.#cookies.values()]
      .filter(({ host, path }) => host === url.host && below(path))
      .map(({ name, value }) => `${name}=${value}`)
      .join('; ');
  }
}

// ---------------------------------------------------------------- steps

// The edge names its refusals by `edge_code`; what comes without is the origin's.
async function refusedBy(response) {
  if (response.status < 400) return undefined;
  const body = await response.clone().json().catch(() => undefined);
  return body?.edge_code ? `refused by the edge: ${body.edge_code}` : 'refused by the origin';
}

// Keeps what went over the wire in a step, since openid-client gives results, not exchanges.
function createRecorder(network) {
  const none = { request: null, certificate: null, status: null };
  let exchanges = [];
  return {
    reset() { exchanges = []; },
    first: () => exchanges.at(0) ?? none,
    last: () => exchanges.at(-1) ?? none,
    fetchAs: (identity, extraHeaders) => async (url, options = {}) => {
      const { origin, pathname } = new URL(url);
      const exchange = {
        // Without the query, where codes and request URIs are.
        request: `${options.method ?? 'GET'} ${origin}${pathname}`,
        certificate: identity?.kind ?? 'none',
        status: null,
      };
      exchanges.push(exchange);
      const headers = { ...Object.fromEntries(new Headers(options.headers)), ...extraHeaders };
      const response = await network.fetchAs(identity)(url, { ...options, headers });
      exchange.status = response.status;
      exchange.refusedBy = await refusedBy(response);
      return response;
    },
  };
}

class Unexpected extends Error {}

function check(condition, text) {
  if (!condition) throw new Unexpected(text);
}

// An error of the library in one line.
function explain(error, exchange) {
  const challenge = Array.isArray(error.cause) ? error.cause[0]?.parameters : undefined;
  const answer = [error, error.cause, challenge].find((candidate) => typeof candidate?.error === 'string');
  const text = answer
    ? [answer.error, answer.error_description]
    : [error.message, error.cause?.code ?? error.cause?.message];
  const said = text.filter(Boolean).join(': ');
  return exchange.refusedBy ? `${said} (${exchange.refusedBy})` : said;
}

function createReport(recorder) {
  let failed = 0;
  const print = (line) => {
    if (!line.ok) failed += 1;
    console.log(JSON.stringify(line));
  };
  const line = (step, expected, ok, detail, { request, certificate, status }) => {
    print({ step, request, certificate, status, ok, detail, expected });
  };
  return {
    failed: () => failed,

    // A step that has to work; gives its result, or undefined when it did not.
    async succeeds(step, expected, run) {
      recorder.reset();
      try {
        const { detail, result } = await run();
        // The request the step is named after; redirects and key look-ups come after it.
        line(step, expected, true, detail, recorder.first());
        return result ?? true;
      } catch (error) {
        line(step, expected, false, explain(error, recorder.last()), recorder.last());
        return undefined;
      }
    },

    // A step that has to be refused with one of the statuses. Refused means answered so: a connection that
    // breaks proves nothing.
    async refused(step, statuses, run) {
      recorder.reset();
      const expected = `refused with ${statuses.join(' or ')}`;
      try {
        await run();
        line(step, expected, false, 'was accepted', recorder.last());
      } catch (error) {
        const exchange = recorder.last();
        line(step, expected, statuses.includes(exchange.status), explain(error, exchange), exchange);
      }
    },

    notRun(steps, because) {
      recorder.reset();
      for (const step of steps) line(step, 'to be run', false, `not run: ${because}`, recorder.last());
    },
  };
}

// ---------------------------------------------------------------- the flows of one client

// Certificates go to the alias only; on the custom domain the client is a browser or has no need of one.
function splitFetch(recorder, identity, publicHost) {
  const plain = recorder.fetchAs(undefined);
  const mutual = recorder.fetchAs(identity);
  return (url, options) => (new URL(url).host === publicHost ? plain : mutual)(url, options);
}

async function discover({ config, recorder, client }) {
  const publicHost = new URL(config.issuer).host;
  const configuration = await oidc.discovery(
    new URL(config.issuer),
    client.clientId,
    {
      use_mtls_endpoint_aliases: true,
      token_endpoint_auth_method: client.auth,
      id_token_signed_response_alg: 'ES256',
    },
    oidc.TlsClientAuth(),
    {
      [oidc.customFetch]: splitFetch(recorder, client.identity, publicHost),
      // Without this the ID Token of a code flow is trusted on the TLS connection alone.
      execute: [oidc.enableNonRepudiationChecks],
    },
  );
  const metadata = configuration.serverMetadata();
  check(metadata.issuer === config.issuer, 'issuer is another than configured');
  check(new URL(metadata.authorization_endpoint).host === publicHost, 'authorization_endpoint is not at the custom domain');
  check(metadata.tls_client_certificate_bound_access_tokens === true, 'certificate-bound access tokens are not announced');
  for (const name of MTLS_ENDPOINTS) {
    const alias = metadata.mtls_endpoint_aliases?.[name];
    check(alias !== undefined, `mtls_endpoint_aliases names no ${name}`);
    check(new URL(alias).host !== publicHost, `mtls_endpoint_aliases.${name} is at the custom domain itself`);
  }
  return { detail: `aliases at ${new URL(metadata.mtls_endpoint_aliases.token_endpoint).host}`, result: configuration };
}

// The same server and client, seen over another connection: another certificate, none, or extra headers.
function reconfigure(configuration, client, { fetch: customFetch, aliases }) {
  const other = new oidc.Configuration(
    configuration.serverMetadata(),
    client.clientId,
    { use_mtls_endpoint_aliases: aliases, token_endpoint_auth_method: client.auth },
    oidc.TlsClientAuth(),
  );
  other[oidc.customFetch] = customFetch;
  return other;
}

async function pushRequest({ configuration, client }) {
  const secrets = {
    pkceCodeVerifier: oidc.randomPKCECodeVerifier(),
    expectedState: oidc.randomState(),
    expectedNonce: oidc.randomNonce(),
  };
  const url = await oidc.buildAuthorizationUrlWithPAR(configuration, {
    redirect_uri: client.redirectUri,
    scope: 'openid',
    code_challenge: await oidc.calculatePKCECodeChallenge(secrets.pkceCodeVerifier),
    code_challenge_method: 'S256',
    state: secrets.expectedState,
    nonce: secrets.expectedNonce,
  });
  check(url.searchParams.has('request_uri'), 'no request_uri came back');
  return { detail: 'request_uri received', result: { url, secrets } };
}

// What a browser does: follows redirects with its cookies, and knows no client certificate.
async function authorize({ config, recorder, client }, start) {
  const publicOrigin = new URL(config.issuer).origin;
  const browse = recorder.fetchAs(undefined);
  const jar = new CookieJar();
  let url = start;
  for (let hops = 1; hops <= MAX_REDIRECTS; hops += 1) {
    check(url.origin === publicOrigin, `a redirect left the custom domain for ${url.origin}`);
    const response = await browse(url.href, { headers: { accept: 'text/html', cookie: jar.header(url) } });
    await response.arrayBuffer();
    jar.store(response, url);
    check([302, 303].includes(response.status), 'the answer is no redirect');
    url = new URL(response.headers.get('location'), url);
    if (url.href.startsWith(`${client.redirectUri}?`)) {
      check(url.searchParams.has('code'), `no code: ${url.searchParams.get('error')}`);
      return { detail: `code received after ${hops} redirects`, result: url };
    }
  }
  throw new Unexpected('too many redirects');
}

async function exchangeCode({ configuration }, callback, secrets) {
  const tokens = await oidc.authorizationCodeGrant(configuration, callback, { ...secrets, idTokenExpected: true });
  return { detail: `${tokens.token_type} token; ID Token verified, its key from jwks_uri`, result: tokens };
}

async function userinfo(configuration, tokens) {
  const claims = await oidc.fetchUserInfo(configuration, tokens.access_token, tokens.claims().sub);
  return { detail: `sub ${claims.sub}` };
}

function clientCredentials(configuration, config) {
  return oidc.clientCredentialsGrant(configuration, {
    scope: API_SCOPE,
    resource: new URL('/api', config.issuer).href,
  });
}

// What a resource server does with such a token: signature, issuer, audience, type, then the binding.
async function verifyBinding({ config, recorder, configuration, client }, tokens) {
  const response = await recorder.fetchAs(undefined)(configuration.serverMetadata().jwks_uri);
  const { payload } = await jwtVerify(tokens.access_token, createLocalJWKSet(await response.json()), {
    issuer: config.issuer,
    audience: new URL('/api', config.issuer).href,
    typ: 'at+jwt',
  });
  check(payload.client_id === client.clientId, 'the token is another client’s');
  check(payload.cnf?.['x5t#S256'] !== undefined, 'the token is not bound to a certificate');
  check(payload.cnf['x5t#S256'] === client.identity.thumbprint, 'the token is bound to another certificate');
  return { detail: 'cnf x5t#S256 equals the thumbprint of the client certificate' };
}

async function codeFlow(context, titles, report) {
  const { configuration, thief, recorder, client } = context;
  const run = (key, expected, step) => report.succeeds(titles[key], expected, step);

  const pushed = await run('par', '201 at the mTLS alias', () => pushRequest(context));
  const callback = pushed
    && await run('authorize', 'redirects to redirect_uri with a code', () => authorize(context, pushed.url));
  const tokens = callback
    && await run('code', '200 and an ID Token that verifies', () => exchangeCode(context, callback, pushed.secrets));
  if (!tokens) return false;

  await run('userinfo', '200', () => userinfo(configuration, tokens));
  await report.refused(titles.stolen, [401], () => userinfo(reconfigure(configuration, client, {
    fetch: recorder.fetchAs(thief), aliases: true,
  }), tokens));
  await report.refused(titles.bare, [401], () => userinfo(reconfigure(configuration, client, {
    fetch: recorder.fetchAs(undefined), aliases: false,
  }), tokens));
  return true;
}

async function machineFlow(context, titles, report) {
  const { config, configuration, thief, recorder, client } = context;
  const tokens = await report.succeeds(titles.credentials, '200', async () => {
    const result = await clientCredentials(configuration, config);
    return { detail: `${result.token_type} token for ${API_SCOPE}`, result };
  });
  if (tokens) {
    await report.succeeds(titles.bound, 'cnf x5t#S256 = thumbprint', () => verifyBinding(context, tokens));
  } else {
    report.notRun([titles.bound], 'it needs a token');
  }
  // The edge refuses with 400 a certificate it does not accept; the origin with 401 one that is not this
  // client's.
  await report.refused(titles.impostor, [400, 401], () => clientCredentials(
    reconfigure(configuration, client, { fetch: recorder.fetchAs(thief), aliases: true }),
    config,
  ));
  await report.refused(titles.absent, [400], () => clientCredentials(
    reconfigure(configuration, client, { fetch: recorder.fetchAs(undefined), aliases: true }),
    config,
  ));
  const forged = {
    'client-certificate': client.identity.header,
    'client-certificate-ca-verified': client.auth === 'tls_client_auth' ? 'SUCCESS' : 'FAILED:self-signed certificate',
  };
  await report.refused(titles.forged, [401], () => clientCredentials(
    reconfigure(configuration, client, { fetch: recorder.fetchAs(undefined, forged), aliases: false }),
    config,
  ));
}

const STEPS = {
  discovery: 'discovery at the custom domain',
  par: 'pushed authorization request',
  authorize: 'authorization request, followed to the code',
  code: 'code exchanged for tokens',
  userinfo: 'userinfo with the bound token',
  stolen: 'userinfo with the token and another certificate',
  bare: 'userinfo with the token at the custom domain, no certificate',
  credentials: 'client_credentials',
  bound: 'access token is bound to the certificate',
  impostor: 'client_credentials with another certificate',
  absent: 'client_credentials at the mTLS alias, no certificate',
  forged: 'client_credentials at the custom domain with forged certificate headers, no certificate',
};
const CODE_FLOW = ['par', 'authorize', 'code', 'userinfo', 'stolen', 'bare'];

async function runClient(context, report) {
  const titles = Object.fromEntries(
    Object.entries(STEPS).map(([key, text]) => [key, `${context.client.name}: ${text}`]),
  );
  const configuration = await report.succeeds(
    titles.discovery,
    'issuer as configured, the three aliases named',
    () => discover(context),
  );
  if (!configuration) {
    const { discovery, ...others } = titles;
    report.notRun(Object.values(others), 'discovery failed');
    return;
  }
  const ready = { ...context, configuration };
  if (!await codeFlow(ready, titles, report)) {
    report.notRun(CODE_FLOW.slice(3).map((key) => titles[key]), 'the code flow gave no token');
  }
  await machineFlow(ready, titles, report);
}

// Who has the token but not the key: `stolen` of the configuration, or the certificate of another client.
function thiefFor(client, config) {
  const thief = [config.stolen, ...config.clients.map(({ identity }) => identity)]
    .find((identity) => identity && identity.thumbprint !== client.identity.thumbprint);
  if (!thief) throw new ConfigError('stolen: expected a certificate that is not the client’s own');
  return thief;
}

async function main() {
  const config = loadConfig(process.argv[2]);
  const network = createNetwork(config);
  const recorder = createRecorder(network);
  const report = createReport(recorder);
  for (const client of config.clients) {
    await runClient({ config, recorder, client, thief: thiefFor(client, config) }, report);
  }
  await network.close();
  process.exitCode = report.failed() === 0 ? 0 : 1;
}

main().catch((error) => {
  console.error(`client: ${error instanceof ConfigError ? error.message : error.stack}`);
  process.exitCode = 2;
});
