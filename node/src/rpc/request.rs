//! A name for every request, so that what a client saw and what a node logged can be put together.
//!
//! The answer's header `x-request-id` has the name: the one that the client gave, or a new one. Log
//! lines of a request's handling carry it. Answers are logged at `debug`, failures of the node at
//! `warn`.

use axum::{
    extract::Request,
    http::{HeaderName, HeaderValue, StatusCode},
    middleware::Next,
    response::Response,
};
use std::time::Instant;
use tracing::Instrument as _;

/// The header.
const NAME: HeaderName = HeaderName::from_static("x-request-id");
/// Longest name that a client may give.
const BYTES_MAX: usize = 64;

/// The client's name if it can stand in a log line, else a new one.
fn name(given: Option<&HeaderValue>) -> String {
    let given = given.and_then(|value| value.to_str().ok());
    let is_plain = |text: &&str| {
        (1..=BYTES_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
    };
    given.filter(is_plain).map_or_else(
        || format!("{:016x}", rand::random::<u64>()),
        ToOwned::to_owned,
    )
}

/// Handles a request under its name.
pub(super) async fn named(request: Request, next: Next) -> Response {
    let id = name(request.headers().get(NAME));
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let span = tracing::info_span!("request", id, %method, path);
    let started = Instant::now();
    let handled = async {
        let answer = next.run(request).await;
        let (status, took) = (answer.status(), started.elapsed());
        let ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        // 503 is what readiness says of a node that has yet to catch up.
        if status.is_server_error() && status != StatusCode::SERVICE_UNAVAILABLE {
            tracing::warn!(%status, ms, "answered");
        } else {
            tracing::debug!(%status, ms, "answered");
        }
        answer
    };
    let mut answer = handled.instrument(span).await;
    if let Ok(id) = HeaderValue::from_str(&id) {
        answer.headers_mut().insert(NAME, id);
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_taken_only_if_it_can_stand_in_a_log() {
        let given = |text: &[u8]| name(HeaderValue::from_bytes(text).ok().as_ref());
        assert_eq!(given(b"wallet-17"), "wallet-17");
        let long = [b'a'; BYTES_MAX + 1];
        for wrong in [&b""[..], b"two words", "\u{e9}".as_bytes(), &long] {
            let made = given(wrong);
            assert_eq!(made.len(), 16, "{made}");
            assert_ne!(made, given(wrong), "each request has its own");
        }
        assert_eq!(given(&long[1..]).len(), BYTES_MAX);
    }
}
