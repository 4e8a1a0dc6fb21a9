// The header fields that a client must not send to the origin, in every spelling; for the Workers in JavaScript
// that `cargo xtask bench worker` compares with.

const owned = new RegExp(
  "^(?:client-cert(?:-chain|ificate(?:-ca-verified)?)?|cname-api-key|cert-chain.*|cf-(?:client-)?cert-.*|cf-connecting-ip" +
    "|connection|forwarded|host|http2-settings|keep-alive|proxy-connection|ssl-client-.*|te|trailer|true-client-ip" +
    "|upgrade|x-(?:forwarded-|envoy-|client-cert|ssl-client-|amzn-mtls-|auth-edge-|original-).*" +
    "|x-(?:real-ip|client-ip|azure-clientip|rewrite-url|host))$",
);

// Whether the field, whose name the runtime gives in lower case, is removed.
export function isOwned(name) {
  const folded = /[^a-z0-9-]|--/.test(name) ? name.replace(/[^a-z0-9]+/g, "-") : name;
  return owned.test(folded.startsWith("-") ? folded.slice(1) : folded);
}
