// What a Worker's runtime is asked and told, in as few steps as can be: a request goes into the module as one text
// and comes out as another. Nothing is decided here.

// Between the parts of a text, and between the members of `request.cf`; neither HTTP nor a URL can hold them, and a
// member that does is told as unreadable.
const END = "\0";
const NEXT = "\x01";

// The names of the header fields of the request that is being judged, and the text it was told in. Judging never
// waits, so no other request comes in between.
let names;
let told;

// Set once, when the configuration is in force.
let strictTransportSecurity;
let dataset;
let unavailable;

export function configure(hsts, analytics, refuse) {
  strictTransportSecurity = typeof hsts === "string" && isFieldValue(hsts) ? hsts : undefined;
  dataset = analytics ?? undefined;
  unavailable = refuse;
}

// Whether a text can be set as a field: with one that cannot, each answer would fail.
function isFieldValue(text) {
  try {
    new Headers().set("strict-transport-security", text);
    return true;
  } catch (error) {
    console.error(`auth_edge: AUTH_EDGE_HSTS cannot be sent and is left out: ${error.message}`);
    return false;
  }
}

// One member of `request.cf`: absent, a text, a truth value, or anything else.
function member(value) {
  if (typeof value === "string") return value.includes(END) || value.includes(NEXT) ? "!" : "=" + value;
  if (value === undefined || value === null) return "";
  return value === true ? "t" : value === false ? "f" : "!";
}

function connection(cf) {
  const auth = cf?.tlsClientAuth;
  return (
    member(auth?.certFingerprintSHA256) + NEXT + member(cf?.tlsVersion) + NEXT + member(cf?.tlsCipher) + NEXT +
    member(auth?.certPresented) + NEXT + member(auth?.certVerified) + NEXT + member(auth?.certRevoked) + NEXT +
    member(auth?.certRFC9440) + NEXT + member(auth?.certRFC9440TooLarge) + NEXT +
    member(auth?.certChainRFC9440) + NEXT + member(auth?.certChainRFC9440TooLarge)
  );
}

const encoder = new TextEncoder();
const room = new Uint8Array(64 * 1024);

export function gather(request) {
  names = [];
  let text = Date.now() + END + request.method + END + request.url + END + connection(request.cf);
  for (const [name, value] of request.headers) {
    names.push(name);
    text += END + name + END + value;
  }
  told = text;
  // As a text it would go into the module letter by letter. A letter takes at most three bytes.
  if (text.length * 3 > room.length) return encoder.encode(text);
  return room.subarray(0, encoder.encodeInto(text, room).written);
}

// `edits`: the URL, a digit for each field (1: it is left out), then names and values to set.
export function forward(request, edits) {
  const parts = edits.split(END);
  const removed = parts[1];
  // A copy, since what is not text in a value would be lost on its way through JavaScript.
  const headers = new Headers(request.headers);
  for (let i = 0; i < names.length; i++) if (removed[i] === "1") headers.delete(names[i]);
  for (let i = 2; i < parts.length; i += 2) headers.set(parts[i], parts[i + 1]);
  const { method } = request;
  // With a body, even an empty one, `fetch` takes neither.
  const body = method === "GET" || method === "HEAD" ? null : request.body;
  const init = { method, headers, body, redirect: "manual", cache: "no-store" };
  return send(parts[0], init, told, request.url.startsWith("https:"));
}

async function send(url, init, told, isHttps) {
  let response;
  try {
    response = await fetch(url, init);
  } catch {
    return unavailable(told);
  }
  const { status } = response;
  // One of another status cannot be made anew.
  const isPlain = !isHttps || strictTransportSecurity === undefined || status < 200 || status > 599;
  if (isPlain || response.headers.has("strict-transport-security")) return response;
  response = new Response(response.body, response);
  response.headers.set("strict-transport-security", strictTransportSecurity);
  return response;
}

// `fields`: names and values.
export function answer(status, fields, body, isHttps) {
  const parts = fields.split(END);
  const headers = new Headers();
  for (let i = 0; i + 1 < parts.length; i += 2) headers.append(parts[i], parts[i + 1]);
  if (isHttps && strictTransportSecurity !== undefined) headers.set("strict-transport-security", strictTransportSecurity);
  return new Response(body, { status, headers });
}

// Analytics Engine throws for a longer index.
const LONGEST_INDEX = 96;

export function count(outcome, code, host) {
  try {
    dataset.writeDataPoint({ indexes: [host.slice(0, LONGEST_INDEX)], blobs: [outcome, code, host], doubles: [1] });
  } catch (error) {
    // What is only counted must not decide.
    console.error(`auth_edge: a data point was not written: ${error.message}`);
  }
}

export function newId() {
  return crypto.randomUUID();
}
