//! Who may look: on loopback whoever asks for loopback by name, elsewhere whoever knows the token.
//!
//! A browser on this machine can be led to any loopback port by a name that its owner points there; the name it asked for
//! tells (DNS rebinding). A browser cannot be told to send a bearer token, so the token is also taken as the password of
//! basic authentication, which it asks for by itself.

use std::fs;
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, HOST, WWW_AUTHENTICATE};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

/// A shorter token can be guessed.
const TOKEN_MIN: usize = 16;
/// Bytes of a token, at most.
const TOKEN_MAX: usize = 1024;

/// What is looked at before anything is shown.
#[derive(Clone)]
pub(super) struct Guard {
    token: Option<Arc<[u8]>>,
    is_loopback: bool,
}

impl Guard {
    pub(super) fn new(token: Option<Vec<u8>>, is_loopback: bool) -> Guard {
        Guard { token: token.map(Arc::from), is_loopback }
    }

    /// # Errors
    /// Why not.
    fn admit(&self, headers: &HeaderMap) -> Result<(), (StatusCode, &'static str)> {
        if self.is_loopback && !names_loopback(headers) {
            return Err((
                StatusCode::FORBIDDEN,
                "this port answers requests for 127.0.0.1, [::1] and localhost alone: ask for one of these\n",
            ));
        }
        match &self.token {
            Some(token) if !shows(token, headers) => Err((
                StatusCode::UNAUTHORIZED,
                "this port needs its token: `Authorization: Bearer TOKEN`, or the token as password\n",
            )),
            _ => Ok(()),
        }
    }
}

/// Looks at a request before anyone else does.
pub(super) async fn look(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    match guard.admit(request.headers()) {
        Ok(()) => next.run(request).await,
        Err((StatusCode::UNAUTHORIZED, why)) => {
            (StatusCode::UNAUTHORIZED, [(WWW_AUTHENTICATE, "Basic realm=\"red-packet\"")], why).into_response()
        }
        Err(refusal) => refusal.into_response(),
    }
}

/// Does it ask for loopback by a name that nobody can point elsewhere?
fn names_loopback(headers: &HeaderMap) -> bool {
    let mut hosts = headers.get_all(HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else { return false };
    let Some(authority) = host.to_str().ok().and_then(|text| text.parse::<Authority>().ok()) else { return false };
    let name = authority.host();
    let address = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    name.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.to_canonical().is_loopback())
}

fn shows(token: &[u8], headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()) else { return false };
    let Some((scheme, rest)) = value.split_once(' ') else { return false };
    let rest = rest.trim_start_matches(' ');
    match scheme.to_ascii_lowercase().as_str() {
        "bearer" => is_same(rest.as_bytes(), token),
        "basic" => decode(rest).is_some_and(|pair| {
            let password = pair.iter().position(|byte| *byte == b':').map(|at| &pair[at + 1..]);
            password.is_some_and(|password| is_same(password, token))
        }),
        _ => false,
    }
}

/// Takes as long whatever is wrong, but for the length of what was shown.
fn is_same(shown: &[u8], token: &[u8]) -> bool {
    let length = u8::from(shown.len() != token.len());
    let pairs = shown.iter().zip(token.iter().cycle());
    let difference = pairs.fold(length, |sum, (a, b)| std::hint::black_box(sum | (a ^ b)));
    std::hint::black_box(difference) == 0
}

/// Base64 with the alphabet of RFC 4648, section 4.
fn decode(text: &str) -> Option<Vec<u8>> {
    let digits = text.trim_end_matches('=').as_bytes();
    if digits.len() > 2 * TOKEN_MAX || digits.len() % 4 == 1 {
        return None;
    }
    let (mut bytes, mut word, mut bits) = (Vec::new(), 0u32, 0);
    for digit in digits {
        let value = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        word = word << 6 | u32::from(value);
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push((word >> bits) as u8);
        }
    }
    Some(bytes)
}

/// Reads the token: one line of at least 16 characters, in a file that its owner alone can read.
///
/// # Errors
/// There is no such file, others may read it, or it holds no token.
pub(super) fn read_token(file: &Path) -> Result<Vec<u8>> {
    let make = "make one by `umask 077; head -c 24 /dev/urandom | base64 > FILE`";
    let what = || format!("reading the HTTP token {} (--http-token); {make}", file.display());
    let mode = fs::metadata(file).with_context(what)?.permissions().mode();
    if mode & 0o077 != 0 {
        bail!("{} may be read by others (mode {:o}): chmod 600 {0}", file.display(), mode & 0o777);
    }
    let text = fs::read_to_string(file).with_context(what)?;
    let token = text.trim().as_bytes();
    if !(TOKEN_MIN..=TOKEN_MAX).contains(&token.len()) || !token.iter().all(u8::is_ascii_graphic) {
        bail!("{} holds no token: one word of {TOKEN_MIN} to {TOKEN_MAX} characters; {make}", file.display());
    }
    Ok(token.to_vec())
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};

    use super::*;

    const TOKEN: &[u8] = b"0123456789abcdefg";

    fn headers(rows: &[(HeaderName, &str)]) -> HeaderMap {
        let value = |text: &str| HeaderValue::from_str(text).expect("a value");
        rows.iter().map(|(name, text)| (name.clone(), value(text))).collect()
    }

    #[test]
    fn loopback_answers_to_its_own_names_alone() {
        let guard = Guard::new(None, true);
        let check = |host: &str, admits: bool| {
            assert_eq!(guard.admit(&headers(&[(HOST, host)])).is_ok(), admits, "{host}");
        };
        for host in ["127.0.0.1:2016", "127.0.0.1", "[::1]:2016", "localhost:9", "LOCALHOST", "127.8.8.8"] {
            check(host, true);
        }
        for host in ["evil.example:2016", "10.0.0.1", "localhost.evil.example", "127.0.0.1.evil.example", "", "[::1"] {
            check(host, false);
        }
        assert!(guard.admit(&HeaderMap::new()).is_err());
        assert!(Guard::new(None, false).admit(&headers(&[(HOST, "monitor.example")])).is_ok());
    }

    #[test]
    fn the_token_is_shown_as_bearer_or_as_password() {
        let guard = Guard::new(Some(TOKEN.to_vec()), false);
        let check = |value: &str, admits: bool| {
            assert_eq!(guard.admit(&headers(&[(AUTHORIZATION, value)])).is_ok(), admits, "{value}");
        };
        check("Bearer 0123456789abcdefg", true);
        check("bearer 0123456789abcdefg", true);
        // "any:0123456789abcdefg" and ":0123456789abcdefg"
        check("Basic YW55OjAxMjM0NTY3ODlhYmNkZWZn", true);
        check("Basic OjAxMjM0NTY3ODlhYmNkZWZn", true);
        check("Bearer 0123456789abcdef", false);
        check("Bearer 0123456789abcdefg0123456789abcdefg", false);
        check("Bearer 0123456789abcdefh", false);
        check("Bearer ", false);
        check("Bearer", false);
        check("Basic 0123456789abcdefg", false);
        check("Basic !!!", false);
        check("Digest 0123456789abcdefg", false);
        assert!(guard.admit(&HeaderMap::new()).is_err());
    }
}
