// The origin of the demo: a real OpenID provider (oidc-provider) that can be reached over HTTPS only and
// trusts nobody but the edge, the way Auth0 does behind a self-managed custom domain:
//
//   node origin.mjs CONFIG.json        (the API key comes from ORIGIN_API_KEY)
//
// It prints `listening PORT` and ends with SIGTERM, SIGINT or its standard input. Everything it holds is
// in memory; everybody who asks is logged in as one demo user.

import { X509Certificate, createHash, generateKeyPairSync, randomBytes, timingSafeEqual } from 'node:crypto';
import { appendFileSync, closeSync, openSync, readFileSync } from 'node:fs';
import { createServer } from 'node:https';

import { Provider, errors } from 'oidc-provider';

const API_KEY_HEADER = 'cname-api-key';
const CERTIFICATE_HEADER = 'client-certificate';
const VERDICT_HEADER = 'client-certificate-ca-verified';

const SUCCESS = 'SUCCESS';
const SELF_SIGNED = 'FAILED:self-signed certificate';

// Auth0's limit for the encoded certificate.
const MAX_CERTIFICATE_BYTES = 4096;

const ACCOUNT = 'demo-user';
const API_SCOPE = 'api:read';

// The paths of the edge's `auth0` profile.
const ROUTES = {
  authorization: '/authorize',
  token: '/oauth/token',
  userinfo: '/userinfo',
  pushed_authorization_request: '/oauth/par',
  jwks: '/.well-known/jwks.json',
  end_session: '/oidc/logout',
};

class ConfigError extends Error {}

// A request the origin answers before the provider sees it.
class Rejected extends Error {
  constructor(status, error, description) {
    super(description);
    this.status = status;
    this.body = { error, error_description: description };
  }
}

// ---------------------------------------------------------------- configuration

function need(holder, path, type) {
  const value = path.split('.').reduce((at, key) => at?.[key], holder);
  const found = Array.isArray(value) ? 'array' : typeof value;
  if (found !== type || value === '') throw new ConfigError(`${path}: found ${found}, expected ${type}`);
  return value;
}

function loadConfig(file) {
  if (file === undefined) throw new ConfigError('usage: origin.mjs CONFIG.json');
  const raw = JSON.parse(readFileSync(file, 'utf8'));
  return {
    tls: {
      cert: readFileSync(need(raw, 'tls.cert', 'string')),
      key: readFileSync(need(raw, 'tls.key', 'string')),
    },
    issuer: need(raw, 'issuer', 'string'),
    mtlsIssuer: need(raw, 'mtls_issuer', 'string'),
    audit: need(raw, 'audit', 'string'),
    clients: need(raw, 'clients', 'array').map(clientMetadata),
  };
}

// Removed from the environment once read, so that nothing that prints the environment can show it.
function takeApiKey() {
  const key = process.env.ORIGIN_API_KEY;
  delete process.env.ORIGIN_API_KEY;
  if (!key) throw new ConfigError('ORIGIN_API_KEY is not set');
  return key;
}

function clientMetadata(client) {
  const grantTypes = need(client, 'grant_types', 'array');
  const metadata = {
    client_id: need(client, 'client_id', 'string'),
    token_endpoint_auth_method: need(client, 'auth', 'string'),
    redirect_uris: client.redirect_uris ?? [],
    grant_types: grantTypes,
    response_types: grantTypes.includes('authorization_code') ? ['code'] : [],
    tls_client_certificate_bound_access_tokens: true,
  };
  switch (client.auth) {
    case 'tls_client_auth':
      // The provider looks at configured clients when they are first used; a mistake shall show at start.
      if ((client.subject_dn === undefined) === (client.san_dns === undefined)) {
        throw new ConfigError(`client ${client.client_id}: expected either subject_dn or san_dns`);
      }
      return {
        ...metadata,
        tls_client_auth_subject_dn: client.subject_dn,
        tls_client_auth_san_dns: client.san_dns,
      };
    case 'self_signed_tls_client_auth':
      return { ...metadata, jwks: { keys: [certificateJwk(need(client, 'cert', 'string'))] } };
    default:
      throw new ConfigError(`auth of client ${client.client_id}: unknown method ${client.auth}`);
  }
}

// RFC 8705 2.2.2: a self-signed certificate is registered as the x5c of a key in the client's JWK set.
function certificateJwk(file) {
  const certificate = new X509Certificate(readFileSync(file));
  return {
    ...certificate.publicKey.export({ format: 'jwk' }),
    use: 'sig',
    x5c: [certificate.raw.toString('base64')],
  };
}

// ---------------------------------------------------------------- what the edge says of a request

const sha256 = (data) => createHash('sha256').update(data).digest();

// Comparing digests keeps the time independent of both length and content.
function apiKeyCheck(key) {
  const expected = sha256(key);
  return (values) => values?.length === 1 && timingSafeEqual(sha256(values[0]), expected);
}

function single(headers, name) {
  const values = headers[name] ?? [];
  if (values.length > 1) throw new Rejected(400, 'invalid_request', `${name} was sent more than once`);
  return values[0];
}

function decodeCertificate(encoded) {
  if (Buffer.byteLength(encoded) > MAX_CERTIFICATE_BYTES) {
    throw new Rejected(400, 'invalid_request', `${CERTIFICATE_HEADER} is longer than ${MAX_CERTIFICATE_BYTES} bytes`);
  }
  try {
    return new X509Certificate(decodeURIComponent(encoded));
  } catch {
    throw new Rejected(400, 'invalid_request', `${CERTIFICATE_HEADER} is not a URL-encoded PEM certificate`);
  }
}

// The certificate and its verdict come together or not at all: half a statement is a broken edge.
function readIdentity(headers) {
  const encoded = single(headers, CERTIFICATE_HEADER);
  const verdict = single(headers, VERDICT_HEADER);
  if (encoded === undefined && verdict === undefined) return {};
  if (encoded === undefined || verdict === undefined) {
    throw new Rejected(400, 'invalid_request', `${CERTIFICATE_HEADER} and ${VERDICT_HEADER} belong together`);
  }
  if (verdict !== SUCCESS && verdict !== SELF_SIGNED) {
    throw new Rejected(400, 'invalid_request', `${VERDICT_HEADER} has an unknown value`);
  }
  const certificate = decodeCertificate(encoded);
  // X509Certificate prints 64 columns and a final newline, which is the form the edge promises.
  return { certificate, verdict, canonical: encodeURIComponent(certificate.toString()) === encoded };
}

// RFC 4514 order is the reverse of the certificate's, which is what Node prints, one RDN a line.
// Enough for the plain names of the demo; a real origin compares parsed names.
const rfc4514 = (certificate) => certificate.subject.split('\n').reverse().join(',');

function subjectMatches(certificate, property, expected) {
  switch (property) {
    case 'tls_client_auth_subject_dn':
      return rfc4514(certificate) === expected;
    case 'tls_client_auth_san_dns':
      // Not a search in the text of subjectAltName: a name in there can look like two.
      return certificate.checkHost(expected, { subject: 'never', wildcards: false }) !== undefined;
    default:
      return false;
  }
}

// ---------------------------------------------------------------- provider

const sign = { alg: 'ES256', use: 'sig' };

function signingKey() {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return { ...privateKey.export({ format: 'jwk' }), ...sign, kid: randomBytes(8).toString('hex') };
}

function mutualTls(identityOf) {
  return {
    enabled: true,
    certificateBoundAccessTokens: true,
    selfSignedTlsClientAuth: true,
    tlsClientAuth: true,
    getCertificate(ctx) {
      const { certificate, verdict } = identityOf(ctx.req);
      // The provider compares thumbprints only. A registered certificate that the edge calls CA-signed is
      // another kind of trust than the client was registered with.
      const selfSignedClient = ctx.oidc.client?.clientAuthMethod === 'self_signed_tls_client_auth';
      if (certificate && selfSignedClient && verdict !== SELF_SIGNED) {
        throw new errors.InvalidClientAuth('a self-signed client needs the verdict FAILED');
      }
      return certificate;
    },
    // FAILED means "valid but self-signed", and a self-signed certificate can carry anybody's subject.
    certificateAuthorized: (ctx) => identityOf(ctx.req).verdict === SUCCESS,
    certificateSubjectMatches: (ctx, property, expected) => (
      subjectMatches(identityOf(ctx.req).certificate, property, expected)
    ),
  };
}

// Tokens for this one resource are JWTs, so that a client can look at their `cnf`; those for userinfo stay
// opaque, since oidc-provider accepts no token with an audience there.
function resourceIndicators(issuer) {
  const api = new URL('/api', issuer).href;
  return {
    enabled: true,
    getResourceServerInfo(ctx, resource) {
      if (resource !== api) throw new errors.InvalidTarget();
      return { scope: API_SCOPE, audience: api, accessTokenFormat: 'jwt', jwt: { sign: { alg: sign.alg } } };
    },
  };
}

function mtlsAliases(mtlsIssuer) {
  const at = (path) => new URL(path, mtlsIssuer).href;
  return {
    token_endpoint: at(ROUTES.token),
    pushed_authorization_request_endpoint: at(ROUTES.pushed_authorization_request),
    userinfo_endpoint: at(ROUTES.userinfo),
  };
}

function createProvider({ issuer, mtlsIssuer, clients }, identityOf) {
  const provider = new Provider(issuer, {
    clients,
    clientDefaults: { id_token_signed_response_alg: sign.alg },
    clientAuthMethods: ['tls_client_auth', 'self_signed_tls_client_auth'],
    responseTypes: ['code'],
    enabledJWA: { idTokenSigningAlgValues: [sign.alg] },
    jwks: { keys: [signingKey()] },
    cookies: { keys: [randomBytes(32).toString('base64url')] },
    routes: ROUTES,
    discovery: { mtls_endpoint_aliases: mtlsAliases(mtlsIssuer) },
    pkce: { required: () => true },
    scopes: ['openid'],
    findAccount: (ctx, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
    interactions: { url: (ctx, interaction) => `/interaction/${interaction.uid}` },
    ttl: { AccessToken: 600, ClientCredentials: 600, Grant: 600, IdToken: 600, Interaction: 600, Session: 600 },
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
      dPoP: { enabled: false },
      mTLS: mutualTls(identityOf),
      pushedAuthorizationRequests: { enabled: true },
      resourceIndicators: resourceIndicators(issuer),
    },
  });
  provider.use(autoInteraction(provider));
  return provider;
}

// Logs the demo user in and consents, in the redirects and cookies a browser would go through.
function autoInteraction(provider) {
  return async (ctx, next) => {
    if (ctx.method !== 'GET' || !ctx.path.startsWith('/interaction/')) return next();
    const interaction = await provider.interactionDetails(ctx.req, ctx.res);
    const result = interaction.prompt.name === 'login'
      ? { login: { accountId: ACCOUNT } }
      : { consent: { grantId: await consent(provider, interaction) } };
    ctx.set('cache-control', 'no-store');
    ctx.redirect(await provider.interactionResult(ctx.req, ctx.res, result));
    ctx.status = 303;
  };
}

async function consent(provider, { session, params, prompt }) {
  const grant = new provider.Grant({ accountId: session.accountId, clientId: params.client_id });
  grant.addOIDCScope(prompt.details.missingOIDCScope?.join(' ') ?? '');
  grant.addOIDCClaims(prompt.details.missingOIDCClaims ?? []);
  return grant.save();
}

// The provider tells a client little; why it refused goes to the audit.
function recordReasons(provider, reasons) {
  for (const event of ['authorization', 'grant', 'pushed_authorization_request', 'userinfo']) {
    provider.on(`${event}.error`, (ctx, error) => {
      reasons.set(ctx.req, error.error_detail ?? error.error_description ?? error.message);
    });
  }
  provider.on('server_error', (ctx, error) => console.error(error));
}

// ---------------------------------------------------------------- audit

function headerNames(req) {
  return req.rawHeaders.filter((_, index) => index % 2 === 0).map((name) => name.toLowerCase()).sort();
}

// A repeated header shows as an array, so that a reader cannot take two values for one.
function headerValue(req, name) {
  const values = req.headersDistinct[name];
  return values?.length > 1 ? values : values?.[0] ?? null;
}

// Written before the response's last byte: whoever has the answer can read the line. Values are named one
// by one; no credential is among them.
function auditOnEnd(req, res, describe, write) {
  const line = {
    time: new Date().toISOString(),
    method: req.method,
    url: req.url,
    host: headerValue(req, 'host'),
    sni: req.socket.servername || null,
    headers: headerNames(req),
    'x-forwarded-for': headerValue(req, 'x-forwarded-for'),
    'x-forwarded-proto': headerValue(req, 'x-forwarded-proto'),
    'x-forwarded-host': headerValue(req, 'x-forwarded-host'),
    [VERDICT_HEADER]: headerValue(req, VERDICT_HEADER),
  };
  let written = false;
  const finish = (completed) => {
    if (written) return;
    written = true;
    write({ ...line, ...describe(), status: completed ? res.statusCode : null });
  };
  const { end } = res;
  res.end = function endAfterAudit(...args) {
    finish(true);
    return end.apply(this, args);
  };
  res.once('close', () => finish(false));
}

function openAudit(file) {
  // Fails at start when the file cannot be written, and makes it readable by its owner only.
  closeSync(openSync(file, 'a', 0o600));
  return (line) => appendFileSync(file, `${JSON.stringify(line)}\n`);
}

// ---------------------------------------------------------------- server

function reject(res, { status, body }) {
  res.writeHead(status, { 'content-type': 'application/json', 'cache-control': 'no-store' });
  res.end(JSON.stringify(body));
}

function createHandler(config, apiKey) {
  const identities = new WeakMap();
  const reasons = new WeakMap();
  const identityOf = (req) => identities.get(req) ?? {};
  const provider = createProvider(config, identityOf);
  recordReasons(provider, reasons);
  const provide = provider.callback();
  const isApiKey = apiKeyCheck(apiKey);
  const writeAudit = openAudit(config.audit);
  const publicHost = new URL(config.issuer).host;

  return (req, res) => {
    const apiKeyRight = isApiKey(req.headersDistinct[API_KEY_HEADER]);
    auditOnEnd(req, res, () => {
      const { certificate, canonical } = identityOf(req);
      return {
        thumbprint: certificate ? sha256(certificate.raw).toString('base64url') : null,
        certificate_canonical: canonical ?? null,
        api_key_right: apiKeyRight,
        reason: reasons.get(req) ?? null,
      };
    }, writeAudit);
    try {
      if (!apiKeyRight) throw new Rejected(403, 'access_denied', 'this origin is reached through its edge only');
      // An absolute target would decide the host of the URLs the provider makes.
      if (!req.url.startsWith('/')) throw new Rejected(400, 'invalid_request', 'the request target is not in origin form');
      identities.set(req, readIdentity(req.headersDistinct));
    } catch (error) {
      if (!(error instanceof Rejected)) throw error;
      reasons.set(req, error.message);
      return reject(res, error);
    }
    // The provider makes its URLs from Host. The edge sends the origin's own name there, and the public one
    // in x-forwarded-host without its port: only the configured issuer knows the whole.
    req.headers.host = publicHost;
    return provide(req, res);
  };
}

function stopWithParent(server) {
  const stop = () => {
    server.close(() => process.exit(0));
    server.closeAllConnections();
  };
  process.once('SIGTERM', stop);
  process.once('SIGINT', stop);
  // A parent that dies without a signal closes the pipe.
  process.stdin.once('end', stop).once('error', stop).resume();
}

function main() {
  const config = loadConfig(process.argv[2]);
  const handler = createHandler(config, takeApiKey());
  // Longer than a proxy keeps idle connections in the demo: one closed here just as the proxy reuses it would
  // show as the proxy's 503.
  const server = createServer({ ...config.tls, minVersion: 'TLSv1.2', keepAliveTimeout: 600_000 }, handler);
  stopWithParent(server);
  server.on('error', (error) => {
    console.error(`origin: ${error.message}`);
    process.exit(1);
  });
  server.listen(0, '127.0.0.1', () => console.log(`listening ${server.address().port}`));
}

try {
  main();
} catch (error) {
  // The provider's own errors say what is wrong with a client in error_description.
  console.error(`origin: ${[error.message, error.error_description].filter(Boolean).join(': ')}`);
  process.exitCode = 2;
}
