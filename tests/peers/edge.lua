-- What `cargo xtask bench` compares with: the job of the edge as a careful Lua filter does it.
--
-- Host names, path list, removal of what a client must not say, certificate with its size limit, a list of
-- registered thumbprints, and the fields for the origin. It leaves out what Lua in Envoy cannot do: reading
-- the certificate, its dates and usage, revocation. So it does less for its time than the filter does.
-- It removes fields in one of two ways: by a list of names, as most do, or the families of names in every
-- spelling that the edge removes, which takes a look at each field.

local hosts = {
  ["login.example.test"] = { domain = "login.example.test" },
  ["other.example.test"] = { domain = "other.example.test" },
  ["mtls.login.example.test"] = { domain = "mtls.login.example.test", mtls = true },
  ["mtls.other.example.test"] = { domain = "mtls.other.example.test", mtls = true },
}
local paths = { ["/oauth/token"] = true, ["/oauth/par"] = true, ["/userinfo"] = true }
local methods = {
  GET = true, HEAD = true, OPTIONS = true, PUT = true, POST = true, PATCH = true, DELETE = true,
}
local removed = {
  "client-certificate", "client_certificate", "client-certificate-ca-verified",
  "client_certificate_ca_verified", "cname-api-key", "client-cert", "client-cert-chain",
  "x-forwarded-client-cert", "x-client-cert", "x-ssl-client-cert", "x-ssl-client-verify",
  "ssl-client-cert", "ssl-client-verify", "x-forwarded-for", "x-forwarded-host", "x-forwarded-port",
  "forwarded", "x-real-ip", "true-client-ip", "x-original-url", "x-rewrite-url", "x-host",
  "x-envoy-external-address", "keep-alive", "te",
}
-- The same with the families of names that R-4 and R-6 know, in every spelling.
local known = {
  ["client-certificate"] = true, ["client-certificate-ca-verified"] = true, ["cname-api-key"] = true,
  ["client-cert"] = true, ["client-cert-chain"] = true, ["forwarded"] = true, ["x-real-ip"] = true,
  ["true-client-ip"] = true, ["cf-connecting-ip"] = true, ["x-client-ip"] = true,
  ["x-azure-clientip"] = true, ["x-rewrite-url"] = true, ["x-host"] = true, ["keep-alive"] = true,
  ["te"] = true, ["proxy-connection"] = true, ["trailer"] = true, ["upgrade"] = true,
}
local families = {
  [99] = { "cert-chain", "cf-cert-", "cf-client-cert-" }, -- c
  [115] = { "ssl-client-" }, -- s
  [120] = { -- x
    "x-forwarded-", "x-envoy-", "x-client-cert", "x-ssl-client-", "x-amzn-mtls-", "x-auth-edge-", "x-original-",
  },
}
-- How known names start: most fields need no further look.
local first_bytes = {}
for name in pairs(known) do
  first_bytes[string.byte(name)] = true
end
for first in pairs(families) do
  first_bytes[first] = true
end
local every_spelling = ${every_spelling}
local registered = { ${registered} }
local origin = "${origin}"
local api_key = "${api_key}"
local limit = 4096

local function refuse(handle, status, code)
  handle:logWarn("refused: " .. code)
  handle:respond(
    { [":status"] = status, ["content-type"] = "application/json", ["cache-control"] = "no-store" },
    '{"error":"invalid_request","edge_code":"' .. code .. '"}'
  )
end

local function is_owned(name)
  local first = string.byte(name)
  if not first_bytes[first] then
    -- A letter, a digit or the colon of a pseudo-header field; a separator is not the start of a name.
    if first >= 97 and first <= 122 or first >= 48 and first <= 58 then
      return false
    end
  end
  if string.find(name, "[^a-z0-9-]") or string.find(name, "--", 1, true) or first == 45 then
    name = string.gsub(string.gsub(name, "[^a-z0-9]+", "-"), "^-", "")
    first = string.byte(name)
  end
  if known[name] then
    return true
  end
  local starts = families[first]
  if starts then
    for index = 1, #starts do
      local start = starts[index]
      if string.sub(name, 1, #start) == start then
        return true
      end
    end
  end
  return false
end

local function remove_owned(headers)
  local owned = {}
  for name in pairs(headers) do
    if is_owned(name) then
      owned[#owned + 1] = name
    end
  end
  for index = 1, #owned do
    headers:remove(owned[index])
  end
end

function envoy_on_request(handle)
  local headers = handle:headers()
  local host = hosts[headers:get(":authority")]
  if not host then
    return refuse(handle, "404", "unknown_host")
  end
  if not methods[headers:get(":method")] then
    return refuse(handle, "405", "method_not_allowed")
  end
  local info = handle:streamInfo()
  local tls = info:downstreamSslConnection()
  if not tls then
    return refuse(handle, "403", "https_required")
  end
  local certificate, verdict
  if host.mtls then
    if info:requestedServerName() ~= host.domain then
      return refuse(handle, "421", "misdirected_request")
    end
    local path = headers:get(":path")
    local query = string.find(path, "?", 1, true)
    if query then
      path = string.sub(path, 1, query - 1)
    end
    if not paths[path] then
      return refuse(handle, "404", "path_not_allowed")
    end
    if not tls:peerCertificatePresented() then
      return refuse(handle, "400", "certificate_required")
    end
    if tls:peerCertificateValidated() then
      verdict = "SUCCESS"
    elseif registered[tls:sha256PeerCertificateDigest()] then
      verdict = "FAILED:self-signed certificate"
    else
      return refuse(handle, "400", "certificate_not_registered")
    end
    certificate = tls:urlEncodedPemEncodedPeerCertificate()
    if #certificate > limit then
      return refuse(handle, "400", "certificate_too_large")
    end
  end
  if every_spelling then
    remove_owned(headers)
  else
    for index = 1, #removed do
      headers:remove(removed[index])
    end
  end
  headers:replace(":authority", origin)
  headers:replace("cname-api-key", api_key)
  local address = info:downstreamDirectRemoteAddress()
  headers:replace("x-forwarded-for", string.match(address, "^%[?(.-)%]?:%d+$"))
  headers:replace("x-forwarded-proto", "https")
  headers:replace("x-forwarded-host", host.domain)
  if certificate then
    headers:replace("client-certificate", certificate)
    headers:replace("client-certificate-ca-verified", verdict)
  end
end
