//! Shows: one page that draws what a node knows.
//!
//! A contributor who has just started a miner opens the page that the terminal names and sees the
//! whole network: the chain and its pace, the run with its curves, who worked and what it earned,
//! why a miner was slashed, what is being voted on and when it takes effect.
//!
//! [`PAGE`] is that page, complete: its style and script are inside, so it needs no further
//! request and no build step, and nothing from anywhere else. It reads `GET /v1/overview` once,
//! then follows the server-sent events of `GET /v1/events` (event `overview`, the same JSON), and
//! polls each second while the stream fails.
//!
//! The sources are ordinary files beside this one: `head.html`, `style.css`, `body.html` and
//! `script/`, which run as one script in the order given here. Data reaches the document only as
//! text and attribute values; [`CONTENT_SECURITY_POLICY`] is what a server should send with it.
//!
//! Browser tests may rely on: `#height`, `#step`, `#connection[data-state]`,
//! `[data-curve=loss|reward|evaluation] [data-point]`, `[data-units]`, `[data-miner=ADDRESS]`,
//! `[data-slash-reason=CHECK]`, `[data-validator=ADDRESS]`, `[data-proposal=ID]` with
//! `[data-vote-curve=support|approval]` and `[data-voter=ADDRESS]`,
//! `[data-stage]` and `[data-gate=NAME]`.
//!
//! ```
//! assert!(explorer::PAGE.starts_with("<!doctype html>"));
//! ```
#![forbid(unsafe_code)]

/// The page, to be served as `text/html; charset=utf-8`.
pub const PAGE: &str = concat!(
    include_str!("head.html"),
    "<style>\n",
    include_str!("style.css"),
    "</style>\n",
    include_str!("body.html"),
    "<script>\n\"use strict\";\n(() => {\n",
    include_str!("script/format.js"),
    include_str!("script/dom.js"),
    include_str!("script/curve.js"),
    include_str!("script/run.js"),
    include_str!("script/people.js"),
    include_str!("script/work.js"),
    include_str!("script/governance.js"),
    include_str!("script/proposals.js"),
    include_str!("script/live.js"),
    "})();\n</script>\n</body>\n</html>\n",
);

/// What the page may do: run its own inline script and style, and talk to the node that served it.
pub const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'unsafe-inline'; \
     style-src 'unsafe-inline'; img-src data:; connect-src 'self'; base-uri 'none'; \
     form-action 'none'; frame-ancestors 'none'";
