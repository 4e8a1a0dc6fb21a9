//! How NGINX reads a request over HTTP/1.1, before any module sees it.

use crate::wire::{Fields, WireRequest};

/// A request as NGINX holds it.
#[derive(Clone, Debug)]
pub struct Read {
    /// `$request_method`.
    pub method: Vec<u8>,
    /// `$request`: the request line as it came.
    pub line: Vec<u8>,
    /// `$request_uri`: path and query as they came, which is what goes upstream.
    pub unparsed_uri: Vec<u8>,
    /// `$uri`: the path, decoded, without dot segments.
    pub uri: Vec<u8>,
    /// `$args`: the query as it came.
    pub args: Vec<u8>,
    /// The header fields that are kept, in their order and spelling.
    pub fields: Fields,
}

/// A request that NGINX answers itself.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct OwnAnswer {
    /// The status.
    pub status: u16,
    /// Why.
    pub why: &'static str,
}

/// Why a host is refused that is no name, by NGINX 1.31; older ones let some of them pass.
pub const HOST_THAT_IS_NONE: &str = "NGINX refuses a host that is none";

const fn refuse<T>(status: u16, why: &'static str) -> Result<T, OwnAnswer> {
    Err(OwnAnswer { status, why })
}

/// Reads a request.
///
/// # Errors
/// When NGINX answers it itself.
pub fn read(request: &WireRequest) -> Result<Read, OwnAnswer> {
    let is_method = |byte: &u8| byte.is_ascii_uppercase() || matches!(byte, b'-' | b'_');
    if !request.method.iter().all(is_method) || request.method.is_empty() {
        return refuse(400, "NGINX refuses a method that is not in capital letters");
    }
    let unparsed_uri = request_uri(&request.target, &request.method)?;
    let (uri, args) = parsed(&unparsed_uri)?;
    let fields = fields(request)?;
    match request.method.as_slice() {
        b"TRACE" => return refuse(405, "NGINX refuses TRACE"),
        b"CONNECT" => return refuse(405, "NGINX refuses CONNECT"),
        _ => {}
    }
    let line = [&request.method, &b" "[..], &request.target, b" HTTP/1.1"].concat();
    Ok(Read {
        method: request.method.clone(),
        line,
        unparsed_uri,
        uri,
        args,
        fields,
    })
}

/// `$request_uri`: of an absolute form what stands behind the authority.
fn request_uri(target: &[u8], method: &[u8]) -> Result<Vec<u8>, OwnAnswer> {
    if target.iter().any(|byte| *byte < 0x20 || *byte == 0x7f) {
        return refuse(400, "NGINX refuses a control character in a target");
    }
    if target.contains(&b' ') {
        return refuse(400, "NGINX refuses a space in a target");
    }
    if method == b"CONNECT" || target.starts_with(b"/") {
        return Ok(target.to_vec());
    }
    let scheme_end = target.windows(3).position(|window| window == b"://");
    let is_scheme = |bytes: &[u8]| {
        bytes.first().is_some_and(u8::is_ascii_alphabetic)
            && bytes.iter().all(|byte| byte.is_ascii_alphanumeric())
    };
    match scheme_end {
        Some(end) if is_scheme(&target[..end]) => {
            let rest = &target[end + 3..];
            let path = rest
                .iter()
                .position(|byte| matches!(byte, b'/' | b'?' | b'#'));
            Ok(match path {
                Some(start) if rest[start] == b'/' => rest[start..].to_vec(),
                _ => b"/".to_vec(),
            })
        }
        _ => refuse(
            400,
            "NGINX refuses a target that is neither a path nor a URL",
        ),
    }
}

/// The path as NGINX decodes it (`ngx_http_parse_complex_uri` without `merge_slashes`), and the query.
fn parsed(unparsed: &[u8]) -> Result<(Vec<u8>, Vec<u8>), OwnAnswer> {
    let end = unparsed.iter().position(|byte| *byte == b'#');
    let shown = &unparsed[..end.unwrap_or(unparsed.len())];
    let question = shown.iter().position(|byte| *byte == b'?');
    let (raw, args) = match question {
        Some(at) => (&shown[..at], &shown[at + 1..]),
        None => (shown, &[][..]),
    };
    let mut decoded = Vec::new();
    let mut bytes = raw.iter();
    while let Some(byte) = bytes.next() {
        if *byte != b'%' {
            decoded.push(*byte);
            continue;
        }
        let digit = |byte: Option<&u8>| char::from(*byte?).to_digit(16);
        let pair = (digit(bytes.next()), digit(bytes.next()));
        let value = match pair {
            (Some(high), Some(low)) => u8::try_from(high * 16 + low).unwrap_or_default(),
            _ => return refuse(400, "NGINX refuses a path that is not percent-encoded"),
        };
        if value == 0 {
            return refuse(400, "NGINX refuses an encoded NUL in a path");
        }
        decoded.push(value);
    }
    let mut segments: Vec<&[u8]> = Vec::new();
    let mut parts = decoded.split(|byte| *byte == b'/').skip(1).peekable();
    while let Some(part) = parts.next() {
        let is_last = parts.peek().is_none();
        match part {
            b"." if is_last => segments.push(b""),
            b"." => {}
            b".." => {
                if segments.pop().is_none() {
                    return refuse(400, "NGINX refuses a path that leads above its root");
                }
                if is_last {
                    segments.push(b"");
                }
            }
            other => segments.push(other),
        }
    }
    let mut uri = Vec::new();
    for segment in segments {
        uri.push(b'/');
        uri.extend_from_slice(segment);
    }
    Ok((uri, args.to_vec()))
}

/// The header fields, `host` first as the client of the tests writes it.
fn fields(request: &WireRequest) -> Result<Fields, OwnAnswer> {
    let host = request.authority.iter();
    let host = host.map(|authority| (b"Host".to_vec(), authority.clone()));
    let came = host.chain(request.headers.iter().cloned());
    let mut fields = Fields::new();
    for (name, value) in came {
        let is_broken = |byte: &u8| *byte <= 0x20 || *byte == 0x7f;
        if name.is_empty() || name.iter().any(is_broken) || value.contains(&0) {
            return refuse(400, "NGINX refuses a line that is no header field");
        }
        // `ignore_invalid_headers on` and `underscores_in_headers off`, which are the defaults.
        let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'-';
        if !name.iter().all(is_plain) {
            continue;
        }
        fields.push((name, value.trim_ascii().to_vec()));
    }
    for unique in ["host", "authorization", "content-length", "expect"] {
        let is_it = |(name, _): &&(Vec<u8>, Vec<u8>)| name.eq_ignore_ascii_case(unique.as_bytes());
        let mut found = fields.iter().filter(is_it);
        let first = found.next();
        if found.next().is_some() {
            return refuse(
                400,
                "NGINX refuses a second host, authorization or content-length",
            );
        }
        match (unique, first) {
            ("host", None) => return refuse(400, "NGINX refuses a request without a host"),
            ("host", Some((_, host))) => check_host(host)?,
            _ => {}
        }
    }
    Ok(fields)
}

/// `ngx_http_validate_host`.
fn check_host(host: &[u8]) -> Result<(), OwnAnswer> {
    let (name, port) = match host.first() {
        Some(b'[') => match host.iter().position(|byte| *byte == b']') {
            Some(end) => (&host[1..end], &host[end + 1..]),
            None => return refuse(400, HOST_THAT_IS_NONE),
        },
        _ => {
            let colon = host.iter().position(|byte| *byte == b':');
            host.split_at(colon.unwrap_or(host.len()))
        }
    };
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=%:".contains(byte);
    let doubled_dot = name.windows(2).any(|pair| pair == b"..");
    let is_port = match port {
        [] => true,
        [b':', digits @ ..] => {
            let number = std::str::from_utf8(digits).unwrap_or("x");
            number.is_empty()
                || number.bytes().all(|byte| byte.is_ascii_digit()) && number.parse::<u16>().is_ok()
        }
        _ => false,
    };
    let is_empty = name.is_empty() || name == b".";
    if is_empty || doubled_dot || !is_port || !name.iter().all(is_name) {
        return refuse(400, HOST_THAT_IS_NONE);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(target: &str, expected: Option<(&str, &str)>) {
        let read = read(&WireRequest::new("GET", "login.example.test", target));
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let found = read.map(|read| (text(&read.unparsed_uri), text(&read.uri)));
        let expected = expected.map(|(raw, uri)| (raw.to_owned(), uri.to_owned()));
        assert_eq!(found.ok(), expected, "{target}");
    }

    #[test]
    fn targets_are_read_as_nginx_does() {
        for (target, expected) in [
            ("/", Some(("/", "/"))),
            ("/a/b?c=%2F", Some(("/a/b?c=%2F", "/a/b"))),
            ("/a%2Fb", Some(("/a%2Fb", "/a/b"))),
            ("/a//b", Some(("/a//b", "/a//b"))),
            ("/a/./b/../c/", Some(("/a/./b/../c/", "/a/c/"))),
            ("/a/%2e%2e/c", Some(("/a/%2e%2e/c", "/c"))),
            ("http://other.example/a", Some(("/a", "/a"))),
            ("/..", None),
            ("/%00", None),
            ("/%zz", None),
            ("*", None),
            ("a", None),
            ("", None),
            ("/a b", None),
            ("/a\u{1}", None),
        ] {
            check(target, expected);
        }
    }

    #[test]
    fn hosts_are_refused_as_nginx_does() {
        for (host, expected) in [
            ("a.example", true),
            ("a.example.:443", true),
            ("under_score", true),
            ("*.a.example", true),
            ("a..example", false),
            ("", false),
            ("a.example:port", false),
            ("a.example:65536", false),
            ("a.example:1:2", false),
            ("user@a.example", false),
            ("\u{e4}.example", false),
        ] {
            assert_eq!(check_host(host.as_bytes()).is_ok(), expected, "{host}");
        }
    }
}
