// What `cargo xtask bench worker` compares with: the job of the edge as one writes it plainly in JavaScript.
//
// Host names, path list, removal of what a client must not say, certificate with its size limit, a list of
// registered thumbprints, and the fields for the origin. It leaves out what the runtime does not offer: reading
// the certificate, its dates and usages, paths to a root of one's own, revocation. It takes Cloudflare's word for
// CA-signed certificates and a thumbprint for any other, so it does less for its time than the edge does.
import { isOwned } from "./families.mjs";

const METHODS = new Set(["GET", "HEAD", "OPTIONS", "PUT", "POST", "PATCH", "DELETE"]);
const LIMIT = 4096;

function refuse(status, error, code) {
  const body = { error, error_description: `refused: ${code}`, edge_code: code, request_id: crypto.randomUUID() };
  console.warn(JSON.stringify({ event: "refused", status, code, request_id: body.request_id }));
  return Response.json(body, { status, headers: { "cache-control": "no-store" } });
}

function pem(base64) {
  const lines = base64.match(/.{1,64}/g).join("\n");
  return `-----BEGIN CERTIFICATE-----\n${lines}\n-----END CERTIFICATE-----\n`;
}

async function thumbprint(base64) {
  const der = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", der));
  return btoa(String.fromCharCode(...digest)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

export default {
  async fetch(request, env) {
    const { hosts, origin, paths, registered } = env.SETTINGS;
    const url = new URL(request.url);
    const name = request.headers.get("host")?.toLowerCase();
    const host = hosts[name];
    if (!host) return refuse(404, "invalid_request", "unknown_host");
    if (url.protocol !== "https:") return refuse(403, "invalid_request", "https_required");
    if (url.href !== request.url) return refuse(400, "invalid_request", "invalid_path");
    if (!METHODS.has(request.method)) return refuse(405, "invalid_request", "method_not_allowed");
    const headers = new Headers(request.headers);
    for (const field of request.headers.keys()) {
      if (isOwned(field)) headers.delete(field);
    }
    if (host.mtls) {
      if (!paths.includes(url.pathname)) return refuse(404, "invalid_request", "path_not_allowed");
      const auth = request.cf?.tlsClientAuth;
      if (auth?.certPresented !== "1") return refuse(400, "invalid_client", "certificate_required");
      if (!auth.certRFC9440) return refuse(400, "invalid_client", "certificate_too_large");
      const base64 = auth.certRFC9440.slice(1, -1);
      const isVerified = auth.certVerified === "SUCCESS" && auth.certRevoked === "0";
      if (!isVerified && !registered.includes(await thumbprint(base64))) {
        return refuse(400, "invalid_client", "certificate_not_registered");
      }
      const encoded = encodeURIComponent(pem(base64));
      if (encoded.length > LIMIT) return refuse(400, "invalid_client", "certificate_too_large");
      headers.set("client-certificate", encoded);
      headers.set("client-certificate-ca-verified", isVerified ? "SUCCESS" : "FAILED:self-signed certificate");
    }
    headers.set("cname-api-key", env.ORIGIN_API_KEY);
    headers.set("x-forwarded-for", request.headers.get("cf-connecting-ip"));
    headers.set("x-forwarded-proto", "https");
    headers.set("x-forwarded-host", name);
    url.host = origin;
    return fetch(url, {
      method: request.method,
      headers,
      body: request.body,
      redirect: "manual",
      cache: "no-store",
    });
  },
};
