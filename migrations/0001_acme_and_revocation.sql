-- Answers to ACME challenges (RFC 8555 section 8.3), by the host name that is asked for them. They are kept for 300
-- seconds; whoever writes one removes those that have expired.
CREATE TABLE acme_challenges (
  host TEXT NOT NULL,
  token TEXT NOT NULL,
  key_authorization TEXT NOT NULL,
  -- In seconds since 1970.
  expires_at INTEGER NOT NULL,
  PRIMARY KEY (host, token)
) STRICT, WITHOUT ROWID;

-- Certificate revocation lists (RFC 5280 section 5), by the custom domain whose clients they speak of; the newest of
-- an issuer counts.
CREATE TABLE revocation_lists (
  host TEXT NOT NULL,
  -- The issuer's name as RFC 4514 writes it: one list of an issuer for each custom domain.
  issuer TEXT NOT NULL,
  der BLOB NOT NULL,
  PRIMARY KEY (host, issuer)
) STRICT, WITHOUT ROWID;
