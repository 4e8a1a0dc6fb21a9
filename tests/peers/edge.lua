-- What `cargo xtask bench` compares with: the job of the edge as a careful Lua filter does it.
--
-- Host names, path list, removal of what a client must not say, certificate with its size limit, a list of
-- registered thumbprints, and the fields for the origin. It leaves out what Lua in Envoy cannot do or what
-- nobody writes there: reading the certificate, its dates and usage, folded spellings of field names,
-- revocation. So it does less for its time than the filter does.

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
  for index = 1, #removed do
    headers:remove(removed[index])
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
