// What `cargo xtask bench worker` compares with: the job of the edge in JavaScript that spares every step.
//
// As straightforward.mjs, with what the platform knows already: the certificate's fingerprint, under which the
// encoded certificate is remembered. It looks no closer at the certificate.
import { isOwned } from "./families.mjs";

const METHODS = new Set(["GET", "HEAD", "OPTIONS", "PUT", "POST", "PATCH", "DELETE"]);
const LIMIT = 4096;
const REMEMBERED = 512;

// By fingerprint; the oldest goes first.
const encoded = new Map();

let settings;
function prepare({ SETTINGS: { hosts, origin, paths, fingerprints }, ORIGIN_API_KEY: apiKey }) {
  settings = {
    hosts: new Map(Object.entries(hosts)),
    prefix: `https://${origin}`,
    paths: new Set(paths),
    fingerprints: new Set(fingerprints),
    apiKey,
  };
}

function refuse(status, error, code) {
  const id = crypto.randomUUID();
  console.warn(`{"event":"refused","status":${status},"code":"${code}","request_id":"${id}"}`);
  const body = `{"error":"${error}","error_description":"refused: ${code}","edge_code":"${code}","request_id":"${id}"}`;
  return new Response(body, { status, headers: { "content-type": "application/json", "cache-control": "no-store" } });
}

// Of base64, `encodeURIComponent` changes three characters alone.
const ESCAPES = { "+": "%2B", "/": "%2F", "=": "%3D" };

function encode(base64) {
  const lines = base64.replace(/.{64}(?=.)/g, "$&%0A").replace(/[+/=]/g, (character) => ESCAPES[character]);
  return `-----BEGIN%20CERTIFICATE-----%0A${lines}%0A-----END%20CERTIFICATE-----%0A`;
}

function certificate({ certFingerprintSHA256: fingerprint, certRFC9440: field }) {
  let value = encoded.get(fingerprint);
  if (value === undefined) {
    value = encode(field.slice(1, -1));
    if (encoded.size >= REMEMBERED) encoded.delete(encoded.keys().next().value);
    encoded.set(fingerprint, value);
  }
  return value;
}

export default {
  fetch(request, env) {
    if (settings === undefined) prepare(env);
    const { url, headers: received } = request;
    let name = received.get("host");
    let host = settings.hosts.get(name);
    if (host === undefined && name) host = settings.hosts.get((name = name.toLowerCase()));
    if (host === undefined) return refuse(404, "invalid_request", "unknown_host");
    if (!url.startsWith("https://")) return refuse(403, "invalid_request", "https_required");
    const target = url.slice(url.indexOf("/", 8));
    if (/\\|\/(?:\.|%2e){1,2}(?:[/?]|$)/i.test(target)) return refuse(400, "invalid_request", "invalid_path");
    if (!METHODS.has(request.method)) return refuse(405, "invalid_request", "method_not_allowed");
    let value, verdict;
    if (host.mtls) {
      const query = target.indexOf("?");
      if (!settings.paths.has(query < 0 ? target : target.slice(0, query))) {
        return refuse(404, "invalid_request", "path_not_allowed");
      }
      const auth = request.cf?.tlsClientAuth;
      if (auth?.certPresented !== "1") return refuse(400, "invalid_client", "certificate_required");
      if (auth.certVerified === "SUCCESS" && auth.certRevoked === "0") verdict = "SUCCESS";
      else if (settings.fingerprints.has(auth.certFingerprintSHA256)) verdict = "FAILED:self-signed certificate";
      else return refuse(400, "invalid_client", "certificate_not_registered");
      if (!auth.certRFC9440) return refuse(400, "invalid_client", "certificate_too_large");
      value = certificate(auth);
      if (value.length > LIMIT) return refuse(400, "invalid_client", "certificate_too_large");
    }
    const headers = new Headers(received);
    for (const field of received.keys()) {
      if (isOwned(field)) headers.delete(field);
    }
    if (value !== undefined) {
      headers.set("client-certificate", value);
      headers.set("client-certificate-ca-verified", verdict);
    }
    headers.set("cname-api-key", settings.apiKey);
    headers.set("x-forwarded-for", received.get("cf-connecting-ip"));
    headers.set("x-forwarded-proto", "https");
    headers.set("x-forwarded-host", name);
    return fetch(settings.prefix + target, {
      method: request.method,
      headers,
      body: request.body,
      redirect: "manual",
      cache: "no-store",
    });
  },
};
